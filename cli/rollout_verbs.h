/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be done with a rollout once it is there. */
#ifndef CLI_ROLLOUT_VERBS_H
#define CLI_ROLLOUT_VERBS_H

#include "cli/command.h"

extern const struct command rollout_approve, rollout_deny, rollout_start, rollout_pause,
	rollout_resume, rollout_promote, rollout_verdict, rollout_stop, rollout_rollback,
	rollout_retry, rollout_release;

#endif
