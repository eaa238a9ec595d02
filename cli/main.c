/* SPDX-License-Identifier: Apache-2.0
 *
 * fleetctl: everything that the REST API of fleetd does, for a terminal and for pipelines. */
#include "cli/cli.h"
#include "cli/suggest.h"

#include <locale.h>
#include <sodium.h>

/* What was printed must also have arrived. */
static enum fl_code flush(struct fl_err *err)
{
	if (fflush(stdout) != 0 || ferror(stdout) != 0)
		return fl_fail(err, FL_IO, "cannot write to standard output");
	return FL_OK;
}

int main(int argc, char **argv)
{
	struct fl_err err = { 0 };
	struct cli cli;
	enum fl_code code;
	int status;

	(void)setlocale(LC_CTYPE, "");
	cli_init(&cli);
	if (sodium_init() < 0)
		code = fl_fail(&err, FL_INTERNAL, "libsodium does not start");
	else
		code = command_run(&cli, argc, argv, &err);
	if (code == FL_OK)
		code = flush(&err);
	if (code == FL_NOT_FOUND && cli.api.missing != NULL) {
		FL_AUTOFREE char *path = fl_steal(&cli.api.missing);

		suggest_name(&cli, path);
	}
	if (code != FL_OK)
		cli_report(&cli, &err);
	status = code != FL_OK ? fl_exit_code(code) : cli.exit_code;
	cli_fini(&cli);
	return status;
}
