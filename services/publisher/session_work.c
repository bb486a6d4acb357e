#include "services/publisher/session_work.h"

#include "common/frame.h"
#include "services/publisher/session_rows.h"

#include <string.h>

struct session_work {
	struct list link; /* in works->waiting */
	struct session_works *works;
	struct analysis *analysis;
	uint64_t number;
	struct buf frame;
	bool is_whole;
	struct analysis_placed placed;
};

void session_works_init(struct session_works *works)
{
	list_init(&works->waiting);
	works->n = 0;
}

bool session_works_slice(struct session_works *works)
{
	struct session_work *work =
	        LIST_OWNER(list_first(&works->waiting), struct session_work, link);

	if (!work)
		return false;
	work->is_whole = analysis_push_some(work->analysis, SESSION_SLICE_S, &work->placed);
	if (work->is_whole)
		list_remove(&work->link);
	else
		list_append(&works->waiting, &work->link);
	return true;
}

#define LEAST_HZ 8 /* slots below are not analysed (analysis.h) */

/* False: the frame is not analysed. */
static bool parse(const struct session *session, struct bytes message, struct frame *ret)
{
	char why[124];

	return session->opening && !session->closed && frame_parse(message, ret) &&
	       frame_refusal(message, session->opening->slots, session->opening->n_slots, why) == 0;
}

double session_frame_s(const struct session *session, struct bytes message)
{
	struct frame frame;
	double rate_hz;

	if (!parse(session, message, &frame))
		return 0;
	rate_hz = session->opening->slots[session->slot_index[frame.slot_id]]->sample_rate_hz;
	return rate_hz < LEAST_HZ ? 0 : frame.sample_count / rate_hz;
}

static bool is_of(const struct session_work *work, const struct session *session,
                  struct bytes frame)
{
	return work && work->number == session->next && work->frame.len == frame.len &&
	       memcmp(work->frame.data, frame.data, frame.len) == 0;
}

bool session_may_take(const struct session *session, struct bytes frame)
{
	return session_frame_s(session, frame) < SESSION_LONG_S ||
	       (is_of(session->work, session, frame) && session->work->is_whole);
}

static struct analysis *copy_of(const struct session *session)
{
	struct analysis *copy = session_new_analysis(session);
	size_t size = analysis_state_size(copy);
	uint8_t *state;

	if (!session->analysis) /* it is the first frame */
		return copy;
	state = xcalloc(1, size);
	analysis_save(session->analysis, state);
	MUST(analysis_restore(copy, state, size) == OK);
	mem_free(state);
	return copy;
}

void session_work_begin(struct session_works *works, struct session *session, struct bytes message)
{
	struct session_work *work;
	struct frame frame;

	if (is_of(session->work, session, message))
		return;
	session_work_drop(session);
	if (works->n >= SESSION_WORKS_MOST)
		return;
	work = session->work = xcalloc(1, sizeof *work);
	work->works = works;
	work->number = session->next;
	work->analysis = copy_of(session);
	buf_append(&work->frame, message.data, message.len);
	MUST(parse(session, BYTES(work->frame.data, work->frame.len), &frame));
	analysis_push_begin(work->analysis, session->slot_index[frame.slot_id], frame.t0_epoch_ms,
	                    frame.payload.data, frame.sample_count);
	list_append(&works->waiting, &work->link);
	works->n++;
}

bool session_work_take(struct session *session, uint64_t number, struct analysis_placed *ret)
{
	struct session_work *work = session->work;

	if (!work || !work->is_whole || work->number != number)
		return false;
	analysis_free(session->analysis);
	session->analysis = TAKE(work->analysis);
	*ret = work->placed;
	session_work_drop(session);
	return true;
}

void session_work_drop(struct session *session)
{
	struct session_work *work = TAKE(session->work);

	if (!work)
		return;
	list_remove(&work->link);
	work->works->n--;
	analysis_free(work->analysis);
	buf_free(&work->frame);
	mem_free(work);
}
