#include "services/edge/export_runs.h"

#include <stdlib.h>

void export_runs_free(struct export_runs *runs)
{
	mem_free(runs->run);
	mem_free(runs->active);
	mem_free(runs->todo);
}

bool export_runs_add(struct export_runs *runs, const Publisher__FrameRun *from)
{
	if (runs->n == EXPORT_RUNS_MOST)
		return false;
	if (runs->n == runs->cap) {
		runs->cap = runs->cap ? 2 * runs->cap : 64;
		runs->run = xrealloc(runs->run, runs->cap, sizeof *runs->run);
	}
	runs->run[runs->n++] = (struct export_run){ .from_ms = from->from_ms,
		                                    .to_ms = from->to_ms,
		                                    .first = from->first,
		                                    .last = from->last,
		                                    .slot_id = from->slot_id };
	return true;
}

static int earlier(const void *a, const void *b)
{
	const struct export_run *left = a, *right = b;

	if (left->from_ms != right->from_ms)
		return left->from_ms < right->from_ms ? -1 : 1;
	return left->first < right->first ? -1 : left->first > right->first;
}

void export_runs_sort(struct export_runs *runs)
{
	if (runs->n > 0)
		qsort(runs->run, runs->n, sizeof *runs->run, earlier);
}

static bool is_behind(const struct export_run *run, int64_t at_ms)
{
	return run->to_ms <= at_ms || run->first > run->last;
}

bool export_runs_next(struct export_runs *runs, int64_t at_ms, int64_t *ret)
{
	while (runs->behind < runs->n && is_behind(&runs->run[runs->behind], at_ms))
		runs->behind++;
	for (size_t i = runs->behind; i < runs->n; i++)
		if (!is_behind(&runs->run[i], at_ms)) {
			*ret = runs->run[i].from_ms > at_ms ? runs->run[i].from_ms : at_ms;
			return true;
		}
	return false;
}

static void add_active(struct export_runs *runs, size_t which)
{
	if (runs->n_active == runs->cap_active) {
		runs->cap_active = runs->cap_active ? 2 * runs->cap_active : 16;
		runs->active = xrealloc(runs->active, runs->cap_active, sizeof *runs->active);
	}
	runs->active[runs->n_active++] = which;
}

static int lower(const void *a, const void *b)
{
	const struct export_numbers *left = a, *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

/* Frames of other slots lie between those of one: what overlaps is read once. */
static void merge_todo(struct export_runs *runs)
{
	size_t n = 0;

	if (runs->n_todo == 0)
		return;
	qsort(runs->todo, runs->n_todo, sizeof *runs->todo, lower);
	for (size_t i = 1; i < runs->n_todo; i++) {
		struct export_numbers *last = &runs->todo[n], *next = &runs->todo[i];

		if (next->first > last->last)
			runs->todo[++n] = *next;
		else if (next->last > last->last)
			last->last = next->last;
	}
	runs->n_todo = n + 1;
}

void export_runs_window(struct export_runs *runs, int64_t from_ms, int64_t to_ms)
{
	runs->n_active = 0;
	while (runs->behind < runs->n && is_behind(&runs->run[runs->behind], from_ms))
		runs->behind++;
	for (size_t i = runs->behind; i < runs->n && runs->run[i].from_ms < to_ms; i++)
		if (!is_behind(&runs->run[i], from_ms)) {
			runs->run[i].seen = runs->run[i].pending = 0;
			add_active(runs, i);
		}
	if (runs->n_active > runs->cap_todo) {
		runs->cap_todo = runs->cap_active;
		runs->todo = xrealloc(runs->todo, runs->cap_todo, sizeof *runs->todo);
	}
	runs->n_todo = runs->n_active;
	for (size_t i = 0; i < runs->n_active; i++)
		runs->todo[i] = (struct export_numbers){ runs->run[runs->active[i]].first,
			                                 runs->run[runs->active[i]].last };
	merge_todo(runs);
}

void export_runs_read(struct export_runs *runs, uint32_t slot_id, uint64_t number, bool is_done)
{
	for (size_t i = 0; i < runs->n_active; i++) {
		struct export_run *run = &runs->run[runs->active[i]];

		if (run->slot_id != slot_id || number < run->first || number > run->last)
			continue;
		run->seen = number;
		if (!is_done && run->pending == 0)
			run->pending = number;
		return;
	}
}

bool export_runs_window_done(struct export_runs *runs, int64_t to_ms)
{
	bool all_seen = true;

	for (size_t i = 0; i < runs->n_active; i++) {
		struct export_run *run = &runs->run[runs->active[i]];

		if (run->pending > 0)
			run->first = run->pending;
		else if (run->seen > 0)
			run->first = run->seen + 1;
		all_seen = all_seen && (run->to_ms > to_ms || run->first > run->last);
	}
	return all_seen;
}
