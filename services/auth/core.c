#include "services/auth/core.h"

#include "common/clock.h"
#include "services/auth/key.h"
#include "services/auth/user_rows.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELD_MOST       16384
#define HELD_BYTES_MOST (64u * 1024 * 1024)

struct append {
	TAILQ_ENTRY(append) link;
	struct auth *auth;
	core_committed_fn *fn;
	void *ctx;
};

struct held {
	TAILQ_ENTRY(held) link;
	struct bus_call *call;
	uint64_t after; /* appends that must have completed */
	size_t len;
	uint8_t bytes[];
};

/* ---- who asks ---- */

static enum err load_caller(struct auth *auth, struct caller *caller)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	Events__KeyRow *row;
	enum err err = rows_credential(auth->store, &caller->account, &caller->key,
	                               (Events__KeyRow **)&message);

	if (err != OK)
		return err == ERR_NOT_FOUND ? ERR_DENIED : err;
	row = (Events__KeyRow *)message;
	if (key_is_off(row->key) || rows_account_is_going(auth->store, &caller->account))
		return ERR_DENIED;
	caller->is_user = row->has_user;
	if (row->has_user && !wire_id(row->user, &caller->user))
		return ERR_MALFORMED;
	caller->scopes = row->scopes;
	/* A user's rights do not end with the login. */
	caller->expires_at = row->has_user ? 0 : row->key->expires_at;
	caller->rate_limit = row->key->rate_limit;
	caller->limits = key_limits_of(row->key->limits);
	(void)snprintf(caller->device_id, sizeof caller->device_id, "%s",
	               row->key->device_id ? row->key->device_id : "");
	return OK;
}

enum err core_caller(struct auth *auth, const Raeh__Principal *principal, struct caller *ret)
{
	struct caller caller = { 0 };
	enum err err = principal_check(principal, auth->deps.bus_secret, &caller.account);

	if (err != OK)
		return err;
	MUST(wire_id(principal->key, &caller.key));
	err = load_caller(auth, &caller);
	caller.is_token = principal->is_token;
	if (caller.is_token)
		caller.scopes &= principal->scopes;
	if (err == OK)
		*ret = caller;
	return err;
}

enum err core_caller_again(struct auth *auth, struct caller *caller)
{
	if (caller->vouched)
		return OK;
	if (!caller->is_operator)
		return load_caller(auth, caller);
	return rows_account_is_going(auth->store, &caller->account) ? ERR_DENIED : OK;
}

bool caller_by(const struct caller *caller, struct uuid *ret)
{
	*ret = caller->is_user ? caller->user : caller->key;
	return caller->is_user || !caller->is_operator;
}

/* ---- answers ---- */

struct refusal refusal(uint32_t status, const char *format, ...)
{
	struct refusal why = { .status = status };
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why.detail, sizeof why.detail, format, args);
	va_end(args);
	log_redact(why.detail);
	return why;
}

struct refusal refusal_unauthorized(void)
{
	return (struct refusal){ .status = 401,
		                 .close_code = CLOSE_UNAUTHORIZED,
		                 .detail = DETAIL_NOT_A_KEY };
}

struct refusal refusal_of(enum err err, struct refusal not_found)
{
	if (err == ERR_NOT_FOUND)
		return not_found;
	if (err == ERR_DENIED)
		return refusal_unauthorized();
	log_error("store-read-failed", "err=%s", err_name(err));
	return REFUSAL_AWAY("the store of keys cannot be read");
}

void refusal_pack(const struct refusal *why, struct buf *ret)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;

	error.status = why->status;
	error.detail = (char *)why->detail;
	error.has_close_code = why->close_code != 0;
	error.close_code = why->close_code;
	error.has_retry_after_s = why->retry_after_s != 0;
	error.retry_after_s = why->retry_after_s;
	error.made_id = why->made_id[0] ? (char *)why->made_id : NULL;
	reply.error = &error;
	(void)wire_pack(ret, &reply.base);
}

void buf_wipe(struct buf *buf)
{
	if (buf->data)
		sodium_memzero(buf->data, buf->cap);
	buf_free(buf);
}

void core_answer_bytes(struct auth *auth, struct bus_call *call, struct bytes reply)
{
	struct held *held;

	if (auth->completed == auth->appended) {
		bus_reply(call, reply);
		return;
	}
	if (auth->n_held >= HELD_MOST || auth->held_bytes + reply.len > HELD_BYTES_MOST) {
		auth->metrics.dropped_total++;
		bus_drop(call);
		return;
	}
	held = xcalloc(1, sizeof *held + reply.len);
	held->call = call;
	held->after = auth->appended;
	held->len = reply.len;
	memcpy(held->bytes, reply.data, reply.len);
	TAILQ_INSERT_TAIL(&auth->held, held, link);
	auth->n_held++;
	auth->held_bytes += reply.len;
}

void core_answer(struct auth *auth, struct bus_call *call, const Auth__AuthReply *reply)
{
	struct buf buf = { 0 };

	core_answer_bytes(auth, call, wire_pack(&buf, &reply->base));
	buf_free(&buf);
}

void core_refuse(struct auth *auth, struct bus_call *call, const struct refusal *why)
{
	struct buf buf = { 0 };

	refusal_pack(why, &buf);
	core_answer_bytes(auth, call, BYTES(buf.data, buf.len));
	buf_free(&buf);
}

static void release_held(struct auth *auth)
{
	struct held *held;

	while ((held = TAILQ_FIRST(&auth->held)) && held->after <= auth->completed) {
		TAILQ_REMOVE(&auth->held, held, link);
		auth->n_held--;
		auth->held_bytes -= held->len;
		bus_reply(held->call, BYTES(held->bytes, held->len));
		mem_free(held);
	}
}

/* ---- the journal ---- */

/* Each that waits tries again; one that parks again goes to the end. */
static void unpark(struct auth *auth)
{
	struct commands waiting = TAILQ_HEAD_INITIALIZER(waiting);
	struct command *command;

	TAILQ_CONCAT(&waiting, &auth->parked, link);
	while ((command = TAILQ_FIRST(&waiting))) {
		TAILQ_REMOVE(&waiting, command, link);
		TAILQ_INSERT_TAIL(&auth->commands, command, link);
		command->parked = false;
		command->kind->execute(command);
	}
}

static void on_completed(void *self, enum err err)
{
	struct append *append = self;
	struct auth *auth = append->auth;

	if (err == ERR_IO) { /* what is applied in memory and what is on disk may differ now */
		log_error("journal-failed", "why=\"%s\"", store_why(auth->store));
		_exit(EXIT_FAILURE);
	}
	if (err == ERR_CONFLICT)
		auth->metrics.conflicts_total++;
	auth->completed++;
	TAILQ_REMOVE(&auth->appends, append, link);
	append->fn(append->ctx, err);
	mem_free(append);
	release_held(auth);
	unpark(auth);
}

Raeh__Origin *core_origin(const struct auth *auth)
{
	return auth->origin ? (Raeh__Origin *)wire_copy(&auth->origin->base) : NULL;
}

void core_append(struct auth *auth, Events__AuthEvent *const *events, size_t n,
                 core_committed_fn *fn, void *ctx)
{
	struct append *append = xcalloc(1, sizeof *append);
	struct bytes *packed = xcalloc(n, sizeof *packed);
	struct buf *bufs = xcalloc(n, sizeof *bufs);
	int64_t now_ms = clock_wall_ms();

	append->auth = auth;
	append->fn = fn;
	append->ctx = ctx;
	TAILQ_INSERT_TAIL(&auth->appends, append, link);
	for (size_t i = 0; i < n; i++) {
		events[i]->at_ms = now_ms;
		packed[i] = wire_pack(&bufs[i], &events[i]->base);
	}
	auth->appended++;
	journal_append(auth->journal, packed, n, on_completed, append);
	for (size_t i = 0; i < n; i++)
		buf_free(&bufs[i]);
	mem_free(bufs);
	mem_free(packed);
}

/* ---- commands ---- */

static void free_command(struct command *command)
{
	struct auth *auth = command->auth;

	if (command->kind->done)
		command->kind->done(command);
	TAILQ_REMOVE(command->parked ? &auth->parked : &auth->commands, command, link);
	auth->n_commands--;
	wire_free(command->request);
	if (command->origin)
		wire_free(&command->origin->base);
	buf_wipe(&command->reply);
	mem_free(command->detail);
	mem_free(command);
}

struct command *auth_command_new(struct auth *auth, const struct command_kind *kind, struct op *op,
                                 struct bus_call *call, ProtobufCMessage *request)
{
	struct command *command;

	if (auth->n_commands >= COMMANDS_MOST) {
		auth->metrics.dropped_total++;
		op_drop(op);
		if (call)
			bus_drop(call);
		wire_free(request);
		return NULL;
	}
	command = xcalloc(1, sizeof *command);
	command->auth = auth;
	command->kind = kind;
	command->op = op;
	command->call = call;
	command->request = request;
	command->origin = core_origin(auth);
	TAILQ_INSERT_TAIL(&auth->commands, command, link);
	auth->n_commands++;
	return command;
}

void auth_command_finish(struct command *command, struct bytes reply, bool keep)
{
	if (command->op)
		op_answer(command->op, reply, keep);
	if (command->call)
		bus_reply(command->call, reply);
	command->op = NULL;
	command->call = NULL;
	free_command(command);
}

void command_refuse(struct command *command, const struct refusal *why)
{
	struct auth *auth = command->auth;
	struct buf buf = { 0 };
	struct bus_call *call;

	if (command->kind->refuse) {
		command->kind->refuse(command, why);
		return;
	}
	refusal_pack(why, &buf);
	while (command->op && (call = op_take_call(command->op)))
		core_answer_bytes(auth, call, BYTES(buf.data, buf.len));
	op_drop(command->op);
	command->op = NULL;
	if (command->call)
		core_answer_bytes(auth, TAKE(command->call), BYTES(buf.data, buf.len));
	buf_free(&buf);
	free_command(command);
}

static void on_command_committed(void *self, enum err err)
{
	struct command *command = self;
	struct refusal why = REFUSAL_AWAY("the journal is contended: try again");

	if (err == OK && command->kind->committed) {
		command->kind->committed(command);
	} else if (err == OK) {
		auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
	} else if (err == ERR_CONFLICT && command->tries < COMMAND_TRIES) {
		command->kind->execute(command);
	} else {
		if (err == ERR_LIMIT)
			why = REFUSAL_AWAY("the disk is full");
		command_refuse(command, &why);
	}
}

void auth_command_append(struct command *command, Events__AuthEvent *const *events, size_t n)
{
	command->tries++;
	for (size_t i = 0; i < n; i++)
		if (!events[i]->origin)
			events[i]->origin = command->origin;
	core_append(command->auth, events, n, on_command_committed, command);
}

void command_park(struct command *command)
{
	struct auth *auth = command->auth;

	TAILQ_REMOVE(&auth->commands, command, link);
	TAILQ_INSERT_TAIL(&auth->parked, command, link);
	command->parked = true;
}

/* ---- life ---- */

void core_start(struct auth *auth)
{
	TAILQ_INIT(&auth->appends);
	TAILQ_INIT(&auth->held);
	TAILQ_INIT(&auth->commands);
	TAILQ_INIT(&auth->parked);
	TAILQ_INIT(&auth->deliveries);
	TAILQ_INIT(&auth->lists);
	TAILQ_INIT(&auth->hours_lists);
	TAILQ_INIT(&auth->groups);
	TAILQ_INIT(&auth->impacts);
}

void core_done(struct auth *auth)
{
	struct append *append;
	struct held *held;
	struct command *command;

	while ((append = TAILQ_FIRST(&auth->appends))) {
		TAILQ_REMOVE(&auth->appends, append, link);
		mem_free(append);
	}
	while ((held = TAILQ_FIRST(&auth->held))) {
		TAILQ_REMOVE(&auth->held, held, link);
		bus_drop(held->call);
		mem_free(held);
	}
	while ((command = TAILQ_FIRST(&auth->parked)) || (command = TAILQ_FIRST(&auth->commands))) {
		op_drop(command->op);
		if (command->call)
			bus_drop(command->call);
		free_command(command);
	}
}
