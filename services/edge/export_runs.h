/*
 * export_runs - where the frames of a session lie in time, and which are still to be read.
 *
 * An export goes through the session window by window of time. For a window this says which
 * frame numbers must be read; what has been read once and is behind is not read again.
 */
#ifndef EDGE_EXPORT_RUNS_H
#define EDGE_EXPORT_RUNS_H

#include "common/mem.h"
#include "publisher.pb-c.h"

#define EXPORT_RUNS_MOST 262144

struct export_run {
	int64_t from_ms, to_ms;
	uint64_t first, last;   /* first moves on as frames are done with */
	uint64_t seen, pending; /* in this window: the last one read; the first not done, or 0 */
	uint32_t slot_id;
};

struct export_numbers {
	uint64_t first, last;
};

struct export_runs {
	struct export_run *run; /* sorted by from_ms */
	size_t n, cap;
	size_t behind; /* all before it are done */
	size_t *active;
	size_t n_active, cap_active;
	struct export_numbers *todo; /* of the window: rising, apart */
	size_t n_todo, cap_todo;
};

void export_runs_free(struct export_runs *runs);
/* False: there are EXPORT_RUNS_MOST. */
bool export_runs_add(struct export_runs *runs, const Publisher__FrameRun *from);
void export_runs_sort(struct export_runs *runs);

/* When the next samples at or after at_ms begin (at_ms when some reach into it). False: none. */
bool export_runs_next(struct export_runs *runs, int64_t at_ms, int64_t *ret);
/* Sets todo. */
void export_runs_window(struct export_runs *runs, int64_t from_ms, int64_t to_ms);
/* A frame of the window was read; is_done: no later window needs it. */
void export_runs_read(struct export_runs *runs, uint32_t slot_id, uint64_t number, bool is_done);
/* to_ms: where it ends. False: frames that were there are there no more. */
bool export_runs_window_done(struct export_runs *runs, int64_t to_ms);

#endif
