#include "services/edge/export_csv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 24

void export_csv_header(const Raeh__Slot *slot, struct buf *ret)
{
	char text[64];

	if (!slot) {
		static const char header[] = "t_ms,slot_id,modality,channel,value\n";

		buf_append(ret, header, sizeof header - 1);
		return;
	}
	buf_append(ret, "t_ms", 4);
	for (uint32_t c = 0; c < slot->num_channels; c++) {
		int len = slot->num_channels > 1
		                  ? snprintf(text, sizeof text, ",%s_%u", slot->modality, c)
		                  : snprintf(text, sizeof text, ",%s", slot->modality);

		buf_append(ret, text, (size_t)len);
	}
	buf_append(ret, "\n", 1);
}

int64_t export_sample_us(const struct frame *frame, const Raeh__Slot *slot, uint32_t index)
{
	return frame->t0_epoch_ms * 1000 + llround(index * 1e6 / slot->sample_rate_hz);
}

int32_t export_sample(const struct frame *frame, const Raeh__Slot *slot, uint32_t index,
                      uint32_t channel)
{
	uint32_t bytes = (slot->bit_depth + 7) / 8;
	const uint8_t *p = (const uint8_t *)frame->payload.data +
	                   ((size_t)index * slot->num_channels + channel) * bytes;
	uint32_t value = 0;

	MUST(bytes >= 1 && bytes <= 4);
	for (uint32_t b = 0; b < bytes; b++)
		value |= (uint32_t)p[b] << (8 * (4 - bytes + b));
	return (int32_t)value >> (8 * (4 - bytes));
}

/* Written backwards from end; returns where it begins. */
static char *number(char *end, int64_t value)
{
	uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do
		*--end = (char)('0' + rest % 10);
	while ((rest /= 10) > 0);
	if (value < 0)
		*--end = '-';
	return end;
}

static void append_number(struct buf *ret, int64_t value)
{
	char text[NUMBER_BYTES];
	char *begin = number(text + sizeof text, value);

	buf_append(ret, begin, (size_t)(text + sizeof text - begin));
}

static void append_time(struct buf *ret, int64_t us)
{
	uint64_t size = us < 0 ? -(uint64_t)us : (uint64_t)us;
	unsigned fraction = (unsigned)(size % 1000);
	char text[4] = { '.', (char)('0' + fraction / 100), (char)('0' + fraction / 10 % 10),
		         (char)('0' + fraction % 10) };
	size_t len = sizeof text;

	if (us < 0)
		buf_append(ret, "-", 1);
	append_number(ret, (int64_t)(size / 1000));
	while (len > 1 && text[len - 1] == '0')
		len--;
	if (len > 1)
		buf_append(ret, text, len);
}

static void append_wide(const struct frame *frame, const Raeh__Slot *slot, uint32_t index,
                        struct buf *ret)
{
	append_time(ret, export_sample_us(frame, slot, index));
	for (uint32_t c = 0; c < slot->num_channels; c++) {
		buf_append(ret, ",", 1);
		append_number(ret, export_sample(frame, slot, index, c));
	}
	buf_append(ret, "\n", 1);
}

static void append_long(const struct frame *frame, const Raeh__Slot *slot, uint32_t index,
                        struct buf *ret)
{
	for (uint32_t c = 0; c < slot->num_channels; c++) {
		append_time(ret, export_sample_us(frame, slot, index));
		buf_append(ret, ",", 1);
		append_number(ret, slot->slot_id);
		buf_append(ret, ",", 1);
		buf_append(ret, slot->modality, strlen(slot->modality));
		buf_append(ret, ",", 1);
		append_number(ret, c);
		buf_append(ret, ",", 1);
		append_number(ret, export_sample(frame, slot, index, c));
		buf_append(ret, "\n", 1);
	}
}

void export_csv_line(const struct frame *frame, const Raeh__Slot *slot, uint32_t index, bool wide,
                     struct buf *ret)
{
	if (wide)
		append_wide(frame, slot, index, ret);
	else
		append_long(frame, slot, index, ret);
}
