#include "common/recording.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_COLUMNS    64
#define NAME_SIZE      33 /* a modality and its end */
#define MAX_NUMBER     63 /* characters of one value */
#define WHOLE_LIMIT    2147483647.0
#define SCALED_TOP     8388607.0 /* 2^23 - 1 */
#define MIN_RATE_HZ    0.1       /* what a device model may declare */
#define MAX_RATE_HZ    10000.0
#define MAX_FILE_BYTES (1u << 30)

struct column {
	char name[NAME_SIZE];
	double *value;
	size_t slot, channel; /* where it goes; SIZE_MAX for t and seg */
};

struct opened {
	struct recording recording; /* first: callers hold its address */
	struct recording_segment *segments;
	uint8_t *payload[RECORDING_MAX_SLOTS];
};

/* What a file is while it is being read. */
struct reader {
	const char *csv_path, *meta_path;
	struct recording_fault *fault;
	struct column column[MAX_COLUMNS];
	size_t n_columns, rows, room;
	double fs;       /* 0: not given */
	json_t *columns; /* borrowed from meta; NULL: not given */
	struct opened *out;
};

__attribute__((format(printf, 3, 4))) static enum err fail(struct reader *reader, enum err err,
                                                           const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reader->fault->text, sizeof(reader->fault->text), format, args);
	va_end(args);
	return err;
}

static bool is_modality(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= NAME_SIZE)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) &&
		    name[i] != '_')
			return false;
	return true;
}

static void set_name(char *to, const char *modality)
{
	size_t len = strlen(modality);

	MUST(len < NAME_SIZE);
	memcpy(to, modality, len + 1);
}

static enum err read_calibration(struct reader *reader, const json_t *abc)
{
	struct recording *recording = &reader->out->recording;

	if (abc == NULL || json_is_null(abc))
		return OK;
	if (!json_is_array(abc) || json_array_size(abc) != 3)
		return fail(reader, ERR_MALFORMED, "%s: spo2_calibration: expected [a, b, c]",
		            reader->meta_path);
	for (size_t i = 0; i < 3; i++) {
		const json_t *number = json_array_get(abc, i);

		if (!json_is_number(number))
			return fail(reader, ERR_MALFORMED,
			            "%s: spo2_calibration: expected three numbers",
			            reader->meta_path);
		recording->spo2_calibration[i] = json_number_value(number);
	}
	recording->has_spo2_calibration = true;
	return OK;
}

static enum err read_meta(struct reader *reader, const json_t *meta)
{
	const json_t *fs = json_object_get(meta, "fs");

	if (!json_is_object(meta))
		return fail(reader, ERR_MALFORMED, "%s: expected a JSON object", reader->meta_path);
	if (json_is_number(fs)) {
		reader->fs = json_number_value(fs);
		if (!(reader->fs >= MIN_RATE_HZ && reader->fs <= MAX_RATE_HZ))
			return fail(reader, ERR_MALFORMED, "%s: fs: expected %g to %g Hz, got %g",
			            reader->meta_path, MIN_RATE_HZ, MAX_RATE_HZ, reader->fs);
	} else if (fs != NULL && !json_is_null(fs)) {
		return fail(reader, ERR_MALFORMED, "%s: fs: expected a number (Hz)",
		            reader->meta_path);
	}
	reader->columns = json_object_get(meta, "columns");
	return read_calibration(reader, json_object_get(meta, "spo2_calibration"));
}

/* The slot of that modality, made when it is new; SIZE_MAX when there is no room. */
static size_t slot_named(struct recording *recording, const char *modality)
{
	struct recording_slot *slot;

	for (size_t s = 0; s < recording->n_slots; s++)
		if (strcmp(recording->slot[s].modality, modality) == 0)
			return s;
	if (recording->n_slots == RECORDING_MAX_SLOTS)
		return SIZE_MAX;
	slot = &recording->slot[recording->n_slots];
	set_name(slot->modality, modality);
	return recording->n_slots++;
}

/* "ppg_green2" is a further channel of ppg_green. */
static const char *modality_of(const char *column)
{
	static const struct {
		const char *prefix, *modality;
		bool numbered;
	} rules[] = {
		{"ppg_green",  "ppg_green", true },
                { "ppg_red",   "ppg_red",   true },
		{ "ppg_ir",    "ppg_ir",    true },
                { "cam_green", "ppg_green", false},
		{ "cam_red",   "ppg_red",   false},
                { "acc_x",     "acc_3axis", false},
		{ "acc_y",     "acc_3axis", false},
                { "acc_z",     "acc_3axis", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		size_t len = strlen(rules[i].prefix);
		const char *rest = column + len;

		if (strncmp(column, rules[i].prefix, len) != 0)
			continue;
		if (*rest == '\0' ||
		    (rules[i].numbered && strspn(rest, "0123456789") == strlen(rest)))
			return rules[i].modality;
	}
	return column;
}

static enum err add_column(struct reader *reader, const char *name)
{
	struct recording *recording = &reader->out->recording;
	struct column *column = &reader->column[reader->n_columns];

	if (reader->n_columns == MAX_COLUMNS)
		return fail(reader, ERR_LIMIT, "%s:1: more than %d columns", reader->csv_path,
		            MAX_COLUMNS);
	if (!is_modality(name))
		return fail(reader, ERR_MALFORMED,
		            "%s:1: expected a column name of a-z, 0-9 and _, got \"%.40s\"",
		            reader->csv_path, name);
	for (size_t c = 0; c < reader->n_columns; c++)
		if (strcmp(reader->column[c].name, name) == 0)
			return fail(reader, ERR_MALFORMED, "%s:1: column %s is there twice",
			            reader->csv_path, name);
	*column = (struct column){ .slot = SIZE_MAX };
	set_name(column->name, name);
	if (strcmp(name, "t") != 0 && strcmp(name, "seg") != 0) {
		column->slot = slot_named(recording, modality_of(name));
		column->channel = recording->slot[column->slot].num_channels++;
	}
	reader->n_columns++;
	return OK;
}

/* The next field of a line: up to a comma or the line's end. */
static size_t next_field(const char *at, const char *end, char *ret, size_t size)
{
	size_t len = 0, kept;

	while (at + len < end && at[len] != ',')
		len++;
	kept = len < size - 1 ? len : size - 1;
	memcpy(ret, at, kept);
	ret[kept] = '\0';
	return len;
}

static const char *line_end(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline != NULL ? newline : end;
}

/* A line's end without the carriage return. */
static const char *trimmed(const char *at, const char *end)
{
	return end > at && end[-1] == '\r' ? end - 1 : end;
}

static enum err check_columns(struct reader *reader)
{
	if (reader->columns == NULL || json_is_null(reader->columns))
		return OK;
	if (json_array_size(reader->columns) != reader->n_columns)
		return fail(reader, ERR_MALFORMED, "%s: columns: expected the %zu of %s, got %zu",
		            reader->meta_path, reader->n_columns, reader->csv_path,
		            json_array_size(reader->columns));
	for (size_t c = 0; c < reader->n_columns; c++) {
		const char *name = json_string_value(json_array_get(reader->columns, c));

		if (name == NULL || strcmp(name, reader->column[c].name) != 0)
			return fail(reader, ERR_MALFORMED,
			            "%s: columns: expected \"%s\" as number %zu, got \"%.40s\"",
			            reader->meta_path, reader->column[c].name, c + 1,
			            name != NULL ? name : "something else");
	}
	return OK;
}

static enum err read_header(struct reader *reader, const char *at, const char *end)
{
	for (;;) {
		char name[48];
		size_t len = next_field(at, end, name, sizeof(name));
		enum err err = add_column(reader, name);

		if (err != OK)
			return err;
		if (at + len == end)
			return check_columns(reader);
		at += len + 1;
	}
}

static void make_room(struct reader *reader)
{
	if (reader->rows < reader->room)
		return;
	reader->room = reader->room == 0 ? 4096 : 2 * reader->room;
	for (size_t c = 0; c < reader->n_columns; c++)
		reader->column[c].value =
		        xrealloc(reader->column[c].value, reader->room, sizeof(double));
}

/* A field's number; a missing sample is NAN, but times and segments are never missing. */
static bool read_number(const char *text, size_t len, const char *column, double *ret)
{
	bool may_miss = strcmp(column, "t") != 0 && strcmp(column, "seg") != 0;
	char *rest;

	if (may_miss && (len == 0 || strcasecmp(text, "nan") == 0)) {
		*ret = NAN;
		return true;
	}
	*ret = strtod(text, &rest);
	return rest != text && *rest == '\0' && len <= MAX_NUMBER && isfinite(*ret) &&
	       fabs(*ret) <= 1e15;
}

static enum err read_row(struct reader *reader, size_t line, const char *at, const char *end)
{
	make_room(reader);
	for (size_t c = 0; c < reader->n_columns; c++) {
		char text[MAX_NUMBER + 1];
		size_t len = next_field(at, end, text, sizeof(text));
		double value;

		if (!read_number(text, len, reader->column[c].name, &value))
			return fail(reader, ERR_MALFORMED,
			            "%s:%zu: column %s: expected a number, got \"%.40s\"",
			            reader->csv_path, line, reader->column[c].name, text);
		reader->column[c].value[reader->rows] = value;
		at += len;
		if ((at == end) != (c + 1 == reader->n_columns))
			return fail(reader, ERR_MALFORMED, "%s:%zu: expected %zu values, got %s",
			            reader->csv_path, line, reader->n_columns,
			            at == end ? "fewer" : "more");
		at += at < end;
	}
	reader->rows++;
	return OK;
}

static enum err read_csv(struct reader *reader, struct bytes csv)
{
	const char *at = csv.data, *end;
	enum err err = OK;

	if (csv.len == 0)
		return fail(reader, ERR_MALFORMED, "%s: expected a header line, got an empty file",
		            reader->csv_path);
	end = at + csv.len;
	for (size_t line = 1; err == OK && at < end; line++) {
		const char *stop = line_end(at, end);

		if (line == 1)
			err = read_header(reader, at, trimmed(at, stop));
		else if (trimmed(at, stop) > at)
			err = read_row(reader, line, at, trimmed(at, stop));
		if (reader->rows > RECORDING_MAX_SAMPLES)
			return fail(reader, ERR_LIMIT, "%s: more than %d rows", reader->csv_path,
			            RECORDING_MAX_SAMPLES);
		at = stop + 1;
	}
	if (err == OK && reader->rows == 0)
		return fail(reader, ERR_MALFORMED, "%s: expected rows behind the header, got none",
		            reader->csv_path);
	return err;
}

static struct column *column_named(struct reader *reader, const char *name)
{
	for (size_t c = 0; c < reader->n_columns; c++)
		if (strcmp(reader->column[c].name, name) == 0)
			return &reader->column[c];
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_step(const double *t, size_t count)
{
	double *step = xcalloc(count, sizeof(*step)), middle;

	for (size_t i = 1; i < count; i++)
		step[i - 1] = t[i] - t[i - 1];
	qsort(step, count - 1, sizeof(*step), compare);
	middle = step[(count - 1) / 2];
	free(step);
	return middle;
}

/* Each column at even times, on straight lines between its samples. */
static void resample(struct reader *reader, const double *t, double step)
{
	size_t count = (size_t)floor((t[reader->rows - 1] - t[0]) / step + 1e-9) + 1;

	for (size_t c = 0; c < reader->n_columns; c++) {
		double *old = reader->column[c].value, *even;
		size_t i = 0;

		if (old == t)
			continue;
		even = xcalloc(count, sizeof(*even));
		for (size_t n = 0; n < count; n++) {
			double at = t[0] + (double)n * step;

			while (i + 2 < reader->rows && t[i + 1] <= at)
				i++;
			even[n] = old[i] +
			          (old[i + 1] - old[i]) * fmin(1, (at - t[i]) / (t[i + 1] - t[i]));
		}
		free(old);
		reader->column[c].value = even;
	}
	reader->rows = count;
}

static enum err settle_times(struct reader *reader)
{
	struct column *t = column_named(reader, "t");
	double step;

	if (t == NULL) {
		if (!(reader->fs > 0))
			return fail(reader, ERR_MALFORMED,
			            "%s: fs: expected the sample rate in Hz (there is no column t)",
			            reader->meta_path);
		return OK;
	}
	if (column_named(reader, "seg") != NULL || reader->rows < 2)
		return fail(reader, ERR_MALFORMED,
		            "%s: a column t needs two rows and no column seg", reader->csv_path);
	for (size_t i = 1; i < reader->rows; i++)
		if (!(t->value[i] > t->value[i - 1]))
			return fail(reader, ERR_MALFORMED,
			            "%s:%zu: column t: expected more than %g, got %g",
			            reader->csv_path, i + 2, t->value[i - 1], t->value[i]);
	step = median_step(t->value, reader->rows);
	reader->fs = 1 / step;
	if (!(reader->fs >= MIN_RATE_HZ && reader->fs <= MAX_RATE_HZ) ||
	    (t->value[reader->rows - 1] - t->value[0]) / step > RECORDING_MAX_SAMPLES)
		return fail(reader, ERR_MALFORMED,
		            "%s: column t: expected seconds, got a median step of %g",
		            reader->csv_path, step);
	resample(reader, t->value, step);
	return OK;
}

static void cut_segments(struct reader *reader)
{
	const struct column *seg = column_named(reader, "seg");
	struct opened *out = reader->out;
	size_t n = 0;

	out->segments = xcalloc(1, sizeof(*out->segments));
	for (size_t i = 1; seg != NULL && i < reader->rows; i++) {
		if (seg->value[i] == seg->value[i - 1])
			continue;
		out->segments[n].count = i - out->segments[n].first;
		out->segments = xrealloc(out->segments, n + 2, sizeof(*out->segments));
		out->segments[++n] = (struct recording_segment){ .first = i };
	}
	out->segments[n].count = reader->rows - out->segments[n].first;
	out->recording.segment = out->segments;
	out->recording.n_segments = n + 1;
}

/* The factor that makes a slot's numbers whole, and the bits they need. */
static double choose_depth(const struct reader *reader, size_t s, unsigned *bit_depth)
{
	double most = 0;
	bool whole = true;

	for (size_t c = 0; c < reader->n_columns; c++) {
		const double *value = reader->column[c].value;

		for (size_t i = 0; reader->column[c].slot == s && i < reader->rows; i++) {
			most = fmax(most, fabs(value[i])); /* passes over NAN */
			whole = whole && (isnan(value[i]) || value[i] == floor(value[i]));
		}
	}
	if (!whole || most > WHOLE_LIMIT) {
		*bit_depth = 24;
		return SCALED_TOP / most;
	}
	*bit_depth = most <= INT16_MAX ? 16 : most <= SCALED_TOP ? 24 : 32;
	return 1;
}

static void put_sample(uint8_t *at, unsigned bytes, double value)
{
	uint32_t missing = 1u << (8 * bytes - 1);
	uint32_t bits = isnan(value) ? missing : (uint32_t)(int32_t)lrint(value);

	for (unsigned b = 0; b < bytes; b++)
		at[b] = (uint8_t)(bits >> (8 * b));
}

static void encode_slot(struct reader *reader, size_t s)
{
	struct recording_slot *slot = &reader->out->recording.slot[s];
	double factor = choose_depth(reader, s, &slot->bit_depth);
	unsigned bytes = slot->bit_depth / 8;
	uint8_t *payload = xcalloc(reader->rows, (size_t)bytes * slot->num_channels);

	slot->sample_rate_hz = reader->fs;
	for (size_t c = 0; c < reader->n_columns; c++) {
		const struct column *column = &reader->column[c];

		for (size_t i = 0; column->slot == s && i < reader->rows; i++)
			put_sample(payload + (i * slot->num_channels + column->channel) * bytes,
			           bytes, column->value[i] * factor);
	}
	reader->out->payload[s] = payload;
}

static enum err encode(struct reader *reader)
{
	struct recording *recording = &reader->out->recording;

	if (recording->n_slots == 0)
		return fail(reader, ERR_MALFORMED, "%s:1: expected a column of samples",
		            reader->csv_path);
	for (size_t s = 0; s < recording->n_slots; s++)
		if (recording->slot[s].num_channels > 16)
			return fail(reader, ERR_LIMIT, "%s:1: more than 16 columns of %s",
			            reader->csv_path, recording->slot[s].modality);
	cut_segments(reader);
	for (size_t s = 0; s < recording->n_slots; s++)
		encode_slot(reader, s);
	recording->sample_rate_hz = reader->fs;
	recording->duration_s = (double)reader->rows / reader->fs;
	return OK;
}

static enum err read_all(struct reader *reader, struct bytes csv, const json_t *meta)
{
	enum err err = read_meta(reader, meta);

	if (err == OK)
		err = read_csv(reader, csv);
	if (err == OK)
		err = settle_times(reader);
	if (err == OK)
		err = encode(reader);
	return err;
}

enum err recording_parse(struct bytes csv, struct bytes meta, const char *csv_path,
                         const char *meta_path, struct recording_fault *fault,
                         struct recording **ret)
{
	struct reader reader = { .csv_path = csv_path, .meta_path = meta_path, .fault = fault };
	json_error_t where;
	json_t *json = json_loadb(meta.data, meta.len, 0, &where);
	enum err err;

	if (json == NULL)
		return fail(&reader, ERR_MALFORMED, "%s:%d: %s", meta_path, where.line, where.text);
	reader.out = xcalloc(1, sizeof(*reader.out));
	err = read_all(&reader, csv, json);
	json_decref(json);
	for (size_t c = 0; c < reader.n_columns; c++)
		free(reader.column[c].value);
	if (err != OK)
		recording_close(&reader.out->recording);
	else
		*ret = &reader.out->recording;
	return err;
}

void recording_close(struct recording *recording)
{
	struct opened *opened = (struct opened *)recording;

	if (recording == NULL)
		return;
	for (size_t s = 0; s < recording->n_slots; s++)
		free(opened->payload[s]);
	free(opened->segments);
	free(opened);
}

static enum err read_file(const char *path, struct recording_fault *fault, struct buf *ret)
{
	struct reader reader = { .fault = fault };
	FILE *file = fopen(path, "rb");
	uint8_t chunk[65536];
	size_t got;
	bool bad;

	if (file == NULL)
		return fail(&reader, ERR_IO, "%s: %s", path, strerror(errno));
	while (ret->len < MAX_FILE_BYTES && (got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		buf_append(ret, chunk, got);
	bad = ferror(file);
	fclose(file);
	if (bad)
		return fail(&reader, ERR_IO, "%s: cannot be read", path);
	if (ret->len >= MAX_FILE_BYTES)
		return fail(&reader, ERR_LIMIT, "%s: larger than %u bytes", path, MAX_FILE_BYTES);
	return OK;
}

static char *beside(const char *csv_path)
{
	size_t len = strlen(csv_path);

	if (len > 4 && strcmp(csv_path + len - 4, ".csv") == 0)
		len -= 4;
	return xasprintf("%.*s.json", (int)len, csv_path);
}

enum err recording_open(const char *csv_path, const char *meta_path, struct recording_fault *fault,
                        struct recording **ret)
{
	AUTO_MEM char *meta = meta_path != NULL ? xstrdup(meta_path) : beside(csv_path);
	struct buf csv_bytes = { 0 }, meta_bytes = { 0 };
	enum err err = read_file(csv_path, fault, &csv_bytes);

	if (err == OK)
		err = read_file(meta, fault, &meta_bytes);
	if (err == OK)
		err = recording_parse(BYTES(csv_bytes.data, csv_bytes.len),
		                      BYTES(meta_bytes.data, meta_bytes.len), csv_path, meta, fault,
		                      ret);
	buf_free(&csv_bytes);
	buf_free(&meta_bytes);
	return err;
}

/* First sample of frame k. */
static size_t frame_start(const struct recording *recording, size_t k, unsigned frame_ms)
{
	if (frame_ms == 0)
		return k;
	return (size_t)ceil((double)k * frame_ms * recording->sample_rate_hz / 1000 - 1e-6);
}

bool recording_frame(const struct recording *recording, size_t segment, size_t slot, size_t k,
                     unsigned frame_ms, struct recording_frame *ret)
{
	const struct opened *opened = (const struct opened *)recording;
	const struct recording_segment *part = &recording->segment[segment];
	const struct recording_slot *of = &recording->slot[slot];
	size_t from = frame_start(recording, k, frame_ms);
	size_t to = frame_start(recording, k + 1, frame_ms);
	size_t bytes = of->bit_depth / 8 * of->num_channels;

	if (from >= part->count)
		return false;
	to = to < part->count ? to : part->count;
	MUST(to - from <= RECORDING_MAX_FRAME);
	*ret = (struct recording_frame){
		.t0_ms = llrint((double)(part->first + from) * 1000 / recording->sample_rate_hz),
		.sample_count = (uint32_t)(to - from),
		.payload = opened->payload[slot] + (part->first + from) * bytes,
		.payload_bytes = (to - from) * bytes,
	};
	return true;
}
