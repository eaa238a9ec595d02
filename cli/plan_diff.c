/* SPDX-License-Identifier: Apache-2.0
 *
 * Two plans side by side. */
#include "cli/plan.h"

#include "cli/text.h"
#include "cli/value.h"

/* Modules of one unit, or of a class's way: "lib 1.4.0, app". */
static void add_words(struct fl_buf *b, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *one = json_array_get(array, i);

		fl_buf_str(b, i > 0 ? ", " : "");
		if (json_is_array(one))
			add_words(b, one);
		else if (value_text(one, "module") != NULL)
			fl_buf_printf(b, "%s %s", value_text(one, "module"),
				value_text(one, "version") != NULL ? value_text(one, "version")
								   : "removed");
		else if (value_text(one, "reason") != NULL)
			fl_buf_str(b, value_text(one, "reason"));
		else if (json_is_string(one))
			fl_buf_str(b, json_string_value(one));
		else
			fl_json_write(b, one);
	}
}

static void add_side(struct table *t, const json_t *value)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	if (value == NULL || json_is_null(value))
		fl_buf_str(&b, "-");
	else if (json_is_string(value))
		fl_buf_str(&b, json_string_value(value));
	else if (json_is_array(value))
		add_words(&b, value);
	else
		fl_json_write(&b, value);
	text_check(&b);
	table_add(t, b.n > 0 ? (char *)b.p : "-");
}

static void show_changes(const struct cli *cli, const json_t *diff)
{
	static const struct table_column columns[] = {
		{ .title = "WHAT", .cut = true },
		{ .title = "A", .cut = true },
		{ .title = "B", .cut = true },
	};
	TABLE_AUTO struct table t = { .columns = columns, .n_columns = FL_COUNT(columns) };
	const json_t *changes = json_object_get(diff, "changes");

	for (size_t i = 0; i < json_array_size(changes); i++) {
		const json_t *one = json_array_get(changes, i);

		table_add(&t, value_text(one, "what"));
		add_side(&t, json_object_get(one, "a"));
		add_side(&t, json_object_get(one, "b"));
	}
	if (t.n_cells > 0)
		table_print(&t, &cli->out, stdout, false);
}

static void say_members(const struct cli *cli, const json_t *members)
{
	char same[TEXT_SHORT], other[TEXT_SHORT], only_a[TEXT_SHORT], only_b[TEXT_SHORT];

	cli_say(cli,
		"devices to update: %s in the same wave, %s in another, %s only in A, %s only in B",
		text_count(same, value_int(members, "same_wave")),
		text_count(other, value_int(members, "other_wave")),
		text_count(only_a, value_int(members, "only_a")),
		text_count(only_b, value_int(members, "only_b")));
}

void plan_show_diff(const struct cli *cli, const json_t *diff)
{
	const json_t *a = json_object_get(diff, "a"), *b = json_object_get(diff, "b");

	if (cli->globals.quiet)
		return;
	if (json_is_true(json_object_get(diff, "same"))) {
		cli_say(cli, "the plans are the same: %s", value_text(a, "digest"));
		return;
	}
	cli_say(cli, "A: %s (%s)", value_text(a, "rollout"), value_text(a, "id"));
	cli_say(cli, "B: %s (%s)", value_text(b, "rollout"), value_text(b, "id"));
	show_changes(cli, diff);
	say_members(cli, json_object_get(diff, "members"));
}
