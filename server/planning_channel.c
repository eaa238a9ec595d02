/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of its devices a channel may bring up to its release: not those that another channel selects
 * too, that failed too often, or that are silent (they would keep a rollout open for nothing). */
#include "server/planning_load.h"

#include "server/store/channel.h"

struct sieve {
	struct planning_loader *l;
	uint32_t *counter; /* of what is being taken out */
	int64_t own;       /* the channel's number */
};

static void take_out(struct sieve *s, uint32_t device)
{
	uint8_t *flags = &s->l->s->devices.flags[device];

	*s->counter += (*flags & PLAN_SELECTED) != 0;
	*flags &= (uint8_t)~PLAN_SELECTED;
}

static enum fl_code on_other_device(void *context, const struct device *d, struct fl_err *err)
{
	struct sieve *s = context;
	uint32_t i = planning_find(&s->l->s->devices, d->no);

	(void)err;
	if (i != PLAN_NO_DEVICE)
		take_out(s, i);
	return FL_OK;
}

static enum fl_code on_other_channel(void *context, const struct channel *c, struct fl_err *err)
{
	struct sieve *s = context;
	RSQL_AUTO struct rsql *where = NULL;
	enum fl_code code = FL_OK;

	if (c->id == s->own)
		return FL_OK;
	if (c->selector[0] != '\0')
		code = rsql_parse(c->selector, &where, err);
	if (code != FL_OK)
		return fl_wrap(err, "channel %s", c->name);
	return device_select_narrow(s->l->store,
		&(struct device_filter){ .where = where, .scope = s->l->selector, .limit = -1 },
		on_other_device, s, err);
}

static enum fl_code on_given_up(void *context, int64_t device_no, struct fl_err *err)
{
	struct sieve *s = context;
	uint32_t i = planning_find(&s->l->s->devices, device_no);

	(void)err;
	if (i != PLAN_NO_DEVICE)
		take_out(s, i);
	return FL_OK;
}

enum fl_code planning_load_channel(struct planning_loader *l, struct fl_err *err)
{
	struct planning_left_out *out = &l->s->left_out;
	struct sieve s = { .l = l, .own = l->rq->channel_id };
	struct channel c = { 0 };
	enum fl_code code = channel_by_id(l->store, l->rq->channel_id, &c, err);

	s.counter = &out->ambiguous;
	if (code == FL_OK)
		code = channel_each(l->store, 0, -1, on_other_channel, &s, err);
	s.counter = &out->given_up;
	if (code == FL_OK)
		code = channel_each_given_up(l->store, &c, on_given_up, &s, err);
	s.counter = &out->silent;
	for (size_t i = 0; i < l->s->devices.n && code == FL_OK; i++) {
		if (l->s->devices.silent_s[i] > l->rq->silent_s)
			take_out(&s, (uint32_t)i);
	}
	channel_fini(&c);
	return code;
}
