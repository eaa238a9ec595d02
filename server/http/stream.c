/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that go to their handler in pieces.
 *
 * DESIGN. Two buffers: MHD fills one while the lane works on the other. When both are full the
 * connection is suspended until the lane is done: that is the back-pressure. */
#include "server/http/exchange.h"

#include <string.h>
#include <sys/socket.h>

static enum fl_code run_piece(struct request *rq, struct fl_err *err)
{
	struct exchange *x = exchange_of(rq);
	const struct fl_bytes bytes = { .p = x->stream.piece.p, .n = x->stream.piece.n };

	return x->stream.ops->piece(rq, bytes, err);
}

/* Give the lane what there is for it, if it is free. */
static void feed(struct exchange *x)
{
	struct exchange_stream *st = &x->stream;
	struct fl_buf swap = st->piece;

	if (x->in_lane || x->phase == PHASE_READY)
		return;
	if (st->fill.n == STREAM_PIECE_BYTES || (st->ended && st->fill.n > 0)) {
		st->piece = st->fill;
		st->fill = swap;
		fl_buf_reset(&st->fill);
		exchange_submit(x, st->ops->lane, run_piece);
	} else if (st->ended && !st->end_called) {
		st->end_called = true;
		exchange_submit(x, st->ops->lane, st->ops->end);
	}
}

/* MHD waits for an edge of epoll after it has read less than it asked for. If the client's end lay
 * behind those very bytes, that edge is past, and a cut upload would stay until it idles out. Closing
 * our reading side makes a new one. */
static void notice_end(struct exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	char byte;

	if (info != NULL && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		(void)shutdown(info->connect_fd, SHUT_RD);
}

size_t stream_take(struct exchange *x, const char *bytes, size_t n)
{
	struct exchange_stream *st = &x->stream;
	size_t room = STREAM_PIECE_BYTES - st->fill.n;
	size_t taken = n < room ? n : room;

	fl_buf_add(&st->fill, bytes, taken);
	if (st->fill.failed) {
		answer_problem(x, FL_NOMEM, "no memory for the body");
		exchange_ready(x);
		return n;
	}
	st->ended = n == 0;
	if (!st->ended)
		notice_end(x);
	feed(x);
	if (x->phase != PHASE_READY && (st->ended || st->fill.n == STREAM_PIECE_BYTES))
		exchange_suspend(x);
	return taken;
}

void stream_advance(struct exchange *x)
{
	struct exchange_stream *st = &x->stream;

	if (st->end_called) {
		answer_problem(x, FL_INTERNAL, "the handler gave no answer");
		exchange_ready(x);
		return;
	}
	x->phase = PHASE_STREAM;
	feed(x);
	if (!st->ended && st->fill.n < STREAM_PIECE_BYTES)
		exchange_resume(x);
}
