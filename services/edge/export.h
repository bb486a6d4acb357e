/*
 * export - the raw samples of a session as one file: GET /v1/sessions/{id}/frames.
 *
 *     publisher ──where frames lie──► [runs] ──window of time──► frames ──► text or records
 *                                                  ▲                            │
 *                                                  └── when the client has read ┘
 *
 * Read twice: first where the frames lie (so that the file is in the order of time, whatever
 * the order of arrival, and EDF's header can say how many records follow), then window by window
 * the frames. Each step is a page that the publisher reads at once and a part of the file that
 * is at most EXPORT_PART long; the next follows when the client has read that. What arrives
 * after the first reading is not in the file. EXPORTS_MOST at a time, and fewer of one account,
 * so that it leaves room for others; more are told 503. The runs of all of them are bounded too.
 */
#ifndef EDGE_EXPORT_H
#define EDGE_EXPORT_H

#include "services/edge/edf.h"
#include "services/edge/export_runs.h"
#include "services/edge/rest_handler.h"

#define EXPORTS_MOST       64
#define EXPORTS_OF_ACCOUNT 16
#define EXPORTS_RUNS_MOST  (4 * EXPORT_RUNS_MOST) /* of all exports under way */
#define EXPORT_PART        (64u << 10)            /* bytes made in one turn, about */

enum export_format { EXPORT_CSV, EXPORT_EDF, EXPORT_BDF };

/* A route's handler; its command is frame_runs. */
void export_frames(struct rest *rest);

/* ---- for the parts of export ---- */

/* A frame of the window, in the page that brought it. */
struct export_frame {
	int64_t from_ms;
	uint64_t number;
	struct bytes bytes;
};

struct export
{
	enum export_format format;
	char *session_id;
	Publisher__FrameRunList *about; /* its slots and device */
	bool one_slot;
	uint32_t slot;
	int64_t from_ms, to_ms; /* samples asked for: from included, to not */
	struct export_runs runs;
	bool indexed;

	int64_t window_from_ms, window_to_ms;
	size_t todo;    /* the interval being read */
	uint64_t next;  /* the number to read next in it */
	bool reading;   /* a window is under way; false: choose the next */
	struct buf out; /* to be written */
	size_t out_at;

	ProtobufCMessage **pages; /* of the window: they hold the frames */
	size_t n_pages, cap_pages, page_bytes;
	struct export_frame *frames; /* CSV: in order of time once the window is read */
	size_t n_frames, cap_frames, at_frame;
	uint32_t at_sample;

	struct edf edf;
	int64_t origin_ms; /* where record 0 begins */
	struct export_stretch {
		int64_t first, last; /* records, without a hole */
	} * stretches;
	size_t n_stretches, at_stretch;
	int64_t next_record, first_record; /* first_record: of the window */
	struct edf_record *records;        /* of the window */
	size_t n_records, room_records, at_record;
};

/* For who looks on (`after`, `newest`) the first page is all there is: a Link header for what
 * comes behind it. Else "". A new string: mem_free(). */
char *export_tail_link(const struct rest *rest, const struct export *export);

const Raeh__Slot *export_slot(const struct export *export, uint32_t slot_id);

/* What differs between the formats: export_lines.c, export_records.c. */
struct export_writer {
	/* Knowing where the frames lie: appends what the file begins with. */
	void (*begin)(struct export *export);
	/* Sets the next window; false: there is none any more. */
	bool (*window)(struct export *export);
	/* A frame that reaches into the window, in order of arrival; borrowed until the window's
	 * parts are out. True: no later window needs it. */
	bool (*take)(struct export *export, const struct export_frame *frame);
	/* Appends the next part of what was taken; false: there was none. */
	bool (*part)(struct export *export);
	/* How much may be taken before the first part. */
	size_t most_bytes;
};
extern const struct export_writer export_csv_writer, export_edf_writer;

#endif
