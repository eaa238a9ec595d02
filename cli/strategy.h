/* SPDX-License-Identifier: Apache-2.0
 *
 * How a rollout is described on the command line: `rollout create` and `plan preview` share it. */
#ifndef CLI_STRATEGY_H
#define CLI_STRATEGY_H

#include "cli/cli.h"

/* Windows as they are written, "0 22 * * mon-fri/8h": a rule and a length, as the array that the API takes, a
 * new reference. FL_INVALID with a sentence. */
enum fl_code strategy_windows(
	const struct options_list *list, json_t **out, struct fl_err *err) FL_MUST_CHECK;
/* Append the rules of such an array in words: "0 22 * * mon-fri for 8 h", with commas. */
void strategy_windows_text(const json_t *windows, struct fl_buf *out);

struct strategy_options {
	const char *release, *selector, *file, *order, *on_failure, *conflicts, *early, *channel,
		*joiners;
	struct options_list waves, strata, causes, approvers, gates, hold_by;
	int64_t approvals;
	int64_t seed, success_minimum, error_minimum, soak_s, reach_s, install_s, probation_s;
	int64_t max_joiners, max_in_flight, max_per_minute, priority;
	struct options_list windows, switch_windows;
	const char *zone, *zone_of;
	double success_percent, error_percent, max_drift_percent;
	bool carry, supersede;
};

#define STRATEGY_ROW_(type_, member_, name_, kind_, ...)                 \
	{                                                                \
		.name = name_, .type = OPTIONS_##kind_,                  \
		.offset = offsetof(type_, strategy.member_), __VA_ARGS__ \
	}

/* The rows for a struct `type_` that has a struct strategy_options called `strategy`. */
#define STRATEGY_ROWS(type_)                                                                       \
	STRATEGY_ROW_(type_, release, "release", TEXT, .argument = "RELEASE",                      \
		.help = "what the devices shall get"),                                             \
		STRATEGY_ROW_(type_, selector, "selector", TEXT, .letter = 's',                    \
			.argument = "RSQL", .help = "only devices that match (all)"),              \
		STRATEGY_ROW_(type_, channel, "channel", TEXT, .argument = "CHANNEL",              \
			.help = "the devices of this channel; it moves to the release when the "   \
				"rollout is completed"),                                           \
		STRATEGY_ROW_(type_, waves, "wave", LIST, .argument = "SIZE",                      \
			.help = "the next wave: 5 (devices), 10% (of all), an RSQL expression, "   \
				"or "                                                              \
				"x2: each twice the one before until all are in; a last one of "   \
				"100% takes the rest (1%, 10%, 100%)"),                            \
		STRATEGY_ROW_(type_, early, "early", TEXT, .argument = "RSQL",                     \
			.help = "test devices, which come before all others"),                     \
		STRATEGY_ROW_(type_, strata, "strata", LIST, .argument = "FIELD",                  \
			.help = "every wave gets its share of each value of it, as attribute.hw"), \
		STRATEGY_ROW_(type_, seed, "seed", COUNT, .argument = "N",                         \
			.help = "repeat the shuffle of another rollout"),                          \
		STRATEGY_ROW_(type_, order, "order", CHOICE, .argument = "ORDER",                  \
			.choices = strategy_orders,                                                \
			.help = "which stage comes next (wave_first)"),                            \
		STRATEGY_ROW_(type_, success_percent, "success", PERCENT, .argument = "PERCENT",   \
			.help = "a stage passes with at least this share confirmed (95)"),         \
		STRATEGY_ROW_(type_, success_minimum, "success-minimum", COUNT, .argument = "N",   \
			.help = "as soon as N devices are counted (all of the stage)"),            \
		STRATEGY_ROW_(type_, error_percent, "error", PERCENT, .argument = "PERCENT",       \
			.help = "a stage fails with more than this share failed (5)"),             \
		STRATEGY_ROW_(type_, error_minimum, "error-minimum", COUNT, .argument = "N",       \
			.help = "as soon as N devices are counted (1)"),                           \
		STRATEGY_ROW_(type_, causes, "count-cause", LIST, .argument = "CAUSE",             \
			.help = "failures that count: release, device, network, server, unknown "  \
				"(release and unknown)"),                                          \
		STRATEGY_ROW_(type_, gates, "gate", LIST, .argument = "KIND[:KEY=VALUE,...]",      \
			.help = "what else must agree: sprt, bayes, stop, external or manual, "    \
				"as sprt:p0_percent=1,p1_percent=5"),                              \
		STRATEGY_ROW_(type_, hold_by, "hold-by", LIST, .argument = "FIELD",                \
			.help = "hold a stratum alone if failures are concentrated in it, as "     \
				"attribute.hw or gateway"),                                        \
		STRATEGY_ROW_(type_, carry, "carry", FLAG,                                         \
			.help = "an undecided wave hands its evidence to the next one"),           \
		STRATEGY_ROW_(type_, on_failure, "on-failure", CHOICE, .argument = "ACT",          \
			.choices = strategy_acts, .help = "what a failed stage leads to (pause)"), \
		STRATEGY_ROW_(type_, soak_s, "soak", DURATION, .argument = "DURATION",             \
			.help = "a passed stage must stay good that long (0)"),                    \
		STRATEGY_ROW_(type_, probation_s, "probation", DURATION, .argument = "DURATION",   \
			.help = "a device runs the new version that long before it confirms "      \
				"(30s)"),                                                          \
		STRATEGY_ROW_(type_, reach_s, "reach", DURATION, .argument = "DURATION",           \
			.help = "wait that long for silent devices (7d)"),                         \
		STRATEGY_ROW_(type_, install_s, "install", DURATION, .argument = "DURATION",       \
			.help = "from delivery to confirmation, else it failed (1h)"),             \
		STRATEGY_ROW_(type_, max_in_flight, "max-in-flight", COUNT, .argument = "N",       \
			.help = "devices that update at the same time (0: no limit)"),             \
		STRATEGY_ROW_(type_, max_per_minute, "max-per-minute", COUNT, .argument = "N",     \
			.help = "devices that are offered it in a minute (0: no limit); ramps, "   \
				"groups and retries are in the file of --strategy"),               \
		STRATEGY_ROW_(type_, windows, "window", LIST, .argument = "RULE/DURATION",         \
			.help = "deliver only from then on for so long, as '0 22 * * mon-fri/8h' " \
				"or 'FREQ=WEEKLY;BYDAY=SA/1d'"),                                   \
		STRATEGY_ROW_(type_, switch_windows, "switch-window", LIST,                        \
			.argument = "RULE/DURATION",                                               \
			.help = "devices switch only then to what they have"),                     \
		STRATEGY_ROW_(type_, zone, "zone", TEXT, .argument = "ZONE",                       \
			.help = "whose clock windows mean, as Europe/Berlin (UTC)"),               \
		STRATEGY_ROW_(type_, zone_of, "zone-of", TEXT, .argument = "FIELD",                \
			.help = "what names the zone of a device, as label.zone"),                 \
		STRATEGY_ROW_(type_, max_drift_percent, "max-drift", PERCENT,                      \
			.argument = "PERCENT",                                                     \
			.help = "start refuses if more of the fleet changed since planning (2)"),  \
		STRATEGY_ROW_(type_, conflicts, "conflicts", CHOICE, .argument = "ACT",            \
			.choices = strategy_conflicts,                                             \
			.help = "devices whose requirements cannot be met (refuse)"),              \
		STRATEGY_ROW_(type_, joiners, "joiners", CHOICE, .argument = "WHERE",              \
			.choices = strategy_joiners,                                               \
			.help = "new devices join this wave until it is opened (none)"),           \
		STRATEGY_ROW_(type_, max_joiners, "max-joiners", COUNT, .argument = "N",           \
			.help = "so many at most (0: no limit)"),                                  \
		STRATEGY_ROW_(type_, priority, "priority", COUNT, .argument = "N",                 \
			.help = "the rollout with the higher one has a device that two want (0)"), \
		STRATEGY_ROW_(type_, supersede, "supersede", FLAG,                                 \
			.help = "take devices over from older rollouts of the same priority"),     \
		STRATEGY_ROW_(type_, approvals, "approvals", COUNT, .argument = "N",               \
			.help = "so many approvers must agree before it may start (as the server " \
				"demands)"),                                                       \
		STRATEGY_ROW_(type_, approvers, "approver", LIST, .argument = "TOKEN",             \
			.help = "an approver whose word counts, by the name of the token (all)"),  \
		STRATEGY_ROW_(type_, file, "strategy", TEXT, .argument = "FILE",                   \
			.help = "the strategy as JSON; options go before it")

extern const char *const strategy_orders[],
	*const strategy_acts[], *const strategy_conflicts[], *const strategy_joiners[];

/* What the options of every call say in the manual. */
#define STRATEGY_PROSE                                                                           \
	"The fleet is cut into waves, the release into layers by its dependencies; each stage, " \
	"one "                                                                                   \
	"layer in one wave, opens when the one before has passed its gate. Only confirmed "      \
	"devices "                                                                               \
	"count as success. What is not given has the default in brackets.\n\n"

/* Add what --gate and --carry say to a strategy's `gate`. FL_INVALID names the option. */
enum fl_code strategy_gates(
	json_t *gate, const struct strategy_options *o, struct fl_err *err) FL_MUST_CHECK;

/* The body for PUT /rollouts/{name} and POST /plans; *out is a new reference. FL_INVALID, FL_NOT_FOUND
 * and FL_IO for the file. */
enum fl_code strategy_body(
	const struct strategy_options *o, json_t **out, struct fl_err *err) FL_MUST_CHECK;

/* Add the strategy of a rollout, as the API gives it, to a table of fields. */
void strategy_show(struct table *t, const json_t *strategy);

#endif
