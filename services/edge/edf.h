/*
 * edf - EDF+ and BDF+ files, written front to back. Pure.
 *
 *     header (256 bytes and 256 a signal) | record | record | …
 *
 * One signal a channel of a slot, and one of annotations. Written from the specifications:
 * EDF+ as in Kemp and Olivan, Clinical Neurophysiology 114 (2003) 1755, www.edfplus.info;
 * BDF+ is the same with 24-bit samples (www.biosemi.com/faq/file_format.htm).
 *
 * Samples stand as they are. Those with more bits than the file's lose the lowest ones, and the
 * physical dimension says by which power of two ("x2^8"). A sample that is not there is the
 * digital minimum; an annotation says of which signal and when.
 *
 * A record is as long as makes every sample rate a whole number of samples, a second if that
 * will do. Where none does, the next whole number stands; since every record has its own time,
 * the error never adds up.
 */
#ifndef EDGE_EDF_H
#define EDGE_EDF_H

#include "common/mem.h"
#include "raeh.pb-c.h"

#define EDF_SLOTS       64
#define EDF_RECORD_MOST (768u << 10) /* bytes */

enum edf_format { EDF_16 = 2, EDF_24 = 3 }; /* bytes of a sample: EDF+, BDF+ */

struct edf_slot {
	uint32_t slot_id, channels, bits;
	char label[17];
	uint32_t per_record;     /* samples a channel */
	size_t values, presence; /* where its first ones are */
};

struct edf {
	enum edf_format format;
	int64_t record_ms;
	size_t n_slots, n_signals; /* annotations not counted */
	struct edf_slot slot[EDF_SLOTS];
	size_t n_values, n_presence, annotation_bytes;
};

/* One record being filled: values by slot, sample, channel; presence by slot, sample. */
struct edf_record {
	int32_t *value;
	bool *present;
};

/* Slots as device models may have them: then there is a record that holds them all. */
void edf_plan(struct edf *edf, enum edf_format format, const Raeh__Slot *slots, size_t n_slots);
size_t edf_record_bytes(const struct edf *edf);

struct edf_about {
	const char *device_id, *session_id;
	int64_t start_ms; /* of the first record */
	uint64_t records;
	bool is_continuous;
};
void edf_append_header(const struct edf *edf, const struct edf_about *about, struct buf *ret);

void edf_record_init(const struct edf *edf, struct edf_record *ret);
void edf_record_clear(const struct edf *edf, struct edf_record *record);
void edf_record_free(struct edf_record *record);
/* onset_ms: from about.start_ms. */
void edf_append_record(const struct edf *edf, const struct edf_record *record, int64_t start_ms,
                       int64_t onset_ms, struct buf *ret);

#endif
