/*
 * grid - the samples of one slot on the time grid of its t0.
 *
 * A frame's first sample has the raw index
 *
 *     k = round((t0 - t0_first) * rate)
 *
 * so that stamps in whole milliseconds and small jitter land on the grid within
 * half a sample. Every raw index holds one sample: the first writer wins. D
 * neighbouring samples are summed into a cell, which is the box filter and the
 * decimation to a cell rate of at least `wanted_hz`; a sum of integers does not
 * depend on the order of its parts, so neither does anything computed from it.
 *
 * A window of GRID_SPAN_S seconds of cells is held, from `first` on; the owner
 * reads cells off its start in order (grid_take) and that moves it forward.
 *
 * Limits: above GRID_MAX_BIN samples a cell (rates over 3.2 kHz for a 50-Hz
 * grid) only every S-th sample is used. No allocation: the owner gives the room
 * that grid_room() asks for, and passes it to every call.
 */
#ifndef PUBLISHER_DSP_GRID_H
#define PUBLISHER_DSP_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRID_SPAN_S  14 /* a 10-s frame, 2 s of lag between slots, the second computed next */
#define GRID_MAX_BIN 64 /* samples a cell: one bit each in a word of 64 */

struct grid {
	double rate_hz;    /* of the samples that are used: declared / stride */
	double cell_hz;    /* rate_hz / bin */
	uint32_t stride;   /* S: of so many declared samples one is used */
	uint32_t bin;      /* D: used samples in a cell */
	uint32_t channels; /* kept of each sample */
	uint32_t capacity; /* cells held */
	uint32_t shift;    /* bits dropped so that a cell's sum fits 31 bits */
	uint32_t started;
	uint32_t first_place; /* of the oldest cell in the room, which is a ring */
	double t0_ms;         /* time of raw index 0 */
	int64_t first;        /* oldest cell held */
	int64_t end;          /* one past the newest filled raw index (used samples) */
};

/* Where a run of samples went. */
struct grid_placed {
	uint32_t stored, overlapped, late;
};

struct grid grid_new(double rate_hz, double wanted_hz, unsigned bit_depth, unsigned channels);
/* Bytes of room behind a grid; a multiple of 8. */
size_t grid_room(const struct grid *grid);

/* The first frame fixes the phase; `first` will be the cell at first_ms. */
void grid_start(struct grid *grid, void *room, int64_t t0_ms, int64_t first_ms);

/* Before anything was taken: hold from an earlier first_ms on, where there is room. */
void grid_rewind(struct grid *grid, int64_t first_ms);

/* Raw declared index of a time. Needs grid_start(). */
int64_t grid_index(const struct grid *grid, int64_t t_ms);

/* Place one sample (`channels` values) at declared index k; value NULL: there was one,
 * but it says nothing (clipped). False: it lies ahead of what the grid can hold; take
 * cells first. */
bool grid_put(struct grid *grid, void *room, int64_t k, const int32_t *value,
              struct grid_placed *placed);

/* End of the oldest cell's last sample, and the middle of its samples, ms on
 * the clock of t0. The next cell's are 1000 / cell_hz later. */
double grid_cell_end_ms(const struct grid *grid);
double grid_cell_middle_ms(const struct grid *grid);

/* Take the oldest cell: the mean of its samples per channel, in declared units. How many of
 * its `bin` samples it holds; 0, and nothing in ret, when none. */
unsigned grid_take(struct grid *grid, void *room, double *ret);

/* End of the newest sample, ms on the clock of t0. */
double grid_end_ms(const struct grid *grid);

#endif
