#include "services/edge/edf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define USUAL_BYTES     61440 /* a record's, says the specification */
#define ONSET_BYTES     40
#define GAP_BYTES       104 /* an annotation of missing samples, a slot */
#define LABEL_BYTES     16
#define CHANNEL_BYTES   3                      /* ".15" */
#define FIRST_YEAR_MS   INT64_C(473385600000)  /* 1985: the header has two digits for it */
#define LAST_YEAR_MS    INT64_C(3629491200000) /* 2085 */
#define RATE_ERROR_MOST 1e-9

/* ---- the plan ---- */

static uint32_t samples_in(double rate_hz, int64_t record_ms)
{
	double samples = round(rate_hz * (double)record_ms / 1000);

	return samples < 1 ? 1 : (uint32_t)samples;
}

/* The largest share by which a rate is off. */
static double rate_error(const Raeh__Slot *slots, size_t n, int64_t record_ms)
{
	double most = 0;

	for (size_t i = 0; i < n; i++) {
		double want = slots[i].sample_rate_hz * (double)record_ms / 1000;
		double off = fabs(samples_in(slots[i].sample_rate_hz, record_ms) - want) / want;

		most = off > most ? off : most;
	}
	return most;
}

static size_t annotation_bytes(size_t n_slots, enum edf_format format)
{
	size_t bytes = ONSET_BYTES + n_slots * GAP_BYTES;

	return (bytes + format - 1) / format * format;
}

static double bytes_at(const Raeh__Slot *slots, size_t n, enum edf_format format, int64_t record_ms)
{
	double bytes = (double)annotation_bytes(n, format);

	for (size_t i = 0; i < n; i++)
		bytes += (double)format * slots[i].num_channels *
		         samples_in(slots[i].sample_rate_hz, record_ms);
	return bytes;
}

static int64_t choose_record_ms(const Raeh__Slot *slots, size_t n, enum edf_format format)
{
	static const int64_t choices[] = { 1000, 2000, 4000,  5000,  8000,  10000,
		                           3000, 6000, 20000, 30000, 60000, 100000,
		                           500,  200,  100,   50,    20,    10 };
	double least = INFINITY;
	int64_t best = 0;

	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		double bytes = bytes_at(slots, n, format, choices[i]);
		double error = rate_error(slots, n, choices[i]);

		if (error <= RATE_ERROR_MOST && bytes <= USUAL_BYTES)
			return choices[i];
		if (bytes <= EDF_RECORD_MOST && error < least) {
			least = error;
			best = choices[i];
		}
	}
	MUST(best > 0); /* at 10,000 Hz 10 ms of 64 slots of 16 channels */
	return best;
}

/* As much of it as a label may hold. */
static bool shares_modality(const Raeh__Slot *slots, size_t n, size_t which)
{
	for (size_t i = 0; i < n; i++)
		if (i != which && strncmp(slots[i].modality, slots[which].modality,
		                          LABEL_BYTES - CHANNEL_BYTES) == 0)
			return true;
	return false;
}

static void make_label(const Raeh__Slot *slots, size_t n, size_t which, char ret[17])
{
	char end[8] = "";
	size_t room = LABEL_BYTES - (slots[which].num_channels > 1 ? CHANNEL_BYTES : 0);

	if (shares_modality(slots, n, which))
		(void)snprintf(end, sizeof end, "#%u", (unsigned)(uint8_t)slots[which].slot_id);
	(void)snprintf(ret, 17, "%.*s%s", (int)(room - strlen(end)), slots[which].modality, end);
}

void edf_plan(struct edf *edf, enum edf_format format, const Raeh__Slot *slots, size_t n_slots)
{
	MUST(n_slots <= EDF_SLOTS);
	*edf = (struct edf){ .format = format, .n_slots = n_slots };
	edf->record_ms = choose_record_ms(slots, n_slots, format);
	edf->annotation_bytes = annotation_bytes(n_slots, format);
	for (size_t i = 0; i < n_slots; i++) {
		struct edf_slot *slot = &edf->slot[i];

		slot->slot_id = slots[i].slot_id;
		slot->channels = slots[i].num_channels;
		slot->bits = slots[i].bit_depth;
		slot->per_record = samples_in(slots[i].sample_rate_hz, edf->record_ms);
		slot->values = edf->n_values;
		slot->presence = edf->n_presence;
		make_label(slots, n_slots, i, slot->label);
		edf->n_signals += slot->channels;
		edf->n_values += (size_t)slot->channels * slot->per_record;
		edf->n_presence += slot->per_record;
	}
}

size_t edf_record_bytes(const struct edf *edf)
{
	return edf->n_values * edf->format + edf->annotation_bytes;
}

/* ---- the header ---- */

/* Left-justified, ASCII alone, cut to its width. */
static void field(struct buf *ret, size_t width, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < width; i++) {
		char c = i < len ? text[i] : ' ';

		if (c < ' ' || c > '~')
			c = '_';
		buf_append(ret, &c, 1);
	}
}

static void number_field(struct buf *ret, size_t width, long long number)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%lld", number);
	field(ret, width, text);
}

static bool has_date(int64_t start_ms)
{
	return start_ms >= FIRST_YEAR_MS && start_ms < LAST_YEAR_MS;
}

static int64_t floor_s(int64_t ms)
{
	return (ms - ((ms % 1000) + 1000) % 1000) / 1000;
}

/* Sub-fields are parted by spaces, so that none may stand inside one. */
static void recording_field(struct buf *ret, const struct edf_about *about, const struct tm *tm)
{
	static const char *const months[] = { "JAN", "FEB", "MAR", "APR", "MAY", "JUN",
		                              "JUL", "AUG", "SEP", "OCT", "NOV", "DEC" };
	char date[16] = "X", device[41];

	if (has_date(about->start_ms))
		(void)snprintf(date, sizeof date, "%02d-%s-%04d", tm->tm_mday, months[tm->tm_mon],
		               tm->tm_year + 1900);
	(void)snprintf(device, sizeof device, "%s", about->device_id);
	for (char *p = device; *p; p++)
		if (*p == ' ')
			*p = '_';
	AUTO_MEM char *text = xasprintf("Startdate %s %s X %s", date, about->session_id, device);
	field(ret, 80, text);
}

static void append_about(const struct edf *edf, const struct edf_about *about, struct buf *ret)
{
	time_t start = (time_t)floor_s(has_date(about->start_ms) ? about->start_ms : FIRST_YEAR_MS);
	size_t n = edf->n_signals + 1;
	char text[32];
	struct tm tm;

	(void)gmtime_r(&start, &tm);
	if (edf->format == EDF_24)
		buf_append(ret,
		           "\xff"
		           "BIOSEMI",
		           8);
	else
		field(ret, 8, "0");
	field(ret, 80, "X X X X");
	recording_field(ret, about, &tm);
	(void)strftime(text, sizeof text, "%d.%m.%y", &tm);
	field(ret, 8, text);
	(void)strftime(text, sizeof text, "%H.%M.%S", &tm);
	field(ret, 8, text);
	number_field(ret, 8, 256 * ((long long)n + 1));
	(void)snprintf(text, sizeof text, "%s+%c", edf->format == EDF_24 ? "BDF" : "EDF",
	               about->is_continuous ? 'C' : 'D');
	field(ret, 44, text);
	number_field(ret, 8, (long long)about->records);
	(void)snprintf(text, sizeof text, "%g", (double)edf->record_ms / 1000);
	field(ret, 8, text);
	number_field(ret, 4, (long long)n);
}

/* How many of a sample's low bits are not in the file. */
static uint32_t lost_bits(const struct edf *edf, const struct edf_slot *slot)
{
	uint32_t bits = 8 * (uint32_t)edf->format;

	return slot->bits > bits ? slot->bits - bits : 0;
}

static void describe(const struct edf *edf, const struct edf_slot *slot, uint32_t channel, int what,
                     struct buf *ret)
{
	int64_t most = (INT64_C(1) << (8 * edf->format - 1)) - 1;
	uint32_t lost = lost_bits(edf, slot);
	char text[80] = "";

	switch (what) {
	case 0:
		(void)snprintf(text, sizeof text, slot->channels > 1 ? "%s.%u" : "%s", slot->label,
		               channel);
		field(ret, LABEL_BYTES, text);
		break;
	case 1:
		(void)snprintf(text, sizeof text, "slot %u channel %u, %u bits", slot->slot_id,
		               channel, slot->bits);
		field(ret, 80, text);
		break;
	case 2:
		if (lost > 0)
			(void)snprintf(text, sizeof text, "x2^%u", lost);
		field(ret, 8, text);
		break;
	case 3:
	case 5:
		number_field(ret, 8, -most - 1);
		break;
	case 4:
	case 6:
		number_field(ret, 8, most);
		break;
	case 8:
		number_field(ret, 8, slot->per_record);
		break;
	default:
		field(ret, what == 7 ? 80 : 32, "");
	}
}

static void describe_annotations(const struct edf *edf, int what, struct buf *ret)
{
	static const size_t width[] = { 16, 80, 8, 8, 8, 8, 8, 80, 8, 32 };
	int64_t most = (INT64_C(1) << (8 * edf->format - 1)) - 1;

	if (what == 0)
		field(ret, 16, edf->format == EDF_24 ? "BDF Annotations" : "EDF Annotations");
	else if (what == 3)
		field(ret, 8, "-1");
	else if (what == 4)
		field(ret, 8, "1");
	else if (what == 5)
		number_field(ret, 8, -most - 1);
	else if (what == 6)
		number_field(ret, 8, most);
	else if (what == 8)
		number_field(ret, 8, (long long)(edf->annotation_bytes / edf->format));
	else
		field(ret, width[what], "");
}

/* Each of the ten fields stands for all signals before the next one. */
void edf_append_header(const struct edf *edf, const struct edf_about *about, struct buf *ret)
{
	append_about(edf, about, ret);
	for (int what = 0; what < 10; what++) {
		for (size_t i = 0; i < edf->n_slots; i++)
			for (uint32_t c = 0; c < edf->slot[i].channels; c++)
				describe(edf, &edf->slot[i], c, what, ret);
		describe_annotations(edf, what, ret);
	}
}

/* ---- records ---- */

void edf_record_init(const struct edf *edf, struct edf_record *ret)
{
	ret->value = xcalloc(edf->n_values + 1, sizeof *ret->value);
	ret->present = xcalloc(edf->n_presence + 1, sizeof *ret->present);
}

void edf_record_clear(const struct edf *edf, struct edf_record *record)
{
	memset(record->present, 0, edf->n_presence * sizeof *record->present);
}

void edf_record_free(struct edf_record *record)
{
	mem_free(record->value);
	mem_free(record->present);
	*record = (struct edf_record){ 0 };
}

static void append_channel(const struct edf *edf, const struct edf_record *record,
                           const struct edf_slot *slot, uint32_t channel, struct buf *ret)
{
	int32_t most = edf->format == EDF_24 ? INT32_C(0x7fffff) : INT16_MAX;
	uint32_t lost = lost_bits(edf, slot);

	buf_reserve(ret, (size_t)slot->per_record * edf->format);
	for (uint32_t i = 0; i < slot->per_record; i++) {
		int32_t value = record->value[slot->values + (size_t)i * slot->channels + channel];

		value >>= lost;
		value = value > most ? most : value < -most - 1 ? -most - 1 : value;
		if (!record->present[slot->presence + i])
			value = -most - 1;
		for (unsigned byte = 0; byte < (unsigned)edf->format; byte++)
			ret->data[ret->len++] = (uint8_t)((uint32_t)value >> (8 * byte));
	}
}

static size_t seconds_text(char *ret, size_t size, const char *sign, int64_t ms)
{
	return (size_t)snprintf(ret, size, "%s%lld.%03lld", sign, (long long)(ms / 1000),
	                        (long long)(ms % 1000));
}

/* One annotation: from the first to the last sample that is missing. */
static size_t gap_text(const struct edf *edf, const struct edf_record *record,
                       const struct edf_slot *slot, int64_t onset_ms, char *ret, size_t size)
{
	const bool *present = record->present + slot->presence;
	uint32_t first = UINT32_MAX, end = 0, missing = 0;
	size_t len;

	for (uint32_t i = 0; i < slot->per_record; i++)
		if (!present[i]) {
			first = first == UINT32_MAX ? i : first;
			end = i + 1;
			missing++;
		}
	if (missing == 0)
		return 0;
	len = seconds_text(ret, size, "+", onset_ms + first * edf->record_ms / slot->per_record);
	len += seconds_text(ret + len, size - len, "\x15",
	                    (end - first) * edf->record_ms / slot->per_record);
	len += (size_t)snprintf(ret + len, size - len, "\x14no data: %s, %u of %u samples\x14",
	                        slot->label, missing, slot->per_record);
	return len + 1; /* with its zero */
}

static void append_annotations(const struct edf *edf, const struct edf_record *record,
                               int64_t onset_ms, struct buf *ret)
{
	char *text = xcalloc(1, edf->annotation_bytes + 1);
	size_t len = seconds_text(text, edf->annotation_bytes, "+", onset_ms);

	len += (size_t)snprintf(text + len, edf->annotation_bytes - len, "\x14\x14") + 1;
	for (size_t i = 0; i < edf->n_slots; i++)
		len += gap_text(edf, record, &edf->slot[i], onset_ms, text + len,
		                edf->annotation_bytes - len);
	MUST(len <= edf->annotation_bytes);
	buf_append(ret, text, edf->annotation_bytes);
	mem_free(text);
}

void edf_append_record(const struct edf *edf, const struct edf_record *record, int64_t start_ms,
                       int64_t onset_ms, struct buf *ret)
{
	int64_t fraction_ms =
	        start_ms - floor_s(start_ms) * 1000; /* the header has whole seconds */

	for (size_t i = 0; i < edf->n_slots; i++)
		for (uint32_t c = 0; c < edf->slot[i].channels; c++)
			append_channel(edf, record, &edf->slot[i], c, ret);
	append_annotations(edf, record, onset_ms + fraction_ms, ret);
}
