/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the servers and their tokens are kept between calls.
 *
 * DESIGN. One JSON file, $XDG_CONFIG_HOME/fleetctl/config (else ~/.config/fleetctl/config), mode
 * 0600 in a folder 0700: {"current": NAME, "profiles": {NAME: {"server", "token", "ca_file"}}}.
 * It is replaced whole. A flag goes before an environment variable, that before the profile. */
#ifndef CLI_PROFILE_H
#define CLI_PROFILE_H

#include "lib/err.h"

/* What a call needs to know of its server. Zeroed memory is a valid empty one. */
struct profile {
	char *name;    /* owned, as are all; NULL: not from a profile */
	char *server;  /* "https://fleet.example.com", no slash at the end */
	char *token;   /* NULL: none known */
	char *ca_file; /* NULL: the system's authorities */
};

/* What the flags say; NULL where they say nothing. Borrowed. */
struct profile_flags {
	const char *name, *server, *token_file, *ca_file;
};

/* Free what `p` owns, the token overwritten first. Safe twice. */
void profile_fini(struct profile *p);

/* Put together flags, environment (FLEETCTL_PROFILE, FLEETCTL_SERVER, FLEETCTL_TOKEN,
 * FLEETCTL_CA_FILE) and the stored profile. A stored token is only used for its own server. Without
 * any server it is FL_INVALID with a sentence about login; a profile that is named but not stored
 * is FL_NOT_FOUND. */
enum fl_code profile_load(
	struct profile *p, const struct profile_flags *flags, struct fl_err *err) FL_MUST_CHECK;

/* Keep `p` under its name (NULL: "default") and make it the current one. */
enum fl_code profile_save(const struct profile *p, struct fl_err *err) FL_MUST_CHECK;

/* Forget the named profile (NULL: the current one); `*removed` is its name, the caller frees.
 * FL_NOT_FOUND. */
enum fl_code profile_remove(const char *name, char **removed, struct fl_err *err) FL_MUST_CHECK;

/* A token from a file, "-" for stdin: its first line. The caller frees. FL_INVALID if it is not
 * one. */
enum fl_code profile_read_token(const char *file, char **out, struct fl_err *err) FL_MUST_CHECK;

/* Where the file is. The caller frees. FL_INVALID when there is neither XDG_CONFIG_HOME nor HOME. */
enum fl_code profile_path(char **out, struct fl_err *err) FL_MUST_CHECK;

#endif
