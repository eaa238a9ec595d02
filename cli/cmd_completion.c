/* SPDX-License-Identifier: Apache-2.0
 *
 * The completion of bash, written out from the command tree. Names of modules, releases, devices and
 * rollouts are asked from the server while one types. */
#include "cli/cli.h"

#include "cli/text.h"

#include <string.h>

static const char *const begin =
	"# bash completion for fleetctl; made by 'fleetctl completion bash'\n"
	"\n"
	"# Names that the server knows: operand kind, the operand before it\n"
	"_fleetctl_names()\n"
	"{\n"
	"\tcase $1 in\n"
	"\tMODULE) timeout 2 fleetctl module ls -q 2>/dev/null ;;\n"
	"\tVERSION) timeout 2 fleetctl version ls \"$2\" -q 2>/dev/null ;;\n"
	"\tRELEASE) timeout 2 fleetctl release ls -q 2>/dev/null ;;\n"
	"\tDEVICE) timeout 2 fleetctl device ls -q -n 200 2>/dev/null ;;\n"
	"\tROLLOUT) timeout 2 fleetctl rollout ls -q 2>/dev/null ;;\n"
	"\tTOKEN) timeout 2 fleetctl token ls -q 2>/dev/null ;;\n"
	"\tSHELL) echo bash ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_fleetctl_value()\n"
	"{\n"
	"\tcase $1 in\n"
	"\tFILE) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	"\t*) COMPREPLY=($(compgen -W \"$(_fleetctl_names \"$1\" \"$2\")\" -- \"$cur\")) ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_fleetctl()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal path=\"\" word skip=\"\" commands=\"\" options=\"\" i\n"
	"\tlocal -a kinds=() given=()\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tif [[ -n $skip ]]; then\n"
	"\t\t\tskip=\"\"\n"
	"\t\t\tcontinue\n"
	"\t\tfi\n"
	"\t\tcase $word in\n";

static const char *const middle = "\t\t-*) ;;\n"
				  "\t\t*)\n"
				  "\t\t\tcase \"$path $word\" in\n";

static const char *const after_paths = "\t\t\t*) given+=(\"$word\") ;;\n"
				       "\t\t\tesac ;;\n"
				       "\t\tesac\n"
				       "\tdone\n"
				       "\tcase \"$path $prev\" in\n";

static const char *const end =
	"\tesac\n"
	"\tif [[ $cur == -* ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
	"\telif [[ -n $commands ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -W \"$commands\" -- \"$cur\"))\n"
	"\telif [[ ${#given[@]} -lt ${#kinds[@]} ]]; then\n"
	"\t\t_fleetctl_value \"${kinds[${#given[@]}]}\" \"${given[*]: -1}\"\n"
	"\telif [[ ${#kinds[@]} -gt 0 && ${kinds[-1]} == *... ]]; then\n"
	"\t\t_fleetctl_value \"${kinds[-1]%...}\" \"\"\n"
	"\tfi\n"
	"}\n"
	"complete -o filenames -o bashdefault -F _fleetctl fleetctl\n";

/* Something written for every command; `words` is " rollout create". */
typedef void visit_fn(struct fl_buf *b, const struct command *c, const char *words);

static void walk(struct fl_buf *b, const struct command *c, const char *words, visit_fn *visit)
{
	visit(b, c, words);
	for (size_t i = 0; c->children != NULL && c->children[i] != NULL; i++) {
		FL_AUTOFREE char *longer = text_format("%s %s", words, c->children[i]->name);

		if (!c->children[i]->hidden)
			walk(b, c->children[i], longer, visit);
	}
}

static void value_options(struct fl_buf *b, const struct options_row *rows)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		if (!options_takes_value(rows))
			continue;
		if (rows->letter != 0)
			fl_buf_printf(b, "\t\t-%c | --%s) skip=1 ;;\n", rows->letter, rows->name);
		else
			fl_buf_printf(b, "\t\t--%s) skip=1 ;;\n", rows->name);
	}
}

static void visit_value_options(struct fl_buf *b, const struct command *c, const char *words)
{
	(void)words;
	value_options(b, c->options);
}

static void visit_path(struct fl_buf *b, const struct command *c, const char *words)
{
	(void)c;
	if (words[0] != '\0')
		fl_buf_printf(b, "\t\t\t\"%s\") path=\"$path $word\" ;;\n", words);
}

/* What completes the value of an option. */
static void option_values(struct fl_buf *b, const struct options_row *rows, const char *words)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		if (!options_takes_value(rows))
			continue;
		if (words == NULL)
			fl_buf_printf(b, "\t*\" --%s\") ", rows->name);
		else
			fl_buf_printf(b, "\t\"%s --%s\") ", words, rows->name);
		if (rows->choices == NULL) {
			fl_buf_printf(b, "_fleetctl_value %s; return ;;\n", rows->argument);
			continue;
		}
		fl_buf_str(b, "COMPREPLY=($(compgen -W \"");
		for (size_t i = 0; rows->choices[i] != NULL; i++)
			fl_buf_printf(b, "%s%s", i > 0 ? " " : "", rows->choices[i]);
		fl_buf_str(b, "\" -- \"$cur\")); return ;;\n");
	}
}

static void visit_option_values(struct fl_buf *b, const struct command *c, const char *words)
{
	option_values(b, c->options, words);
}

static void option_names(struct fl_buf *b, const struct options_row *rows)
{
	for (; rows != NULL && rows->name != NULL; rows++)
		fl_buf_printf(b, "--%s ", rows->name);
}

/* "MODULE VERSION [FILE]" as words without brackets. */
static void operand_kinds(struct fl_buf *b, const char *operands)
{
	for (; operands != NULL && *operands != '\0'; operands++) {
		if (*operands != '[' && *operands != ']')
			fl_buf_byte(b, (uint8_t)*operands);
	}
}

static void visit_words(struct fl_buf *b, const struct command *c, const char *words)
{
	fl_buf_printf(b, "\t\"%s\")\n\t\tcommands=\"", words);
	for (size_t i = 0; c->children != NULL && c->children[i] != NULL; i++) {
		if (!c->children[i]->hidden)
			fl_buf_printf(b, "%s%s", i > 0 ? " " : "", c->children[i]->name);
	}
	fl_buf_str(b, "\"\n\t\toptions=\"");
	option_names(b, c->options);
	option_names(b, command_globals);
	b->n--; /* the last blank */
	fl_buf_str(b, "\"\n\t\tkinds=(");
	operand_kinds(b, c->operands);
	fl_buf_str(b, ") ;;\n");
}

static enum fl_code completion(struct cli *cli, const void *options, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };

	(void)options;
	if (strcmp(cli_operand(cli, 0), "bash") != 0)
		return fl_fail(err, FL_INVALID, "there is no completion for %.40s, only for bash",
			cli_operand(cli, 0));
	fl_buf_str(&b, begin);
	value_options(&b, command_globals);
	walk(&b, &command_root, "", visit_value_options);
	fl_buf_str(&b, middle);
	walk(&b, &command_root, "", visit_path);
	fl_buf_str(&b, after_paths);
	option_values(&b, command_globals, NULL);
	walk(&b, &command_root, "", visit_option_values);
	fl_buf_str(&b, "\tesac\n\tcase $path in\n");
	walk(&b, &command_root, "", visit_words);
	fl_buf_str(&b, end);
	text_check(&b);
	(void)fwrite(b.p, 1, b.n, stdout);
	return FL_OK;
}

const struct command cmd_completion = {
	.name = "completion",
	.operands = "SHELL",
	.help = "print the completion for a shell (bash)",
	.prose = "'make install' puts it in its place already.\n\n",
	.examples = "source <(fleetctl completion bash)\n",
	.run = completion,
};
