#include "services/edge/export.h"

#include "common/frame.h"
#include "common/log.h"
#include "common/wire.h"
#include "services/edge/problem.h"
#include "services/edge/rest_internal.h"

#include <stdio.h>
#include <string.h>

#define PAGE_MS 20000 /* a publisher may restart meanwhile */

static const char *const formats[] = {
	[EXPORT_CSV] = "csv", [EXPORT_EDF] = "edf", [EXPORT_BDF] = "bdf"
};

static const struct export_writer *writer_of(const struct export *export)
{
	return export->format == EXPORT_CSV ? &export_csv_writer : &export_edf_writer;
}

const Raeh__Slot *export_slot(const struct export *export, uint32_t slot_id)
{
	for (size_t i = 0; i < export->about->n_slots; i++)
		if (export->about->slots[i]->slot_id == slot_id)
			return export->about->slots[i];
	return NULL;
}

static void drop_pages(struct export *export)
{
	while (export->n_pages > 0)
		wire_free(export->pages[--export->n_pages]);
	export->page_bytes = 0;
	export->n_frames = export->at_frame = 0;
	export->at_sample = 0;
}

static void free_export(struct edge *edge, struct export *export)
{
	drop_pages(export);
	edge->export_runs -= export->runs.n;
	mem_free(export->pages);
	mem_free(export->frames);
	for (size_t i = 0; i < export->room_records; i++)
		edf_record_free(&export->records[i]);
	mem_free(export->records);
	mem_free(export->stretches);
	export_runs_free(&export->runs);
	buf_free(&export->out);
	if (export->about)
		wire_free(&export->about->base);
	mem_free(export->session_id);
	mem_free(export);
}

/* ---- pages from the publisher ---- */

static Publisher__PublisherRequest *request_of(struct rest *rest)
{
	return (Publisher__PublisherRequest *)rest->request;
}

static void ask(struct rest *rest, const ProtobufCMessage *request, rest_reply_fn *fn)
{
	struct buf buf = { 0 };
	char name[BUS_NAME_MAX];

	rest_publisher_of(rest, rest_subject(rest), name);
	rest_ask(rest, name, wire_pack(&buf, request), PAGE_MS, fn);
	buf_free(&buf);
}

/* NULL: the publisher is away, or does not answer with what was asked; *ret_error, when it says
 * why. The caller frees it. */
static Publisher__PublisherReply *reply_of(enum err err, struct bytes data, unsigned result)
{
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&publisher__publisher_reply__descriptor, data) : NULL;
	Publisher__PublisherReply *reply = (Publisher__PublisherReply *)message;

	if (reply && !reply->error && reply->result_case != result) {
		wire_free(message);
		return NULL;
	}
	return reply;
}

/* The file has begun and cannot be ended well: the client must see that. */
static void break_off(struct rest *rest, const char *why)
{
	log_warn("export-broken-off", "why=\"%s\"", why);
	rest_stream_abort(rest, why);
}

static void step(struct rest *rest, struct export *export);

/* ---- where the frames lie ---- */

/* NULL, or why there are too many. */
static const char *add_runs(struct edge *edge, struct export *export,
                            const Publisher__FrameRunList *list)
{
	if (edge->export_runs + list->n_runs > EXPORTS_RUNS_MOST)
		return "the exports under way are in too many pieces for one edge";
	for (size_t i = 0; i < list->n_runs; i++, edge->export_runs++)
		if (!export_runs_add(&export->runs, list->runs[i]))
			return "the session is in too many pieces for one file";
	return NULL;
}

static void all_runs_known(struct export *export)
{
	export_runs_sort(&export->runs);
	export->indexed = true;
	writer_of(export)->begin(export);
}

static void on_runs(struct rest *rest, const char *name, enum err err, struct bytes data);

static void ask_runs(struct rest *rest, const struct export *export)
{
	Publisher__FrameRuns *command = request_of(rest)->frame_runs;

	command->page_case = PUBLISHER__FRAME_RUNS__PAGE_NEXT_NUMBER;
	command->next_number = export->about->next;
	ask(rest, rest->request, on_runs);
}

static void take_runs(struct rest *rest, struct export *export, Publisher__PublisherReply *reply)
{
	const char *fault = add_runs(rest->edge, export, reply->frame_runs);

	export->about->next = reply->frame_runs->next;
	if (fault) {
		break_off(rest, fault);
		return;
	}
	if (reply->more) {
		ask_runs(rest, export);
		return;
	}
	all_runs_known(export);
	step(rest, export);
}

static void on_runs(struct rest *rest, const char *name, enum err err, struct bytes data)
{
	Publisher__PublisherReply *reply =
	        reply_of(err, data, PUBLISHER__PUBLISHER_REPLY__RESULT_FRAME_RUNS);

	if (reply && !reply->error)
		take_runs(rest, rest->stream_ctx, reply);
	else
		break_off(rest, reply ? reply->error->detail : name);
	if (reply)
		wire_free(&reply->base);
}

/* ---- the frames of a window ---- */

static void keep_page(struct export *export, ProtobufCMessage *page)
{
	if (export->n_pages == export->cap_pages) {
		export->cap_pages = export->cap_pages ? 2 * export->cap_pages : 8;
		export->pages =
		        xrealloc(export->pages, export->cap_pages, sizeof(ProtobufCMessage *));
	}
	export->pages[export->n_pages++] = page;
}

static void take_frames(struct export *export, const Publisher__FrameList *list)
{
	struct frame frame;

	for (size_t i = 0; i < list->n_frames && i < list->n_numbers; i++) {
		struct export_frame taken = { .number = list->numbers[i],
			                      .bytes = BYTES(list->frames[i].data,
			                                     list->frames[i].len) };

		if (!frame_parse(taken.bytes, &frame))
			continue; /* never: the publisher has looked */
		taken.from_ms = frame.t0_epoch_ms;
		export_runs_read(&export->runs, frame.slot_id, taken.number,
		                 writer_of(export)->take(export, &taken));
		export->page_bytes += taken.bytes.len;
	}
}

static void on_frames(struct rest *rest, const char *name, enum err err, struct bytes data)
{
	struct export *export = rest->stream_ctx;
	Publisher__PublisherReply *reply =
	        reply_of(err, data, PUBLISHER__PUBLISHER_REPLY__RESULT_FRAMES);

	if (!reply || reply->error) {
		break_off(rest, reply ? reply->error->detail : name);
		if (reply)
			wire_free(&reply->base);
		return;
	}
	take_frames(export, reply->frames);
	export->next = reply->more ? reply->frames->next : UINT64_MAX;
	if (export->n_frames > 0)
		keep_page(export, &reply->base); /* it is written from there */
	else
		wire_free(&reply->base);
	step(rest, export);
}

static void ask_frames(struct rest *rest, const struct export *export)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__ReadFrames command = PUBLISHER__READ_FRAMES__INIT;

	command.id = export->session_id;
	command.first = export->next;
	command.last = export->runs.todo[export->todo].last;
	command.from_ms = export->window_from_ms;
	command.to_ms = export->window_to_ms;
	command.has_slot = export->one_slot;
	command.slot = export->slot;
	request.principal = request_of(rest)->principal;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_READ_FRAMES;
	request.read_frames = &command;
	ask(rest, &request.base, on_frames);
}

/* ---- the file ---- */

/* False: there is none any more. */
static bool next_window(struct export *export)
{
	if (!writer_of(export)->window(export))
		return false;
	export_runs_window(&export->runs, export->window_from_ms, export->window_to_ms);
	export->todo = 0;
	export->next = export->runs.n_todo > 0 ? export->runs.todo[0].first : 0;
	export->reading = true;
	return true;
}

/* True: there are frames of the window that were not read. */
static bool has_more_to_read(struct export *export)
{
	while (export->todo<export->runs.n_todo &&export->next> export->runs.todo[export->todo]
	               .last)
		if (++export->todo < export->runs.n_todo)
			export->next = export->runs.todo[export->todo].first;
	return export->todo < export->runs.n_todo;
}

/* What is there goes out; true: something did. */
static bool write_out(struct rest *rest, struct export *export)
{
	size_t len = export->out.len - export->out_at;

	len = len < REST_STREAM_QUEUE / 2 ? len : REST_STREAM_QUEUE / 2;
	if (len == 0)
		return false;
	if (rest_stream_write(rest, BYTES(export->out.data + export->out_at, len)) == OK)
		export->out_at += len;
	if (export->out_at == export->out.len)
		export->out.len = export->out_at = 0;
	return true; /* refused: more() comes all the same */
}

/* The next that can be done: a part of the file, a page, or the end. */
static void step(struct rest *rest, struct export *export)
{
	const struct export_writer *writer = writer_of(export);

	if (write_out(rest, export))
		return;
	for (;;) {
		if (!export->reading && !next_window(export)) {
			rest_stream_end(rest);
			return;
		}
		if (has_more_to_read(export) && export->page_bytes < writer->most_bytes) {
			ask_frames(rest, export);
			return;
		}
		if (writer->part(export)) {
			if (write_out(rest, export))
				return;
			continue;
		}
		drop_pages(export);
		if (has_more_to_read(export))
			continue;
		if (!export_runs_window_done(&export->runs, export->window_to_ms)) {
			break_off(rest, "frames were removed while they were being read");
			return;
		}
		export->reading = false;
	}
}

static void on_more(struct rest *rest, void *ctx)
{
	struct export *export = ctx;

	if (rest->pending > 0)
		return; /* a page is under way: it goes on */
	if (export->indexed)
		step(rest, export);
	else
		ask_runs(rest, export);
}

static void on_gone(struct rest *rest, void *ctx)
{
	rest->edge->metrics.exports_under_way--;
	free_export(rest->edge, ctx);
}

static const struct rest_stream stream = { on_more, on_gone };

/* ---- the beginning ---- */

static bool read_format(const char *text, enum export_format *ret)
{
	*ret = EXPORT_CSV;
	for (size_t i = 0; text && i < ARRAY_LEN(formats); i++)
		if (strcmp(text, formats[i]) == 0) {
			*ret = (enum export_format)i;
			return true;
		}
	return !text;
}

static struct export *new_export(struct rest *rest, Publisher__PublisherReply *reply)
{
	const Publisher__FrameRuns *command = request_of(rest)->frame_runs;
	struct export *export = xcalloc(1, sizeof *export);

	(void)read_format(command->format, &export->format);
	export->session_id = xstrdup(command->id);
	export->one_slot = command->has_slot;
	export->slot = command->slot;
	export->from_ms = command->has_from_at ? command->from_at : INT64_MIN;
	export->to_ms = command->has_to_at ? command->to_at : INT64_MAX;
	export->window_to_ms = export->from_ms;
	export->about = TAKE(reply->frame_runs);
	reply->result_case = PUBLISHER__PUBLISHER_REPLY__RESULT__NOT_SET;
	return export;
}

/* How many of this account are under way here. */
static size_t count_of_account(const struct rest *rest)
{
	const Raeh__Principal *asker = rest_principal(rest);
	size_t n = 0;

	LIST_EACH(link, &rest->edge->requests)
	{
		const struct rest *other = LIST_OWNER(link, struct rest, link);

		n += other->stream == &stream && asker && rest_is_of(other, asker);
	}
	return n;
}

/* False: refused. */
static bool has_place(struct rest *rest)
{
	const char *why = NULL;

	if (rest->edge->metrics.exports_under_way >= EXPORTS_MOST)
		why = "too many exports at once";
	else if (count_of_account(rest) >= EXPORTS_OF_ACCOUNT)
		why = "too many exports of this account at once";
	if (why)
		rest_refuse(rest, 503, why, "Retry-After: 10\r\n");
	return !why;
}

static void start(struct rest *rest, Publisher__PublisherReply *reply)
{
	struct export *export;
	const char *fault;
	char *headers, *link;

	if (!has_place(rest))
		return; /* others began while the publisher was asked */
	export = new_export(rest, reply);
	fault = add_runs(rest->edge, export, export->about);
	if (fault || (export->one_slot && !export_slot(export, export->slot))) {
		free_export(rest->edge, export);
		if (fault)
			rest_refuse(rest, 503, fault, "Retry-After: 10\r\n");
		else
			rest_refuse(rest, 400, "slot: this session has no such slot", "");
		return;
	}
	link = export_tail_link(rest, export);
	headers =
	        xasprintf(HTTP_HEADERS "Content-Type: %s\r\n"
	                               "Content-Disposition: attachment; filename=\"%s.%s\"\r\n%s",
	                  export->format == EXPORT_CSV ? "text/csv; charset=utf-8"
	                                               : "application/octet-stream",
	                  export->session_id, formats[export->format], link);
	if (!reply->more || *link)
		all_runs_known(export);
	mem_free(link);
	rest->edge->metrics.exports_under_way++;
	rest_stream_start(rest, 200, headers, &stream, export);
	mem_free(headers);
}

static void on_first_runs(struct rest *rest, const char *name, enum err err, struct bytes data)
{
	Publisher__PublisherReply *reply =
	        reply_of(err, data, PUBLISHER__PUBLISHER_REPLY__RESULT_FRAME_RUNS);
	char why[128];

	if (!reply) {
		(void)snprintf(why, sizeof why, "%s does not answer", name);
		rest_refuse(rest, 503, why, "");
	} else if (reply->error) {
		rest_refuse_as_told(rest, reply->error);
	} else {
		start(rest, reply);
	}
	if (reply)
		wire_free(&reply->base);
}

void export_frames(struct rest *rest)
{
	Publisher__FrameRuns *command = request_of(rest)->frame_runs;
	enum export_format format;

	if (!read_format(command->format, &format))
		rest_refuse(rest, 400, "format: expected csv, edf or bdf", "");
	else if (has_place(rest))
		ask(rest, rest->request, on_first_runs);
}
