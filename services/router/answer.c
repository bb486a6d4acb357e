/* Answers of the router, and the memory of recent ones. See core.h. */
#include "common/log.h"
#include "services/router/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEPT          1024 /* answers; the oldest makes room */
#define DETAIL_MAX    512
#define RETRY_FULL_S  10 /* a disk is not emptied sooner */
#define RETRY_AGAIN_S 1

struct kept {
	struct uuid account, op;
	struct buf reply;
};
struct answers {
	struct kept kept[KEPT];
	size_t next;
};

int text_cut(const char *text, size_t most)
{
	size_t n = strnlen(text, most + 1);

	if (n > most)
		for (n = most; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80;)
			n--;
	return (int)n;
}

void answer(struct bus_call *call, const Router__RouterReply *reply)
{
	struct buf buf = { 0 };

	bus_reply(call, wire_pack(&buf, &reply->base));
	buf_free(&buf);
}

void answer_done(struct bus_call *call)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_DONE;
	reply.done = &done;
	answer(call, &reply);
}

static void refuse(struct router *router, struct bus_call *call, Raeh__Error *error)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;

	router->metrics.refused_total++;
	reply.error = error;
	answer(call, &reply);
}

void answer_error(struct router *router, struct bus_call *call, uint32_t status,
                  uint32_t close_code, const char *format, ...)
{
	Raeh__Error error = RAEH__ERROR__INIT;
	char detail[DETAIL_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	detail[text_cut(detail, DETAIL_MAX - 4)] = '\0'; /* not in the middle of a character */
	log_redact(detail);
	error.status = status;
	error.detail = detail;
	error.has_close_code = close_code != 0;
	error.close_code = close_code;
	refuse(router, call, &error);
}

void answer_failure(struct router *router, struct bus_call *call, enum err err)
{
	static char full[] = "the disk of the service is full: try again later";
	static char busy[] = "the service cannot take this command now: try again";
	Raeh__Error error = RAEH__ERROR__INIT;

	error.status = 503;
	error.detail = err == ERR_LIMIT ? full : busy;
	error.has_close_code = 1;
	error.close_code = 1013;
	error.has_retry_after_s = 1;
	error.retry_after_s = err == ERR_LIMIT ? RETRY_FULL_S : RETRY_AGAIN_S;
	refuse(router, call, &error);
}

struct answers *answers_new(void)
{
	return xcalloc(1, sizeof(struct answers));
}

void answers_free(struct answers *answers)
{
	if (!answers)
		return;
	for (size_t i = 0; i < KEPT; i++)
		buf_free(&answers->kept[i].reply);
	mem_free(answers);
}

static bool has_op(const struct command *command, struct uuid *ret)
{
	return command->request->has_op_id && wire_id(command->request->op_id, ret);
}

void answer_once(struct router *router, const struct command *command,
                 const Router__RouterReply *reply)
{
	struct kept *kept = &router->answers->kept[router->answers->next];
	struct uuid op;

	answer(command->call, reply);
	if (!has_op(command, &op))
		return;
	kept->account = command->account;
	kept->op = op;
	(void)wire_pack(&kept->reply, &reply->base);
	router->answers->next = (router->answers->next + 1) % KEPT;
}

bool answered_before(struct router *router, const struct command *command)
{
	struct uuid op;

	if (!has_op(command, &op))
		return false;
	for (size_t i = 0; i < KEPT; i++) {
		const struct kept *kept = &router->answers->kept[i];

		if (kept->reply.len > 0 && uuid_equal(&kept->op, &op) &&
		    uuid_equal(&kept->account, &command->account)) {
			bus_reply(command->call, BYTES(kept->reply.data, kept->reply.len));
			return true;
		}
	}
	return false;
}
