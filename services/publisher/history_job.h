/*
 * history_job - one list being read, slice by slice: the rows that it wants, in order.
 *
 * Rows of one session (x) come from one scan; those of an account (i) from one scan a
 * type, merged by id, newest first.
 */
#ifndef PUBLISHER_HISTORY_JOB_H
#define PUBLISHER_HISTORY_JOB_H

#include "services/publisher/history.h"

struct history_scan {
	struct store_scan *scan;
	bool ready; /* key and value are the next row */
	struct bytes key, value;
};

struct history_job {
	struct list in_jobs;
	struct history *history;
	struct bus_call *call;
	struct uuid account;
	char *device_id; /* NULL: any */
	uint64_t device_tag;
	bool of_session; /* x rows */
	bool has_before;
	struct uuid before; /* only insights with a lesser id; for backward scans */
	bool is_cut;        /* it ended before the rows did */
	bool wanted[INSIGHT_TYPES];
	int64_t from_ms, to_ms; /* publish time, both included */
	size_t limit, found, rows;
	int64_t began_ms;
	size_t n_scans;
	struct history_scan scan[INSIGHT_TYPES];
	struct buf items; /* the fields of an InsightList */
};

enum history_step { HISTORY_MORE, HISTORY_ANSWERED, HISTORY_TOO_MUCH };

struct history_job *history_job_new(struct history *history, const struct asker *asker,
                                    struct bus_call *call);
/* Does not answer. */
void history_job_free(struct history_job *job);

/* Insights of a session numbered above `after`, or backwards from the newest. */
void history_job_scan_session(struct history_job *job, const struct session_name *name,
                              uint64_t after, bool backwards);
/* Insights of the account, of the wanted types and times. */
void history_job_scan_account(struct history_job *job);

enum history_step history_job_step(struct history_job *job);
/* The packed PublisherReply. */
void history_job_answer(const struct history_job *job, struct buf *ret);

#endif
