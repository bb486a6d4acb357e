#include "services/publisher/dsp/grid.h"

#include <math.h>
#include <string.h>

#define SUM_BITS 31 /* magnitude bits of a cell's sum in an int32_t */

static int64_t floor_div(int64_t a, int64_t b)
{
	int64_t quotient = a / b;

	return quotient * b > a ? quotient - 1 : quotient;
}

static unsigned bits_for(uint32_t count)
{
	unsigned bits = 0;

	while ((1u << bits) < count)
		bits++;
	return bits;
}

struct grid grid_new(double rate_hz, double wanted_hz, unsigned bit_depth, unsigned channels)
{
	double finest_hz = wanted_hz * GRID_MAX_BIN;
	struct grid grid = { .stride = 1, .bin = 1, .channels = channels };
	unsigned bits;

	if (rate_hz > finest_hz)
		grid.stride = (uint32_t)ceil(rate_hz / finest_hz);
	grid.rate_hz = rate_hz / grid.stride;
	if (grid.rate_hz >= 2 * wanted_hz)
		grid.bin = (uint32_t)floor(grid.rate_hz / wanted_hz);
	grid.cell_hz = grid.rate_hz / grid.bin;
	grid.capacity = (uint32_t)ceil(GRID_SPAN_S * grid.cell_hz) + 1;
	bits = bit_depth + bits_for(grid.bin);
	grid.shift = bits > SUM_BITS + 1 ? bits - SUM_BITS - 1 : 0;
	return grid;
}

static size_t sum_bytes(const struct grid *grid)
{
	return (size_t)grid->capacity * grid->channels * sizeof(int32_t);
}

static size_t round_up(size_t n)
{
	return (n + 7) / 8 * 8;
}

size_t grid_room(const struct grid *grid)
{
	size_t bits = (size_t)grid->capacity * grid->bin;

	return round_up(sum_bytes(grid) + (bits + 7) / 8);
}

static double raw_ms(const struct grid *grid, double raw)
{
	return grid->t0_ms + raw * 1000 / grid->rate_hz;
}

static int64_t cell_from(const struct grid *grid, int64_t first_ms)
{
	return (int64_t)ceil(((double)first_ms - grid->t0_ms) * grid->cell_hz / 1000 - 1e-6);
}

void grid_start(struct grid *grid, void *room, int64_t t0_ms, int64_t first_ms)
{
	int64_t raw = llround((double)t0_ms * grid->rate_hz / 1000);
	int64_t into_cell = raw - floor_div(raw, grid->bin) * grid->bin;

	memset(room, 0, grid_room(grid));
	grid->started = 1;
	/* Cells begin at the same times whichever frame comes first. */
	grid->t0_ms = (double)t0_ms - (double)into_cell * 1000 / grid->rate_hz;
	grid->first = cell_from(grid, first_ms);
	grid->first_place = 0;
	grid->end = grid->first * grid->bin;
}

void grid_rewind(struct grid *grid, int64_t first_ms)
{
	int64_t first = cell_from(grid, first_ms);

	uint32_t back = (uint32_t)(grid->first - first);

	if (first >= grid->first || floor_div(grid->end - 1, grid->bin) >= first + grid->capacity)
		return;
	grid->first = first;
	grid->first_place += grid->first_place >= back ? -back : grid->capacity - back;
}

int64_t grid_index(const struct grid *grid, int64_t t_ms)
{
	double declared_hz = grid->rate_hz * grid->stride;

	return (int64_t)floor(((double)t_ms - grid->t0_ms) * declared_hz / 1000 + 0.5);
}

/* Where a cell that is held lies in the room; no division, as it is asked per sample. */
static uint32_t place_of(const struct grid *grid, int64_t cell)
{
	uint32_t place = grid->first_place + (uint32_t)(cell - grid->first);

	return place < grid->capacity ? place : place - grid->capacity;
}

static bool test_and_set(uint8_t *bits, size_t n)
{
	bool was = bits[n / 8] >> (n % 8) & 1;

	bits[n / 8] |= (uint8_t)(1u << (n % 8));
	return was;
}

bool grid_put(struct grid *grid, void *room, int64_t k, const int32_t *value,
              struct grid_placed *placed)
{
	int64_t raw = grid->stride == 1 ? k : floor_div(k, grid->stride);
	int64_t cell = grid->bin == 1 ? raw : floor_div(raw, grid->bin);
	int32_t *sums = room;
	uint8_t *filled = (uint8_t *)room + sum_bytes(grid);
	uint32_t place;

	if (cell >= grid->first + grid->capacity)
		return false;
	if (cell < grid->first) {
		placed->late++;
		return true;
	}
	if (raw * grid->stride != k) { /* between the samples that are used */
		placed->stored++;
		return true;
	}
	if (raw >= grid->end)
		grid->end = raw + 1;
	place = place_of(grid, cell);
	if (value != NULL &&
	    test_and_set(filled, (size_t)place * grid->bin + (size_t)(raw - cell * grid->bin))) {
		placed->overlapped++;
		return true;
	}
	placed->stored++;
	for (uint32_t c = 0; value != NULL && c < grid->channels; c++)
		sums[place * grid->channels + c] += value[c] >> grid->shift;
	return true;
}

double grid_cell_end_ms(const struct grid *grid)
{
	return raw_ms(grid, (double)(grid->first + 1) * grid->bin);
}

double grid_cell_middle_ms(const struct grid *grid)
{
	return raw_ms(grid, (double)grid->first * grid->bin + (grid->bin - 1) / 2.0);
}

double grid_end_ms(const struct grid *grid)
{
	return raw_ms(grid, (double)grid->end);
}

/* How many of a cell's samples are there; forgets them. */
static unsigned clear_filled(const struct grid *grid, uint8_t *filled, uint32_t place)
{
	unsigned count = 0;

	for (size_t n = (size_t)place * grid->bin; n < (size_t)(place + 1) * grid->bin; n++) {
		count += filled[n / 8] >> (n % 8) & 1;
		filled[n / 8] &= (uint8_t) ~(1u << (n % 8));
	}
	return count;
}

unsigned grid_take(struct grid *grid, void *room, double *ret)
{
	uint32_t place = grid->first_place;
	int32_t *sum = (int32_t *)room + place * grid->channels;
	unsigned count = clear_filled(grid, (uint8_t *)room + sum_bytes(grid), place);
	double unit = count == 0 ? 0 : (double)(1u << grid->shift) / count;

	grid->first++;
	grid->first_place = place + 1 < grid->capacity ? place + 1 : 0;
	for (uint32_t c = 0; count > 0 && c < grid->channels; c++)
		ret[c] = sum[c] * unit;
	memset(sum, 0, grid->channels * sizeof(*sum));
	return count;
}
