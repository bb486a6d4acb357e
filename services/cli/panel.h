/*
 * panel - what `raeh up` shows: a block of status lines.
 *
 * On a terminal the block stays at the bottom and is drawn again in place; the children's
 * logs come through a pipe and scroll above it; a feed (live insights) has its last lines
 * under it. Elsewhere a status line is printed when it changes, and the children write for
 * themselves: panel_log_fd() and panel_feed_fd() are -1.
 */
#ifndef CLI_PANEL_H
#define CLI_PANEL_H

#include "common/loop.h"

#define PANEL_FEED_LINES 8

struct panel;

/* Takes over our own standard error on a terminal, until panel_free(). */
struct panel *panel_new(struct loop *loop);
void panel_free(struct panel *panel);
AUTO_FREE(struct panel, panel_free)

int panel_log_fd(const struct panel *panel);
int panel_feed_fd(const struct panel *panel);

/* text: lines that each end with '\n'. */
void panel_show(struct panel *panel, const char *text);

/* The nth line of text (from 0), without its end; NULL when there are fewer. */
const char *panel_line(const char *text, size_t nth, size_t *ret_len);
/* The longest beginning of at most columns characters: never splits one. */
size_t panel_fit(const char *line, size_t len, size_t columns);

#endif
