#include "services/publisher/clock_health.h"

#include "common/wire.h"

#include <math.h>

static double rounded(double value, double steps)
{
	return round(value * steps) / steps;
}

static void fill(Publisher__SlotClock *clock, const Raeh__Slot *slot, const struct timing *timing)
{
	publisher__slot_clock__init(clock);
	clock->slot_id = slot->slot_id;
	clock->modality = slot->modality;
	clock->declared_hz = slot->sample_rate_hz;
	clock->has_measured_hz = timing_rate(timing, &clock->measured_hz);
	clock->measured_hz = rounded(clock->measured_hz, 10000);
	clock->has_offset_ms = timing_offset(timing, &clock->offset_ms);
	clock->has_drift_ppm = timing_drift(timing, &clock->drift_ppm);
	clock->drift_ppm = rounded(clock->drift_ppm, 10);
	clock->steps_back = timing->steps_back;
	clock->largest_step_ms = timing->largest_step_ms;
}

void clock_health_pack(const struct session *session, struct buf *ret)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__SessionClock health = PUBLISHER__SESSION_CLOCK__INIT;
	Publisher__SlotClock slot[ANALYSIS_MAX_SLOTS], *place[ANALYSIS_MAX_SLOTS];
	const Publisher__SlotClock *first = NULL;

	health.session_id = (char *)session->text;
	health.n_slots = session->opening->n_slots;
	health.slots = place;
	for (size_t i = 0; i < health.n_slots; i++) {
		place[i] = &slot[i];
		fill(&slot[i], session->opening->slots[i], &session->timing[i]);
		if (!first && slot[i].has_offset_ms)
			first = &slot[i];
		slot[i].has_skew_ms = slot[i].has_offset_ms;
		if (first)
			slot[i].skew_ms = slot[i].offset_ms - first->offset_ms;
	}
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_CLOCK;
	reply.clock = &health;
	(void)wire_pack(ret, &reply.base);
}
