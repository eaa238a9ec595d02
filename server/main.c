/* SPDX-License-Identifier: Apache-2.0
 *
 * fleetd: options -> settings -> lock -> parts up -> serve -> parts down in reverse. */
#include "server/delta_worker.h"
#include "server/events.h"
#include "server/http/http.h"
#include "server/http/lanes.h"
#include "server/http/routes.h"
#include "server/metrics.h"
#include "server/notify.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"
#include "server/store/db.h"
#include "server/tokens.h"
#include "server/verify.h"

#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"

/* What the command line asks for besides settings. */
struct options {
	const char *config;
	const char *manual;
	bool check, show, verify, hash_blobs, version, help;
};

/* All that main owns. Settings that were replaced stay: a thread may still read them. */
struct process {
	struct server server;
	struct options options;
	struct fl_conf conf;
	struct settings settings;
	struct replaced *replaced;
	int argc;
	char **argv; /* as it came, for a reload */
	int lock_fd;
};

struct replaced {
	struct replaced *older;
	struct settings settings;
};

static const struct part {
	const char *name;
	enum fl_code (*up)(struct server *s, struct fl_err *err);
	void (*down)(struct server *s);
} parts[] = {
	{ "database", database_up, database_down },
	{ "identity", identity_up, identity_down },
	{ "trust", trust_up, trust_down },
	{ "tokens", tokens_up, tokens_down },
	{ "blobs", blobs_up, blobs_down },
	{ "fleet", fleet_up, fleet_down },
	{ "lanes", lanes_up, lanes_down },
	{ "seen", seen_up, seen_down },
	{ "kept head", kept_head_up, kept_head_down },
	{ "deltas", deltas_up, deltas_down },
	{ "rollouts", rollouts_up, rollouts_down },
	{ "planning", planning_up, planning_down },
	{ "channels", channels_up, channels_down },
	{ "joining", joining_up, joining_down },
	{ "webhooks", webhooks_up, webhooks_down },
	{ "http", http_up, http_down },
};

static struct process process; /* the reload callback needs it */

/* ---- command line */

static void print_help(void)
{
	(void)printf(
		"fleetd: the control plane of a fleet of devices\n\n"
		"  fleetd [--config FILE] [--SETTING VALUE ...]\n\n"
		"  --config FILE      read settings from FILE (default: %s/fleetd/fleetd.conf\n"
		"                     if it is there)\n"
		"  --check            try everything that a start does, then exit\n"
		"  --show-config      print all settings and where each comes from\n"
		"  --verify           check that all stored data fits together (fleetd must be "
		"stopped)\n"
		"  --hash-blobs       with --verify: read and hash every blob\n"
		"  --version, --help\n\n"
		"Each setting is also a flag and a variable: listen, --listen, FLEETD_LISTEN.\n"
		"fleetd.conf(5) explains them; fleetd(8) the rest.\n",
		FLEET_SYSCONFDIR);
}

static bool take_flag(const char *arg, const char *name, bool *out)
{
	if (strcmp(arg, name) != 0)
		return false;
	*out = true;
	return true;
}

/* "--name VALUE" or "--name=VALUE". */
static bool take_value(char **argv, int *i, const char *name, const char **out, struct fl_err *err)
{
	size_t n = strlen(name);
	const char *arg = argv[*i];

	if (strncmp(arg, name, n) != 0 || (arg[n] != '\0' && arg[n] != '='))
		return false;
	*out = arg[n] == '=' ? arg + n + 1 : argv[*i + 1];
	if (arg[n] == '\0' && *out != NULL)
		(*i)++;
	if (*out == NULL)
		(void)fl_fail(err, FL_INVALID, "%s needs a value", name);
	return true;
}

/* `argv` holds what is not a setting. */
static enum fl_code parse(struct options *o, char **argv, struct fl_err *err)
{
	for (int i = 1; argv[i] != NULL; i++) {
		if (take_flag(argv[i], "--check", &o->check) ||
			take_flag(argv[i], "--show-config", &o->show) ||
			take_flag(argv[i], "--verify", &o->verify) ||
			take_flag(argv[i], "--hash-blobs", &o->hash_blobs) ||
			take_flag(argv[i], "--version", &o->version) ||
			take_flag(argv[i], "--help", &o->help) ||
			take_flag(argv[i], "-h", &o->help) ||
			take_value(argv, &i, "--config", &o->config, err) ||
			take_value(argv, &i, "--manual", &o->manual, err)) {
			if (err->code != FL_OK)
				return err->code;
			continue;
		}
		return fl_fail(err, FL_INVALID,
			"\"%s\" is neither an option nor a setting; see fleetd --help", argv[i]);
	}
	return FL_OK;
}

/* Look for --config before the settings are read. */
static const char *config_path(int argc, char **argv)
{
	static const char standard[] = FLEET_SYSCONFDIR "/fleetd/fleetd.conf";

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--config=", 9) == 0)
			return argv[i] + 9;
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			return argv[i + 1];
	}
	return access(standard, F_OK) == 0 ? standard : NULL;
}

/* Settings from a copy of the command line; what is left of it goes to `left` (caller's, freed by
 * free()) if that is not NULL. */
static enum fl_code load(const struct process *p, struct fl_conf *conf, struct settings *out,
	char ***left, struct fl_err *err)
{
	char **argv = calloc((size_t)p->argc + 1, sizeof(*argv));
	int argc = p->argc;
	enum fl_code code;

	if (argv == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the command line");
	memcpy(argv, p->argv, (size_t)p->argc * sizeof(*argv));
	code = settings_load(conf, out, config_path(p->argc, p->argv), &argc, argv, err);
	if (left != NULL)
		*left = argv;
	else
		free(argv);
	return code;
}

static int print_manual(const char *section)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (strcmp(section, "routes") == 0)
		routes_manual(&b);
	else if (strcmp(section, "settings") == 0)
		fl_conf_manual(&process.conf, &b);
	else if (strcmp(section, "metrics") == 0)
		metrics_manual(&b);
	else if (strcmp(section, "events") == 0)
		events_manual(&b);
	else if (strcmp(section, "errors") == 0) {
#define FL_ERR(code, http, exit, type, title) \
	fl_buf_printf(&b, ".It Ic %s\n%s (%d).\n", type, title, http);
#include "lib/tbl/errors.h"
#undef FL_ERR
	} else {
		(void)fprintf(stderr,
			"fleetd: --manual takes routes, settings, metrics, events or errors\n");
		return 2;
	}
	return fwrite(b.p, 1, b.n, stdout) == b.n && fflush(stdout) == 0 ? 0 : 1;
}

static int print_config(void)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	fl_conf_show(&process.conf, &b);
	return fwrite(b.p, 1, b.n, stdout) == b.n && fflush(stdout) == 0 ? 0 : 1;
}

/* ---- the data directory */

static enum fl_code lock_data(struct process *p, struct fl_err *err)
{
	const char *dir = p->settings.data_dir;
	char path[PATH_MAX];
	enum fl_code code = fl_file_mkdirs(dir, 0700, err);

	if (code != FL_OK) {
		char why[FL_ERR_MSG_MAX];

		(void)snprintf(why, sizeof(why), "%s", err->msg);
		return fl_fail(
			err, code, "data_dir: %.300s; name a folder that you may write", why);
	}
	if (snprintf(path, sizeof(path), "%s/fleetd.lock", dir) >= (int)sizeof(path))
		return fl_fail(err, FL_INVALID, "data_dir is too long");
	p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (p->lock_fd < 0)
		return fl_fail_errno(err, errno,
			"data_dir %s cannot be written; give it to the user that fleetd runs as",
			dir);
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return FL_OK;
	if (errno != EWOULDBLOCK)
		return fl_fail_errno(err, errno, "cannot lock %s", path);
	return fl_fail(err, FL_CONFLICT,
		"another fleetd uses data_dir %s; stop it, or give this one a data_dir of its own",
		dir);
}

/* ---- parts */

static enum fl_code parts_up(struct server *s, size_t *n, struct fl_err *err)
{
	for (*n = 0; *n < FL_COUNT(parts); (*n)++) {
		enum fl_code code = parts[*n].up(s, err);

		if (code != FL_OK)
			return code;
	}
	return FL_OK;
}

/* The lanes' threads end before the parts that their jobs use. */
static void parts_down(struct server *s, size_t n)
{
	if (s->lanes != NULL)
		lanes_drain(s);
	while (n > 0)
		parts[--n].down(s);
}

/* The first start's admin token: to the terminal once, and into a file that only its owner reads. */
static enum fl_code show_first_token(struct server *s, struct fl_err *err)
{
	const char *token = tokens_first(s);
	char path[PATH_MAX];
	char line[TOKENS_TEXT_MAX + 1];
	enum fl_code code;
	int n;

	if (token == NULL)
		return FL_OK;
	if (snprintf(path, sizeof(path), "%s/admin.token", s->settings->data_dir) >=
		(int)sizeof(path))
		return fl_fail(err, FL_INVALID, "data_dir is too long");
	n = snprintf(line, sizeof(line), "%s\n", token);
	code = fl_file_put(
		path, (struct fl_bytes){ .p = (const uint8_t *)line, .n = (size_t)n }, 0600, err);
	if (code == FL_OK)
		(void)fprintf(stderr,
			"fleetd: first start. The admin token, shown this once and kept in %s:\n\n "
			" %s\n\n",
			path, token);
	sodium_memzero(line, sizeof(line));
	tokens_forget_first(s);
	return code;
}

/* ---- reload */

static void keep(struct process *p, struct replaced *r)
{
	r->older = p->replaced;
	p->replaced = r;
	p->server.settings = &r->settings;
	settings_apply_log(&r->settings);
}

static enum fl_code reload_settings(struct process *p, struct fl_err *err)
{
	struct fl_conf conf = { 0 };
	struct settings fresh = { 0 };
	struct replaced *r = calloc(1, sizeof(*r));
	const char *fixed = NULL;
	enum fl_code code = r == NULL ? FL_NOMEM : load(p, &conf, &fresh, NULL, err);

	if (code == FL_OK)
		code = settings_merge(p->server.settings, &fresh, &r->settings, &fixed, err);
	fl_conf_fini(&conf);
	if (code != FL_OK) {
		free(r);
		return code;
	}
	keep(p, r);
	if (fixed != NULL)
		fl_log_warning(
			"a changed setting takes effect at the next start", FL_S("setting", fixed));
	return FL_OK;
}

static void reload(struct server *s)
{
	struct fl_err err = { 0 };
	enum fl_code code = reload_settings(&process, &err);

	if (code == FL_OK)
		code = http_reload_tls(s, &err);
	if (code == FL_OK)
		fl_log_info("reloaded", FL_S("signal", "HUP"));
	else
		fl_log_error(
			"the reload failed; everything stays as it was", FL_S("detail", err.msg));
}

/* ---- what it does */

static enum fl_code serve(struct server *s, int64_t began_ms, struct fl_err *err)
{
	enum fl_code code = show_first_token(s, err);

	if (code == FL_OK)
		code = http_announce(s, err);
	if (code != FL_OK)
		return code;
	fl_log_info("serving", FL_S("listen", s->settings->listen), FL_N("port", http_port(s)),
		FL_S("tls", s->settings->tls_certificate[0] != '\0' ? "yes" : "no"),
		FL_S("version", PACKAGE_VERSION),
		FL_N("boot_ms", fl_clock_ms(CLOCK_MONOTONIC) - began_ms));
	notify_ready();
	code = http_run(s, reload, err);
	notify_stopping();
	return code;
}

static enum fl_code verify(struct server *s, struct fl_err *err)
{
	char blobs[PATH_MAX];
	struct verify_options o = { .blobs_dir = blobs,
		.data_dir = s->settings->data_dir,
		.hash_blobs = process.options.hash_blobs,
		.out = stdout };
	struct store store = { 0 };
	struct db *db = NULL;
	int64_t wrong = 0;
	enum fl_code code = database_up(s, err);

	if (snprintf(blobs, sizeof(blobs), "%s/blobs", s->settings->data_dir) >= (int)sizeof(blobs))
		return fl_fail(err, FL_INVALID, "data_dir is too long");
	if (code == FL_OK)
		code = database_reader(s, &db, err);
	if (code == FL_OK)
		code = database_snapshot(db, &store, err);
	if (code == FL_OK)
		code = verify_run(&store, &o, &wrong, err);
	if (store.db != NULL)
		database_snapshot_end(&store);
	db_close(db);
	database_down(s);
	if (code == FL_OK && wrong > 0)
		code = fl_fail(err, FL_CORRUPT, "%lld findings", (long long)wrong);
	return code;
}

static enum fl_code run(struct process *p, struct fl_err *err)
{
	struct server *s = &p->server;
	int64_t began_ms = fl_clock_ms(CLOCK_MONOTONIC);
	size_t up = 0;
	enum fl_code code = lock_data(p, err);

	if (code == FL_CONFLICT && p->options.check) {
		(void)printf("the settings are good; the data was not looked at, a fleetd is "
			     "running on it\n");
		return FL_OK;
	}
	if (code != FL_OK)
		return code;
	s->metrics = metrics_new();
	if (s->metrics == NULL)
		return fl_fail(err, FL_NOMEM, "no memory");
	metrics_set(s->metrics, METRIC_START_TIME, (int64_t)time(NULL));
	if (p->options.verify)
		return verify(s, err);
	code = parts_up(s, &up, err);
	if (code == FL_OK && !p->options.check)
		code = serve(s, began_ms, err);
	else if (code == FL_OK)
		code = show_first_token(s, err); /* a check may be the first start */
	if (code == FL_OK && p->options.check)
		(void)printf("everything is good\n");
	parts_down(s, up);
	if (code == FL_OK && !p->options.check)
		fl_log_info("stopped", FL_N("requests", metrics_get(s->metrics, METRIC_REQUESTS)));
	return code;
}

static int start(struct process *p)
{
	struct fl_err err = { 0 };
	enum fl_code code;

	if (p->options.help)
		return print_help(), 0;
	if (p->options.version)
		return printf("fleetd %s\n", PACKAGE_VERSION) > 0 ? 0 : 1;
	if (p->options.manual != NULL)
		return print_manual(p->options.manual);
	if (p->options.show)
		return print_config();
	settings_apply_log(&p->settings);
	p->server.settings = &p->settings;
	code = run(p, &err);
	if (code != FL_OK)
		(void)fprintf(stderr, "fleetd: %s%s\n", err.msg,
			code == FL_FULL ? "; free some space where data_dir is" : "");
	return fl_exit_code(code);
}

static void release(struct process *p)
{
	while (p->replaced != NULL) {
		struct replaced *r = p->replaced;

		p->replaced = r->older;
		settings_fini(&r->settings);
		free(r);
	}
	metrics_free(p->server.metrics);
	fl_conf_fini(&p->conf);
	if (p->lock_fd >= 0)
		(void)close(p->lock_fd);
}

int main(int argc, char **argv)
{
	struct process *p = &process;
	struct fl_err err = { 0 };
	char **left = NULL;
	enum fl_code code;
	int status;

	if (delta_worker_asked(argc, argv))
		return delta_worker_main(argc, argv);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	if (sodium_init() < 0 || gnutls_global_init() != 0)
		return 10;
	p->argc = argc;
	p->argv = argv;
	p->lock_fd = -1;
	code = load(p, &p->conf, &p->settings, &left, &err);
	if (code == FL_OK)
		code = parse(&p->options, left, &err);
	if (code != FL_OK)
		(void)fprintf(stderr, "fleetd: %s\n", err.msg);
	status = code == FL_OK ? start(p) : 2;
	free(left);
	release(p);
	return status;
}
