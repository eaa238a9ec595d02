/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet-agent: options, signals, and what is done with an agent. */
#include "config.h"

#include "agent/agent.h"
#include "lib/digest.h"
#include "lib/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONF_FILE FLEET_SYSCONFDIR "/fleet-agent.conf"

static const char usage[] =
	"fleet-agent: keep this device as its fleet's server wants it\n"
	"usage: fleet-agent [OPTION...]\n"
	"\n"
	"      --config FILE     settings (" CONF_FILE ")\n"
	"      --once            ask once, carry out what there is to the end, then exit\n"
	"      --check           check the settings and the folders, then exit\n"
	"      --show-config     print all settings and where they come from\n"
	"      --status          print what the record says; with --json for programs\n"
	"      --graph           print the state machine for graphviz\n"
	"  -h, --help  -V, --version\n"
	"\n"
	"Any setting can be given as --some-name=value; see fleet-agent(8).\n";

enum mode {
	MODE_RUN,
	MODE_ONCE,
	MODE_CHECK,
	MODE_SHOW,
	MODE_STATUS,
	MODE_GRAPH,
	MODE_MANUAL_SETTINGS,
	MODE_MANUAL_EDGES,
	MODE_HELP,
	MODE_VERSION
};

struct options {
	enum mode mode;
	bool json;
	const char *config;
	struct agent_kill kill;
};

static volatile int stop;
static int stop_pipe[2] = { -1, -1 };

static void on_signal(int number)
{
	ssize_t done;

	(void)number;
	stop = 1;
	done = write(stop_pipe[1], "", 1);
	(void)done; /* a full pipe wakes as well */
}

static enum fl_code catch_signals(struct fl_err *err)
{
	struct sigaction action = { .sa_handler = on_signal };

	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		return fl_fail(err, FL_IO, "cannot make a pipe");
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return FL_OK;
}

/* ---- options that are no settings */

/* What is left of argv behind our own words stays for the settings. */
static const struct {
	const char *word;
	enum mode mode;
} words[] = {
	{ "--once", MODE_ONCE },
	{ "--check", MODE_CHECK },
	{ "--show-config", MODE_SHOW },
	{ "--status", MODE_STATUS },
	{ "--graph", MODE_GRAPH },
	{ "--manual-settings", MODE_MANUAL_SETTINGS },
	{ "--manual-edges", MODE_MANUAL_EDGES },
	{ "--help", MODE_HELP },
	{ "-h", MODE_HELP },
	{ "--version", MODE_VERSION },
	{ "-V", MODE_VERSION },
};

static bool take_word(struct options *o, const char *arg)
{
	if (strcmp(arg, "--json") == 0) {
		o->json = true;
		return true;
	}
	for (size_t i = 0; i < FL_COUNT(words); i++) {
		if (strcmp(arg, words[i].word) == 0) {
			o->mode = words[i].mode;
			return true;
		}
	}
	return false;
}

/* --config FILE, and the tests' way to die at an edge. */
static bool take_value(struct options *o, const char *arg, const char *value)
{
	if (value == NULL)
		return false;
	if (strcmp(arg, "--config") == 0)
		o->config = value;
	else if (strcmp(arg, "--kill-before-save") == 0)
		o->kill.before_save = strtoll(value, NULL, 10);
	else if (strcmp(arg, "--kill-after-save") == 0)
		o->kill.after_save = strtoll(value, NULL, 10);
	else
		return false;
	return true;
}

static void take_options(struct options *o, int *argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		if (take_word(o, argv[i]))
			continue;
		if (take_value(o, argv[i], i + 1 < *argc ? argv[i + 1] : NULL)) {
			i++;
			continue;
		}
		argv[kept++] = argv[i];
	}
	*argc = kept;
	argv[kept] = NULL;
}

/* ---- modes */

/* Enough for --once: everything that there is to do is done, or cannot be now. */
static bool once_done(const struct agent *a)
{
	if (a->cycles == 0)
		return false;
	if (a->s.now == FSM_WAITING)
		return a->waited;
	if (a->s.now == FSM_DOWNLOADING)
		return a->last != FL_OK; /* the network is gone; the next run resumes */
	return a->s.now == FSM_ENROLLING || a->s.now == FSM_IDLE;
}

static enum fl_code run(
	const struct settings *settings, const struct options *o, struct fl_err *err)
{
	struct agent a = { .kill = o->kill };
	enum fl_code code = agent_init(&a, settings, &stop, stop_pipe[0], err);

	while (code == FL_OK && !stop && !(o->mode == MODE_ONCE && once_done(&a)))
		code = agent_turn(&a, err);
	if (code == FL_OK && o->mode == MODE_ONCE && !stop && a.last != FL_OK)
		code = fl_fail(err, a.last, "the cycle did not come to its end; the log says why");
	agent_fini(&a);
	return code;
}

/* Settings were read already; see that the folders can be used, without asking the server. */
static enum fl_code check(const struct settings *settings, struct fl_err *err)
{
	struct agent a = { 0 };
	enum fl_code code = agent_init(&a, settings, &stop, stop_pipe[0], err);

	agent_fini(&a);
	if (code == FL_OK)
		(void)printf("settings and folders are fine\n");
	return code;
}

static void print_modules(const json_t *modules)
{
	json_t *entry;
	size_t i;

	json_array_foreach (modules, i, entry)
		(void)printf("  %-24s %s\n", json_string_value(json_object_get(entry, "module")),
			json_string_value(json_object_get(entry, "version")));
}

static void print_status(const struct state *s)
{
	(void)printf("device      %s\nstate       %s\nmanifest    %" PRId64 "\ngeneration  %" PRId64
		     " (previous %" PRId64 ", trial %" PRId64 ")\nreports     %zu waiting\n",
		s->device == NULL ? "(not enrolled)" : s->device, state_text(s->now), s->accepted,
		s->good, s->previous, s->trial, json_array_size(s->outbox));
	if (s->wait.on != NULL)
		(void)printf("waits for   %s%s%s\n", s->wait.on,
			s->wait.detail[0] != '\0' ? ": " : "", s->wait.detail);
	if (s->verdict.state != NULL)
		(void)printf("last order  %s%s%s\n", s->verdict.state,
			s->verdict.detail[0] != '\0' ? ": " : "", s->verdict.detail);
	(void)printf("modules\n");
	print_modules(s->good_modules);
}

static enum fl_code print_status_json(const struct state *s, struct fl_err *err)
{
	FL_AUTO_JSON json_t *j = json_pack(
		"{s:s?, s:s, s:I, s:I, s:I, s:I, s:I, s:s?, s:s?, s:s, s:s?, s:O}", "device",
		s->device, "state", state_text(s->now), "manifest", (json_int_t)s->accepted,
		"generation", (json_int_t)s->good, "previous", (json_int_t)s->previous, "trial",
		(json_int_t)s->trial, "reports_waiting", (json_int_t)json_array_size(s->outbox),
		"verdict", s->verdict.state, "cause", s->verdict.cause, "detail", s->verdict.detail,
		"wait", s->wait.on, "modules", s->good_modules);

	if (j == NULL || json_dumpf(j, stdout, JSON_INDENT(1)) != 0 || printf("\n") < 0)
		return fl_fail(err, FL_IO, "cannot write the status");
	return FL_OK;
}

/* Reads the record only: works beside a running agent. */
static enum fl_code status(
	const struct settings *settings, const struct options *o, struct fl_err *err)
{
	struct agent a = { .settings = settings };
	char path[AGENT_PATH_MAX];
	enum fl_code code = agent_path(&a, "state.json", path, err);

	if (code == FL_OK)
		code = state_init(&a.s, err);
	if (code == FL_OK)
		code = state_load(&a.s, path, err);
	if (code == FL_OK && o->json)
		code = print_status_json(&a.s, err);
	else if (code == FL_OK)
		print_status(&a.s);
	state_fini(&a.s);
	return code;
}

static enum fl_code print_text(struct fl_buf *b, struct fl_err *err)
{
	enum fl_code code = fl_buf_check(b, err);

	if (code == FL_OK && b->n > 0 && fwrite(b->p, 1, b->n, stdout) != b->n)
		code = fl_fail(err, FL_IO, "cannot write");
	return code;
}

static void set_log(const struct settings *s)
{
	enum fl_log_level level = FL_LOG_INFO;

	if (fl_log_level_parse(s->log_level, &level, NULL) == FL_OK)
		fl_log_setup(level, strcmp(s->log_format, "json") == 0);
}

static enum fl_code with_settings(struct options *o, int argc, char **argv, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	struct settings settings = { 0 };
	struct fl_conf conf = { 0 };
	enum fl_code code = settings_load(&conf, &settings,
		o->config == NULL ? CONF_FILE : o->config, o->config != NULL, &argc, argv, err);

	if (code == FL_OK && argc > 1)
		code = fl_fail(
			err, FL_INVALID, "\"%.64s\" is too much; see fleet-agent --help", argv[1]);
	if (code == FL_OK) {
		set_log(&settings);
		if (o->mode == MODE_SHOW) {
			fl_conf_show(&conf, &text);
			code = print_text(&text, err);
		} else if (o->mode == MODE_CHECK) {
			code = check(&settings, err);
		} else if (o->mode == MODE_STATUS) {
			code = status(&settings, o, err);
		} else {
			code = run(&settings, o, err);
		}
	}
	fl_conf_fini(&conf);
	return code;
}

static enum fl_code dispatch(struct options *o, int argc, char **argv, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code;

	switch (o->mode) {
	case MODE_HELP:
		return fputs(usage, stdout) < 0 ? FL_IO : FL_OK;
	case MODE_VERSION:
		return puts("fleet-agent " PACKAGE_VERSION) < 0 ? FL_IO : FL_OK;
	case MODE_GRAPH:
		fsm_graph(&text);
		return print_text(&text, err);
	case MODE_MANUAL_SETTINGS:
		settings_manual(&text);
		return print_text(&text, err);
	case MODE_MANUAL_EDGES:
		fsm_manual(&text);
		return print_text(&text, err);
	default:
		code = catch_signals(err);
		return code == FL_OK ? with_settings(o, argc, argv, err) : code;
	}
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct fl_err err = { 0 };
	enum fl_code code;

	fl_digest_init();
	take_options(&o, &argc, argv);
	code = dispatch(&o, argc, argv, &err);
	if (code != FL_OK)
		(void)fprintf(stderr, "fleet-agent: %s\n", err.msg);
	return fl_exit_code(code);
}
