/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include "cli/text.h"

#include "lib/clock.h"

#include <time.h>

#define BAR        24
#define REDRAW_MS  100
#define SETTLED_MS 500 /* a rate is not said before this */

void progress_begin(struct progress *p, bool quiet, const char *label, int64_t first, int64_t total)
{
	*p = (struct progress){ .label = label, .first = first, .total = total };
	p->terminal = terminal_of(stderr);
	p->on = !quiet && p->terminal.moves && total > 0;
	p->began_ms = fl_clock_ms(CLOCK_MONOTONIC);
	progress_update(p, first);
}

static void add_bar(const struct progress *p, struct fl_buf *b, double share)
{
	size_t full = (size_t)(share * BAR);

	fl_buf_str(b, terminal_on(&p->terminal, TERMINAL_BUSY));
	for (size_t i = 0; i < BAR; i++) {
		if (p->terminal.utf8)
			fl_buf_str(b, i < full ? "━" : "┄");
		else
			fl_buf_byte(b, i < full ? '#' : '.');
	}
	fl_buf_str(b, terminal_off(&p->terminal));
}

static void add_rate(const struct progress *p, struct fl_buf *b, int64_t done, int64_t elapsed_ms)
{
	char text[TEXT_SHORT];
	double rate = (double)(done - p->first) * 1000 / (double)elapsed_ms;

	fl_buf_printf(b, "  %s/s", text_bytes(text, (int64_t)rate));
	if (rate > 0)
		fl_buf_printf(b, "  %s left", text_seconds(text, (double)(p->total - done) / rate));
}

void progress_update(struct progress *p, int64_t done)
{
	FL_AUTO_BUF struct fl_buf b = { 0 };
	FL_AUTO_BUF struct fl_buf line = { 0 };
	int64_t now = fl_clock_ms(CLOCK_MONOTONIC);
	double share = p->total > 0 ? (double)done / (double)p->total : 0;
	char text[TEXT_SHORT];

	if (!p->on || (p->drawn_ms != 0 && now - p->drawn_ms < REDRAW_MS))
		return;
	p->drawn_ms = now;
	share = share > 1 ? 1 : share;
	fl_buf_printf(&line, "%3.0f %%  %s", share * 100, text_bytes(text, done));
	fl_buf_printf(&line, " of %s", text_bytes(text, p->total));
	if (now - p->began_ms >= SETTLED_MS && done < p->total)
		add_rate(p, &line, done, now - p->began_ms);
	fl_buf_str(&b, "\r\033[K");
	if (p->terminal.width > BAR + 2 + line.n + text_width(p->label) + 1) {
		text_clean(&b, p->label);
		fl_buf_byte(&b, ' ');
	}
	if (p->terminal.width > BAR + 2 + line.n) {
		add_bar(p, &b, share);
		fl_buf_byte(&b, ' ');
	}
	fl_buf_add(&b, line.p, line.n < p->terminal.width ? line.n : p->terminal.width - 1);
	text_check(&b);
	(void)fwrite(b.p, 1, b.n, stderr);
	(void)fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->on && p->drawn_ms != 0) {
		(void)fputs("\r\033[K", stderr);
		(void)fflush(stderr);
	}
	p->on = false;
}
