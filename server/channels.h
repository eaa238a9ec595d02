/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels: devices that no rollout holds are brought up to the channel's release, and completed
 * rollouts move it.
 *
 * DESIGN. Every `channel_interval` each channel that is on is looked at, one after the other:
 *   write  tend   gates that silent devices left open are passed; too many failures halt the channel
 *   read   load   its devices that have spoken lately, but those held, ambiguous or given up
 *   work   plan   what they would have to change
 *   write  bring  if there is anything: a rollout like any other, made and started by the channel
 * As long as nothing has changed that it rests on (planning_changes) and nobody silent has spoken again,
 * only `tend` is done, but for one round in ten: a large fleet that stands still costs next to nothing.
 * So all that rollouts promise (order, gates, explanation, manifests) holds for channels too. A device
 * that belongs to two channels is brought up by none.
 *
 * Brought up and down by server/parts.h. */
#ifndef CHANNELS_H
#define CHANNELS_H

#include "server/effects.h"
#include "server/rollout/model.h"
#include "server/store/channel.h"

struct channels;

/* A rollout has come to `state`: one that is completed moves its channel, one that is taken back moves
 * it back. Write lane, in the same transaction. */
enum fl_code channels_rollout(struct store *store, struct effects *effects, int64_t rollout_id,
	enum rollout_state state, struct fl_err *err) FL_MUST_CHECK;

/* Forgive what has failed so far: nothing before the newest rollout counts, and the channel is on.
 * Changes `c`, writes nothing. Any lane. */
enum fl_code channels_forgive(
	struct store *store, struct channel *c, struct fl_err *err) FL_MUST_CHECK;

#endif
