#include "services/publisher/dsp/front.h"

#include <math.h>
#include <string.h>

#define LOWPASS_HZ    8.0
#define LOWPASS_SHARE 0.35   /* of the cell rate, where that is lower than 8 Hz */
#define MARK_AT       0.999f /* of a sample lost; float32 does not add up to 1 */
#define END_SLACK_MS  0.001  /* rounding of a cell's end against the second's */

/* The cells of a second behind the tail of the seconds before. */
struct cells {
	float value[FRONT_CHANNELS][FRONT_TAIL + FRONT_CELLS];
	uint8_t found[FRONT_TAIL + FRONT_CELLS]; /* samples, of grid.bin */
	size_t count;
	double first_ms; /* middle of cell 0 */
};

struct front front_new(const struct grid *grid)
{
	struct front front = { .cell_hz = grid->cell_hz };
	double corner_hz = fmin(LOWPASS_HZ, LOWPASS_SHARE * grid->cell_hz);

	for (size_t c = 0; c < FRONT_CHANNELS; c++)
		front.channel[c].lowpass = biquad_lowpass(corner_hz, grid->cell_hz);
	return front;
}

static void load_tail(const struct front *front, size_t channels, struct cells *cells)
{
	for (size_t i = 0; i < front->tails; i++) {
		cells->found[i] = front->tail_found[i];
		for (size_t c = 0; c < channels; c++)
			cells->value[c][i] = front->channel[c].tail[i];
	}
	cells->count = front->tails;
}

static void keep_tail(struct front *front, size_t channels, const struct cells *cells)
{
	size_t keep = cells->count < FRONT_TAIL ? cells->count : FRONT_TAIL;
	size_t from = cells->count - keep;

	front->tails = (uint32_t)keep;
	for (size_t i = 0; i < keep; i++) {
		front->tail_found[i] = cells->found[from + i];
		for (size_t c = 0; c < channels; c++)
			front->channel[c].tail[i] = cells->value[c][from + i];
	}
}

/* Bridge the cells [from, to) towards the value at `to`. */
static void bridge(struct cells *cells, size_t channel, size_t from, size_t to, float left)
{
	float right = cells->value[channel][to];

	for (size_t i = from; i < to; i++)
		cells->value[channel][i] =
		        left + (right - left) * (float)(i - from + 1) / (float)(to - from + 1);
}

/* A cell with samples: relative to the reference, which moves at the start and
 * behind a long gap. */
static void on_value(struct front *front, const struct grid *grid, struct cells *cells,
                     const double *value)
{
	size_t at = cells->count;
	bool far = front->gap > FRONT_GAP_S * front->cell_hz;
	size_t from = at - (front->gap < at - front->tails ? front->gap : at - front->tails);

	for (size_t c = 0; c < grid->channels; c++) {
		struct front_channel *channel = &front->channel[c];

		if (!front->started || far)
			channel->reference = value[c] - (double)channel->last;
		cells->value[c][at] = (float)(value[c] - channel->reference);
		bridge(cells, c, from, at, channel->last);
		channel->last = cells->value[c][at];
	}
	front->started = 1;
	front->gap = 0;
}

static void on_missing(struct front *front, const struct grid *grid, struct cells *cells)
{
	for (size_t c = 0; c < grid->channels; c++)
		cells->value[c][cells->count] = front->channel[c].last;
	if (front->gap < UINT32_MAX)
		front->gap++;
}

static void take_cells(struct front *front, struct grid *grid, void *room, double end_ms,
                       struct cells *cells)
{
	double value[FRONT_CHANNELS];

	cells->first_ms = grid_cell_middle_ms(grid) - (double)cells->count * 1000 / front->cell_hz;
	while (grid_cell_end_ms(grid) <= end_ms + END_SLACK_MS &&
	       cells->count < FRONT_TAIL + FRONT_CELLS) {
		unsigned found = grid_take(grid, room, value);

		cells->found[cells->count] = (uint8_t)found;
		if (found > 0)
			on_value(front, grid, cells, value);
		else
			on_missing(front, grid, cells);
		cells->count++;
	}
}

/* Beyond the ends the line goes on: below 20 Hz every second has such an end, and anything
 * else would leave a mark there once a second. */
static float catmull_rom(const float *y, size_t count, double position)
{
	size_t i = (size_t)position;
	float u = (float)(position - (double)i);
	float p1 = y[i], p2 = y[i + 1 < count ? i + 1 : i];
	float p0 = i > 0 ? y[i - 1] : 2 * p1 - p2, p3 = i + 2 < count ? y[i + 2] : 2 * p2 - p1;

	return p1 + 0.5f * u *
	                    (p2 - p0 +
	                     u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0)));
}

/* Which share of the samples between two places is missing; cell i lies at i - 0.5 … i + 0.5,
 * and where there is none, all are. */
static float missing_between(const struct cells *cells, uint32_t bin, double from, double until)
{
	double there = 0;

	for (double i = floor(from + 0.5); i - 0.5 < until; i++) {
		double part = fmin(until, i + 0.5) - fmax(from, i - 0.5);

		if (i >= 0 && i < (double)cells->count)
			there += part * cells->found[(size_t)i] / bin;
	}
	return (float)(1 - there / (until - from));
}

static bool is_whole(const struct cells *cells, uint32_t bin)
{
	for (size_t i = 0; i < cells->count; i++)
		if (cells->found[i] != bin)
			return false;
	return true;
}

static void interpolate(struct front *front, const struct cells *cells, const struct grid *grid,
                        double end_ms, struct front_second *ret)
{
	double last = (double)cells->count - 1, half = grid->cell_hz / FRONT_HZ / 2;
	bool whole = is_whole(cells, grid->bin);

	for (size_t j = 0; j < FRONT_HZ && cells->count > 0; j++) {
		double t_ms = end_ms - 1000 + (double)j * 1000 / FRONT_HZ - FRONT_DELAY_S * 1000;
		double position = (t_ms - cells->first_ms) * grid->cell_hz / 1000;

		if (!whole || position - half < -0.5 || position + half > last + 0.5)
			front->lost +=
			        missing_between(cells, grid->bin, position - half, position + half);
		if (front->lost >= MARK_AT)
			front->lost -= 1;
		else
			ret->valid |= 1u << j;
		for (size_t c = 0; c < grid->channels; c++)
			ret->sample[c][j] = catmull_rom(cells->value[c], cells->count,
			                                fmin(fmax(position, 0), last));
	}
}

void front_second(struct front *front, struct grid *grid, void *room, double end_ms,
                  struct front_second *ret)
{
	struct cells cells = { .count = 0 };
	size_t fresh;

	memset(ret, 0, sizeof(*ret));
	load_tail(front, grid->channels, &cells);
	fresh = cells.count;
	take_cells(front, grid, room, end_ms, &cells);
	for (size_t c = 0; c < grid->channels; c++)
		for (size_t i = fresh; i < cells.count; i++)
			cells.value[c][i] =
			        biquad_push(&front->channel[c].lowpass, cells.value[c][i]);
	interpolate(front, &cells, grid, end_ms, ret);
	keep_tail(front, grid->channels, &cells);
}
