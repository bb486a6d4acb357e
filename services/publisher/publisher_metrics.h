/*
 * publisher_metrics - the numbers of one publisher.
 */
#ifndef PUBLISHER_METRICS_H
#define PUBLISHER_METRICS_H

#include "common/metrics.h"

#define PUBLISHER_METRICS(M)                                                                       \
	M(COUNTER, frames_stored_total, "frames stored")                                           \
	M(COUNTER, frames_duplicate_total, "identical frames acknowledged and not stored")         \
	M(COUNTER, frames_erased_total, "frames acknowledged and dropped: of erased sessions")     \
	M(COUNTER, sessions_erased_total, "sessions whose data was removed on demand")             \
	M(COUNTER, frame_bytes_total, "bytes of the stored frames")                                \
	M(COUNTER, items_requests_total, "batches of items")                                       \
	M(COUNTER, items_out_of_order_total, "runs of items answered with the expected number")    \
	M(COUNTER, items_refused_total, "runs of items refused or not understood")                 \
	M(COUNTER, writes_refused_total, "batches that the disk had no room for, or failed")       \
	M(COUNTER, frames_expired_total, "frames older than --retain-frames-s: removed")           \
	M(COUNTER, insights_expired_total, "insights older than --retain-insights-s: removed")     \
	M(COUNTER, retention_sweeps_total, "times that all sessions were looked at for these")     \
	M(COUNTER, insights_total, "insights stored")                                              \
	M(COUNTER, sessions_opened_total, "openings taken")                                        \
	M(COUNTER, sessions_resumed_total, "sessions that went on over a new connection")          \
	M(COUNTER, sessions_closed_total, "sessions closed by their closing item")                 \
	M(COUNTER, sessions_fenced_total, "sessions closed by a newer connection or as orphans")   \
	M(COUNTER, sessions_loaded_total, "sessions rebuilt from the store")                       \
	M(COUNTER, frames_replayed_total, "frames analysed again to rebuild sessions")             \
	M(GAUGE, sessions_in_memory, "sessions in memory")                                         \
	M(COUNTER, syncs_total, "waits for the disk")                                              \
	M(COUNTER, sync_wait_us_total, "time between writing and durable, summed")                 \
	M(GAUGE, sync_wait_us_max, "the longest such wait since start")                            \
	M(COUNTER, history_rows_total, "rows looked at for history answers")                       \
	M(COUNTER, history_refused_total, "history requests refused for the load or their size")

METRICS_DECLARE(publisher, PUBLISHER_METRICS);

#endif
