/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "agent/swarm.h"

#include "lib/file.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"fleet-swarm: simulate many devices of a fleet\n"
	"usage: fleet-swarm --server URL --token-file FILE [--devices N] [OPTION...]\n"
	"\n"
	"      --server URL              http://HOST:PORT of fleetd (no TLS here)\n"
	"      --token-file FILE         file with an enrolment token\n"
	"  -n, --devices N               devices (100)\n"
	"      --gateways N              gateways besides; the devices are spread behind them\n"
	"  -c, --connections N           connections that all of them share (64)\n"
	"      --prefix TEXT             how device ids begin (swarm)\n"
	"      --first N                 number of the first device (0)\n"
	"      --seed N                  everything that chance decides (1)\n"
	"      --attribute NAME=V:F,...  give the attribute by fractions; may come again\n"
	"      --installed M=V[:SHA256],...  what the devices have at first\n"
	"      --poll-interval SECONDS   instead of what the server says\n"
	"what goes wrong:\n"
	"      --fail M@V=FRACTION       devices that are ill with this version and go back\n"
	"      --silent M@V=FRACTION     devices of which nothing is heard any more\n"
	"      --offline FRACTION:MEAN   devices that are away, for MEAN seconds each time\n"
	"      --slow BYTES              download no faster than so many bytes a second\n"
	"      --cut FRACTION            downloads that are cut once and resumed\n"
	"bytes:\n"
	"      --decode                  download all, decode, check every digest; otherwise only\n"
	"                                the first KiB is fetched and the rest is accounted\n"
	"      --cache DIR               artifacts by digest for --decode; kept (a temporary "
	"folder)\n"
	"end and output:\n"
	"      --until idle|complete|seconds:N   when to end (idle: all have polled and nothing "
	"is\n"
	"                                in hand; complete: every device has carried out an "
	"order)\n"
	"      --state FILE              keep what the devices run; read it at the start\n"
	"      --journal FILE            acknowledged reports, one JSON line each, synced\n"
	"      --json                    the summary as JSON\n"
	"      --bench polls|reports|offers   measure requests a second instead\n"
	"      --ask FILE                of --bench offers: digests, one a line: the artifact that "
	"is\n"
	"                                asked for, then those that the devices have, in turn\n"
	"      --requests N              of --bench: stop after N instead of after seconds:N\n"
	"      --rate N                  of --bench: send N a second, whatever the answers take\n"
	"      --peer PORT               of --bench polls: then the same requests to this port\n"
	"  -h, --help  -V, --version\n";

enum {
	OPT_SERVER = 256,
	OPT_TOKEN_FILE,
	OPT_GATEWAYS,
	OPT_PREFIX,
	OPT_FIRST,
	OPT_SEED,
	OPT_ATTRIBUTE,
	OPT_INSTALLED,
	OPT_POLL_INTERVAL,
	OPT_FAIL,
	OPT_SILENT,
	OPT_OFFLINE,
	OPT_SLOW,
	OPT_CUT,
	OPT_DECODE,
	OPT_CACHE,
	OPT_UNTIL,
	OPT_STATE,
	OPT_JOURNAL,
	OPT_JSON,
	OPT_BENCH,
	OPT_REQUESTS,
	OPT_RATE,
	OPT_PEER,
	OPT_ASK,
};

static const struct option long_options[] = {
	{ "server", required_argument, NULL, OPT_SERVER },
	{ "token-file", required_argument, NULL, OPT_TOKEN_FILE },
	{ "devices", required_argument, NULL, 'n' },
	{ "gateways", required_argument, NULL, OPT_GATEWAYS },
	{ "connections", required_argument, NULL, 'c' },
	{ "prefix", required_argument, NULL, OPT_PREFIX },
	{ "first", required_argument, NULL, OPT_FIRST },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "attribute", required_argument, NULL, OPT_ATTRIBUTE },
	{ "installed", required_argument, NULL, OPT_INSTALLED },
	{ "poll-interval", required_argument, NULL, OPT_POLL_INTERVAL },
	{ "fail", required_argument, NULL, OPT_FAIL },
	{ "silent", required_argument, NULL, OPT_SILENT },
	{ "offline", required_argument, NULL, OPT_OFFLINE },
	{ "slow", required_argument, NULL, OPT_SLOW },
	{ "cut", required_argument, NULL, OPT_CUT },
	{ "decode", no_argument, NULL, OPT_DECODE },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "until", required_argument, NULL, OPT_UNTIL },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "journal", required_argument, NULL, OPT_JOURNAL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "ask", required_argument, NULL, OPT_ASK },
	{ "bench", required_argument, NULL, OPT_BENCH },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "peer", required_argument, NULL, OPT_PEER },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* ---- values */

static enum fl_code read_count(
	const char *name, const char *text, int64_t max, int64_t *out, struct fl_err *err)
{
	char *end;
	long long n = strtoll(text, &end, 10);

	if (end == text || *end != '\0' || n < 0 || n > max)
		return fl_fail(err, FL_INVALID, "%s takes a number from 0 to %lld, not \"%.64s\"",
			name, (long long)max, text);
	*out = n;
	return FL_OK;
}

static enum fl_code read_real(
	const char *name, const char *text, double max, double *out, struct fl_err *err)
{
	char *end;
	double x = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(x) || x < 0 || x > max)
		return fl_fail(err, FL_INVALID, "%s takes a number from 0 to %g, not \"%.64s\"",
			name, max, text);
	*out = x;
	return FL_OK;
}

/* Copy text[0..n) into `to`; false if it is empty or too long. */
static bool take(char *to, size_t size, const char *text, size_t n)
{
	if (n == 0 || n >= size)
		return false;
	memcpy(to, text, n);
	to[n] = '\0';
	return true;
}

/* "app@2.1.0=0.3" */
static enum fl_code read_rule(
	const char *name, const char *text, struct swarm_rule *rules, size_t *n, struct fl_err *err)
{
	const char *at = strchr(text, '@');
	const char *equals = at == NULL ? NULL : strrchr(at, '=');
	struct swarm_rule *r = &rules[*n];
	enum fl_code code;

	if (*n == SWARM_RULES_MAX)
		return fl_fail(
			err, FL_INVALID, "%s comes more than %d times", name, SWARM_RULES_MAX);
	if (equals == NULL || !take(r->module, sizeof(r->module), text, (size_t)(at - text)) ||
		!take(r->version, sizeof(r->version), at + 1, (size_t)(equals - at - 1)))
		return fl_fail(err, FL_INVALID, "%s takes MODULE@VERSION=FRACTION, not \"%.64s\"",
			name, text);
	code = read_real(name, equals + 1, 1, &r->fraction, err);
	if (code == FL_OK)
		(*n)++;
	return code;
}

/* "region=eu:0.5,us:0.5" */
static enum fl_code read_attribute(struct swarm_options *o, const char *text, struct fl_err *err)
{
	struct swarm_attribute *a = &o->attributes[o->n_attributes];
	const char *p = strchr(text, '=');
	double sum = 0;

	if (o->n_attributes == SWARM_RULES_MAX || p == NULL ||
		!take(a->name, sizeof(a->name), text, (size_t)(p - text)))
		return fl_fail(err, FL_INVALID,
			"--attribute takes NAME=VALUE:FRACTION,…, not \"%.64s\"", text);
	a->n = 0;
	while (p != NULL && *p != '\0') {
		const char *value = p + 1, *comma = strchr(value, ',');
		size_t n = comma == NULL ? strlen(value) : (size_t)(comma - value);
		const char *colon = memchr(value, ':', n);
		size_t text_n = colon == NULL ? n : (size_t)(colon - value);

		if (a->n == SWARM_RULES_MAX ||
			!take(a->values[a->n].text, sizeof(a->values[0].text), value, text_n))
			return fl_fail(err, FL_INVALID,
				"--attribute %s: a value is empty or too long", a->name);
		a->values[a->n].fraction = colon == NULL ? 1 - sum : strtod(colon + 1, NULL);
		sum += a->values[a->n++].fraction;
		p = comma;
	}
	if (!(sum > 0.999 && sum < 1.001))
		return fl_fail(err, FL_INVALID, "--attribute %s: the fractions make %g, not 1",
			a->name, sum);
	o->n_attributes++;
	return FL_OK;
}

/* "app=1.0.0:DIGEST,lib=2.0.0" */
static enum fl_code read_installed(struct swarm_options *o, const char *text, struct fl_err *err)
{
	while (*text != '\0') {
		size_t n = strcspn(text, ",");
		const char *equals = memchr(text, '=', n);
		const char *colon =
			equals == NULL ? NULL : memchr(equals, ':', n - (size_t)(equals - text));
		const char *end = colon == NULL ? text + n : colon;
		json_t *entry;

		if (equals == NULL || equals == text || end == equals + 1)
			return fl_fail(err, FL_INVALID,
				"--installed takes MODULE=VERSION[:SHA256],…, not \"%.64s\"", text);
		entry = json_pack("{s:s%, s:s%}", "module", text, (size_t)(equals - text),
			"version", equals + 1, (size_t)(end - equals - 1));
		if (colon != NULL &&
			json_object_set_new(entry, "sha256",
				json_stringn(colon + 1, (size_t)(text + n - colon - 1))) != 0)
			return fl_fail(err, FL_NOMEM, "no memory");
		if (json_array_append_new(o->installed, entry) != 0)
			return fl_fail(err, FL_NOMEM, "no memory");
		text += n;
		if (*text == ',')
			text++;
	}
	return FL_OK;
}

static enum fl_code read_offline(struct swarm_options *o, const char *text, struct fl_err *err)
{
	const char *colon = strchr(text, ':');
	char fraction[32];

	if (colon == NULL || !take(fraction, sizeof(fraction), text, (size_t)(colon - text)))
		return fl_fail(err, FL_INVALID,
			"--offline takes FRACTION:MEAN_SECONDS, not \"%.64s\"", text);
	if (read_real("--offline", fraction, 0.99, &o->offline, err) != FL_OK)
		return FL_INVALID;
	return read_real("--offline", colon + 1, 1e6, &o->offline_mean_s, err);
}

static enum fl_code read_until(struct swarm_options *o, const char *text, struct fl_err *err)
{
	if (strcmp(text, "idle") == 0)
		o->until = SWARM_UNTIL_IDLE;
	else if (strcmp(text, "complete") == 0)
		o->until = SWARM_UNTIL_COMPLETE;
	else if (strncmp(text, "seconds:", 8) == 0)
		return read_real("--until", text + 8, 1e8, &o->until_s, err);
	else
		return fl_fail(err, FL_INVALID,
			"--until takes idle, complete or seconds:N, not \"%.64s\"", text);
	return FL_OK;
}

static enum fl_code read_bench(struct swarm_options *o, const char *text, struct fl_err *err)
{
	if (strcmp(text, "polls") == 0)
		o->bench = SWARM_BENCH_POLLS;
	else if (strcmp(text, "reports") == 0)
		o->bench = SWARM_BENCH_REPORTS;
	else if (strcmp(text, "offers") == 0)
		o->bench = SWARM_BENCH_OFFERS;
	else
		return fl_fail(err, FL_INVALID,
			"--bench takes polls, reports or offers, not \"%.64s\"", text);
	return FL_OK;
}

static enum fl_code read_seed(struct swarm_options *o, const char *text, struct fl_err *err)
{
	int64_t n = 0;
	enum fl_code code = read_count("--seed", text, INT64_MAX, &n, err);

	o->seed = (uint64_t)n;
	return code;
}

/* ---- one option each */

static enum fl_code take_number(
	struct swarm_options *o, int option, const char *v, struct fl_err *err)
{
	switch (option) {
	case 'n':
		return read_count("--devices", v, 10000000, &o->devices, err);
	case 'c':
		return read_count("--connections", v, 100000, &o->connections, err);
	case OPT_GATEWAYS:
		return read_count("--gateways", v, 1000000, &o->gateways, err);
	case OPT_FIRST:
		return read_count("--first", v, 1000000000, &o->first, err);
	case OPT_SEED:
		return read_seed(o, v, err);
	case OPT_POLL_INTERVAL:
		return read_real("--poll-interval", v, 1e6, &o->poll_interval_s, err);
	case OPT_SLOW:
		return read_count("--slow", v, INT64_MAX / 4, &o->slow, err);
	case OPT_CUT:
		return read_real("--cut", v, 1, &o->cut, err);
	case OPT_REQUESTS:
		return read_count("--requests", v, 100000000, &o->bench_requests, err);
	case OPT_RATE:
		return read_count("--rate", v, 1000000, &o->bench_rate, err);
	default:
		return fl_fail(err, FL_INVALID, "see fleet-swarm --help");
	}
}

static enum fl_code take_option(
	struct swarm_options *o, int option, const char *v, struct fl_err *err)
{
	switch (option) {
	case OPT_SERVER:
		o->server = v;
		return FL_OK;
	case OPT_TOKEN_FILE:
		o->token_file = v;
		return FL_OK;
	case OPT_PREFIX:
		o->prefix = v;
		return FL_OK;
	case OPT_CACHE:
		o->cache_dir = v;
		return FL_OK;
	case OPT_STATE:
		o->state_file = v;
		return FL_OK;
	case OPT_JOURNAL:
		o->journal_file = v;
		return FL_OK;
	case OPT_DECODE:
		o->decode = true;
		return FL_OK;
	case OPT_JSON:
		o->json = true;
		return FL_OK;
	case OPT_ATTRIBUTE:
		return read_attribute(o, v, err);
	case OPT_INSTALLED:
		return read_installed(o, v, err);
	case OPT_FAIL:
		return read_rule("--fail", v, o->fail, &o->n_fail, err);
	case OPT_SILENT:
		return read_rule("--silent", v, o->silent, &o->n_silent, err);
	case OPT_OFFLINE:
		return read_offline(o, v, err);
	case OPT_UNTIL:
		return read_until(o, v, err);
	case OPT_BENCH:
		return read_bench(o, v, err);
	case OPT_ASK:
		o->ask_file = v;
		return FL_OK;
	case OPT_PEER:
		return take(o->peer, sizeof(o->peer), v, strlen(v))
			? FL_OK
			: fl_fail(err, FL_INVALID, "--peer takes a port");
	default:
		return take_number(o, option, v, err);
	}
}

/* ---- what belongs together */

static enum fl_code read_server(struct swarm_options *o, struct fl_err *err)
{
	const char *p = o->server, *colon;
	size_t n;

	if (p == NULL)
		return fl_fail(err, FL_INVALID,
			"--server is missing, as in --server http://127.0.0.1:8470");
	if (strncmp(p, "https://", 8) == 0)
		return fl_fail(
			err, FL_INVALID, "the swarm speaks no TLS; give a plain http:// address");
	if (strncmp(p, "http://", 7) != 0)
		return fl_fail(
			err, FL_INVALID, "--server takes http://HOST:PORT, not \"%.64s\"", p);
	p += 7;
	n = strcspn(p, "/");
	if (p[n] != '\0' && p[n + 1] != '\0')
		return fl_fail(err, FL_INVALID, "--server takes no path behind the port");
	colon = p[0] == '[' ? strchr(p, ']') : p;
	colon = colon == NULL ? NULL : memchr(colon, ':', n - (size_t)(colon - p));
	if (colon == NULL)
		(void)take(o->port, sizeof(o->port), "80", 2);
	else if (!take(o->port, sizeof(o->port), colon + 1, (size_t)(p + n - colon - 1)))
		return fl_fail(err, FL_INVALID, "--server: the port is wrong");
	n = colon == NULL ? n : (size_t)(colon - p);
	if (p[0] == '[' && n > 2 && p[n - 1] == ']') {
		p++;
		n -= 2;
	}
	if (!take(o->host, sizeof(o->host), p, n))
		return fl_fail(err, FL_INVALID, "--server: the host is missing or too long");
	return FL_OK;
}

static enum fl_code read_token(struct swarm_options *o, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf text = { 0 };
	enum fl_code code;

	if (o->token_file == NULL)
		return fl_fail(err, FL_INVALID, "--token-file is missing");
	code = fl_file_get(o->token_file, sizeof(o->token) - 1, &text, err);
	if (code != FL_OK)
		return code;
	while (text.n > 0 && text.p[text.n - 1] <= ' ')
		text.n--;
	if (!take(o->token, sizeof(o->token), (const char *)text.p, text.n))
		return fl_fail(err, FL_INVALID, "%s holds no token", o->token_file);
	return FL_OK;
}

static enum fl_code check_together(const struct swarm_options *o, struct fl_err *err)
{
	if (o->devices + o->gateways == 0 || o->connections == 0)
		return fl_fail(
			err, FL_INVALID, "at least one device and one connection are needed");
	if (strlen(o->prefix) > SWARM_ID_MAX - 24)
		return fl_fail(err, FL_INVALID, "--prefix is too long");
	if (o->bench != SWARM_BENCH_NONE && o->bench_requests == 0 && o->until_s <= 0)
		return fl_fail(err, FL_INVALID, "--bench needs --requests N or --until seconds:N");
	if ((o->bench == SWARM_BENCH_OFFERS) != (o->ask_file != NULL))
		return fl_fail(err, FL_INVALID, "--bench offers and --ask FILE go together");
	if (o->peer[0] != '\0' && (o->bench != SWARM_BENCH_POLLS || o->bench_requests == 0))
		return fl_fail(err, FL_INVALID, "--peer needs --bench polls and --requests N");
	return FL_OK;
}

enum fl_code swarm_options_read(
	struct swarm_options *o, int argc, char **argv, bool *done, struct fl_err *err)
{
	enum fl_code code = FL_OK;
	int option;

	o->prefix = "swarm";
	o->devices = 100;
	o->connections = 64;
	o->seed = 1;
	o->installed = json_array();
	*done = false;
	while (code == FL_OK &&
		(option = getopt_long(argc, argv, "n:c:hV", long_options, NULL)) != -1) {
		if (option == 'h' || option == 'V') {
			(void)fputs(option == 'h' ? usage : "fleet-swarm " PACKAGE_VERSION "\n",
				stdout);
			*done = true;
			return FL_OK;
		}
		code = take_option(o, option, optarg, err);
	}
	if (code == FL_OK && optind < argc)
		code = fl_fail(err, FL_INVALID, "\"%.64s\" is too much", argv[optind]);
	if (code == FL_OK)
		code = read_server(o, err);
	if (code == FL_OK)
		code = read_token(o, err);
	return code == FL_OK ? check_together(o, err) : code;
}

void swarm_options_fini(struct swarm_options *o)
{
	json_decref(o->installed);
	o->installed = NULL;
	fl_wipe(o->token, sizeof(o->token));
}
