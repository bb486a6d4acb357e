#include "services/publisher/gaps.h"

#include "common/wire.h"

#include <math.h>
#include <stdlib.h>

#define TAIL_MS 2000

/* Two a slot may stand beside those of the ledger (its tail, edge-lost), and one refused frame. */
#define GAPS_MOST (LEDGER_GAPS + 2 * ANALYSIS_MAX_SLOTS + 1)

struct listing {
	const struct session *session;
	Publisher__Gap gap[GAPS_MOST], *place[GAPS_MOST];
	size_t n;
};

static Publisher__Gap *add(struct listing *listing, const char *cause)
{
	Publisher__Gap *gap = &listing->gap[listing->n];

	MUST(listing->n < GAPS_MOST);
	publisher__gap__init(gap);
	listing->place[listing->n++] = gap;
	gap->cause = (char *)cause;
	gap->intervals = 1;
	return gap;
}

static void set_slot(struct listing *listing, Publisher__Gap *gap, size_t index)
{
	const Raeh__Slot *slot = listing->session->opening->slots[index];

	gap->has_slot_id = true;
	gap->slot_id = slot->slot_id;
	gap->modality = slot->modality;
}

static void set_span(Publisher__Gap *gap, int64_t from, int64_t to)
{
	gap->has_from_t = gap->has_to_t = gap->has_missing_ms = true;
	gap->from_t = from;
	gap->to_t = to;
	gap->missing_ms = to - from;
}

static void add_ledger(struct listing *listing)
{
	const struct ledger *ledger = &listing->session->ledger;

	for (size_t i = 0; i < ledger->n; i++) {
		const struct gap *from = &ledger->gap[i];
		Publisher__Gap *gap;

		if (from->slot >= listing->session->opening->n_slots)
			continue;
		gap = add(listing, gap_cause_name((enum gap_cause)from->cause));
		set_slot(listing, gap, from->slot);
		set_span(gap, from->from_ms, from->to_ms);
		gap->missing_ms = from->missing_ms;
		gap->has_frames = from->cause == GAP_LATE;
		gap->frames = from->frames;
		gap->intervals = from->intervals;
	}
}

/* What a slot has not sent while others have: from its end, or all of it. */
static void add_tails(struct listing *listing)
{
	const struct ledger *ledger = &listing->session->ledger;
	size_t n = listing->session->opening->n_slots;
	int64_t first = INT64_MAX, end = INT64_MIN;

	for (size_t i = 0; i < n; i++) {
		if (!ledger->began[i])
			continue;
		first = ledger->first_ms[i] < first ? ledger->first_ms[i] : first;
		end = ledger->end_ms[i] > end ? ledger->end_ms[i] : end;
	}
	for (size_t i = 0; i < n && first < end; i++) {
		Publisher__Gap *gap;

		if (ledger->began[i] && ledger->end_ms[i] >= end - TAIL_MS)
			continue;
		gap = add(listing, gap_cause_name(GAP_NEVER_SENT));
		set_slot(listing, gap, i);
		set_span(gap, ledger->began[i] ? ledger->end_ms[i] : first, end);
	}
}

static bool is_edge_lost(const struct session *session)
{
	return session->fenced && !session->whole;
}

/* How much its edge had not delivered, nobody knows. */
static void add_edge_lost(struct listing *listing)
{
	const struct ledger *ledger = &listing->session->ledger;

	for (size_t i = 0; i < listing->session->opening->n_slots; i++) {
		Publisher__Gap *gap = add(listing, "edge-lost");

		set_slot(listing, gap, i);
		gap->has_from_t = ledger->began[i];
		gap->from_t = ledger->end_ms[i];
	}
}

static void add_refused(struct listing *listing)
{
	const struct session *session = listing->session;
	const Publisher__Refused *refused = &session->refused;
	Publisher__Gap *gap = add(listing, refused->rate_limited ? "rate-limited" : "rejected");
	uint8_t index = refused->has_slot_id ? session->slot_index[(uint8_t)refused->slot_id]
	                                     : SESSION_NO_SLOT;
	double rate;

	gap->has_frames = true;
	gap->frames = 1;
	if (index == SESSION_NO_SLOT)
		return;
	set_slot(listing, gap, index);
	rate = session->opening->slots[index]->sample_rate_hz;
	if (refused->has_t0 && refused->t0 > -(INT64_C(1) << 52) && refused->t0 < INT64_C(1) << 52)
		set_span(gap, refused->t0, refused->t0 + llround(refused->samples * 1000.0 / rate));
}

static int by_slot_and_time(const void *a, const void *b)
{
	const Publisher__Gap *left = *(Publisher__Gap *const *)a;
	const Publisher__Gap *right = *(Publisher__Gap *const *)b;

	if (left->slot_id != right->slot_id)
		return left->slot_id < right->slot_id ? -1 : 1;
	return left->from_t < right->from_t ? -1 : left->from_t > right->from_t;
}

void gaps_pack(const struct session *session, struct buf *ret)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__SessionGaps gaps = PUBLISHER__SESSION_GAPS__INIT;
	struct listing *listing = xcalloc(1, sizeof *listing);

	listing->session = session;
	add_ledger(listing);
	add_tails(listing);
	if (is_edge_lost(session))
		add_edge_lost(listing);
	if (session->has_refused)
		add_refused(listing);
	qsort(listing->place, listing->n, sizeof listing->place[0], by_slot_and_time);
	gaps.session_id = (char *)session->text;
	gaps.stored = session->frames;
	gaps.duplicates = session->duplicates;
	gaps.late = session->late;
	gaps.rejected =
	        session->rejected + (session->has_refused && !session->refused.rate_limited);
	gaps.rate_limited =
	        session->rate_limited + (session->has_refused && session->refused.rate_limited);
	gaps.received = gaps.stored + gaps.duplicates + gaps.rejected + gaps.rate_limited;
	gaps.n_gaps = listing->n;
	gaps.gaps = listing->place;
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_GAPS;
	reply.gaps = &gaps;
	(void)wire_pack(ret, &reply.base);
	mem_free(listing);
}
