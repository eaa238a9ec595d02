/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gates of a plan would do with a good and with a bad release, as a table. */
#include "cli/plan.h"

#include "cli/text.h"
#include "cli/value.h"

/* Devices as a number that need not be whole. */
static void add_devices(struct table *t, double n)
{
	table_addf(t, TERMINAL_PLAIN, "%.*f", n < 9.95 ? 1 : 0, n);
}

static void chance_row(struct table *t, const char *place, const json_t *chance)
{
	double pass = value_real(chance, "pass"), sample = value_real(chance, "sample");
	char text[TEXT_SHORT];

	table_add(t, place);
	table_addf(t, TERMINAL_PLAIN, "%g %%", value_real(chance, "failure_percent"));
	table_add(t, text_share(text, pass));
	table_add(t, text_share(text, value_real(chance, "fail")));
	if (sample >= 0)
		add_devices(t, sample);
	else
		table_add(t, NULL);
	add_devices(t, value_real(chance, "harmed"));
	add_devices(t, value_real(chance, "harmed_silent"));
}

/* Stages alike in devices and chances are shown once, by their first. */
static bool shown_before(const json_t *stages, size_t i)
{
	const json_t *stage = json_array_get(stages, i);

	for (size_t k = 0; k < i; k++)
		if (json_equal(json_object_get(json_array_get(stages, k), "chances"),
			    json_object_get(stage, "chances")))
			return true;
	return false;
}

static void show_demands(const json_t *gates)
{
	const json_t *demands = json_object_get(gates, "demands");

	for (size_t i = 0; i < json_array_size(demands); i++) {
		const char *text = value_text(json_array_get(demands, i), "text");
		FL_AUTO_BUF struct fl_buf clean = { 0 };

		text_clean(&clean, text != NULL ? text : "?");
		text_check(&clean);
		(void)printf("  %s\n", (char *)clean.p);
	}
}

void plan_show_gates(const struct cli *cli, const json_t *plan)
{
	static const struct table_column columns[] = {
		{ .title = "STAGE" },
		{ .title = "IF THIS MANY FAIL", .right = true },
		{ .title = "PASSES", .right = true },
		{ .title = "FAILS", .right = true },
		{ .title = "SAMPLE", .right = true },
		{ .title = "HARMED", .right = true },
		{ .title = "IF SILENT", .right = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	const json_t *gates = json_object_get(plan, "gates");
	const json_t *stages = json_object_get(gates, "stages"),
		     *whole = json_object_get(gates, "whole");
	bool exact = true;

	if (json_array_size(stages) == 0)
		return;
	for (size_t i = 0; i < json_array_size(stages); i++) {
		const json_t *stage = json_array_get(stages, i);
		const json_t *chances = json_object_get(stage, "chances");
		char name[32];

		exact = exact && json_is_true(json_object_get(stage, "exact"));
		(void)snprintf(name, sizeof(name), "L%d.W%d", (int)value_int(stage, "layer"),
			(int)value_int(stage, "wave"));
		for (size_t k = 0; k < json_array_size(chances) && !shown_before(stages, i); k++)
			chance_row(&t, name, json_array_get(chances, k));
	}
	for (size_t k = 0; k < json_array_size(whole); k++)
		chance_row(&t, "whole", json_array_get(whole, k));
	(void)printf("\n%sGates: what they would do with a release of which a share of devices "
		     "fails%s\n",
		terminal_on(&cli->out, TERMINAL_TITLE), terminal_off(&cli->out));
	show_demands(gates);
	table_print(&t, &cli->out, stdout, false);
	if (!exact)
		cli_say(cli, "some of these chances are estimates: the stages are large");
}
