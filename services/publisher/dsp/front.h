/*
 * front - from the cells of a slot to an even 32-Hz signal, a second at a time.
 *
 * Missing cells are bridged in a straight line when both sides are in the same
 * second, and held otherwise. What is missing of the cells under each sample of the
 * 32 Hz adds up, and for each whole sample of it one is marked missing: the share that
 * is marked is the share of samples that never came, in gaps as in frames lost here and
 * there. After a gap of more than FRONT_GAP_S the signal goes on at the level where it
 * stopped: the reference moves instead, so that no step runs through the filters. The
 * cells pass a low-pass at 8 Hz (no heart beat has anything above it) and are then
 * interpolated (Catmull-Rom) at
 *
 *     t[j] = start of the second + j / 32 s - FRONT_DELAY_S
 *
 * The delay is the same for all slots, so that light and motion stay aligned
 * whatever their rates; it leaves two cells ahead of t[j] at 20 Hz and more.
 *
 * Values are relative to `reference`, which is the first value seen: float32 then
 * spends its 24 bits on the pulse and not on the constant light.
 */
#ifndef PUBLISHER_DSP_FRONT_H
#define PUBLISHER_DSP_FRONT_H

#include "services/publisher/dsp/biquad.h"
#include "services/publisher/dsp/grid.h"

#define FRONT_HZ       32 /* twice the 8-Hz band that beats need, and a power of two for the FFT */
#define FRONT_DELAY_S  0.125
#define FRONT_GAP_S    1.0 /* longer than any beat's shape can be carried over a gap */
#define FRONT_CHANNELS 4   /* of one slot */
#define FRONT_TAIL     20  /* cells kept for the next second: the delay and 3 more, at 100 Hz */
#define FRONT_CELLS    104 /* in a second, at most: cell rates stay below twice the 50 Hz wanted */

struct front_channel {
	double reference; /* declared units */
	float last;       /* newest value, relative */
	struct biquad lowpass;
	float tail[FRONT_TAIL];
};

struct front {
	uint32_t started; /* a value has been seen */
	uint32_t tails;   /* cells in the tail */
	float lost;       /* samples of the 32 Hz, below 1, that no mark stands for yet */
	uint32_t gap;     /* missing cells in a row, up to now */
	uint8_t tail_found[FRONT_TAIL]; /* samples that a tail cell holds */
	double cell_hz;
	struct front_channel channel[FRONT_CHANNELS];
};

/* A second of one slot. Bit j of valid: sample j was there. */
struct front_second {
	float sample[FRONT_CHANNELS][FRONT_HZ];
	uint32_t valid;
};

struct front front_new(const struct grid *grid);

/* Take the cells that end by end_ms off the grid and give the second that ends there. */
void front_second(struct front *front, struct grid *grid, void *room, double end_ms,
                  struct front_second *ret);

#endif
