/*
 * auth's part of the audit trail: what was done to accounts, keys, users and logins, and by whom
 * health data was read.
 */
#include "services/auth/audit.h"

#include "services/auth/commands.h"

void audit_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                  const Raeh__ListAudit *list)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__AuditPage *page = NULL;
	char text[AUDIT_WHY];
	struct refusal why;
	enum err err =
	        audit_list(&audit_of_auth, auth->store, auth->journal, account, list, text, &page);

	if (err != OK) {
		why = err == ERR_MALFORMED
		              ? refusal(400, "%s", text)
		              : refusal_of(err, REFUSAL_AWAY("the audit trail cannot be read"));
		core_refuse(auth, call, &why);
		return;
	}
	reply.result_case = AUTH__AUTH_REPLY__RESULT_AUDIT;
	reply.audit = page->list;
	reply.audit_place = page->place;
	core_answer(auth, call, &reply);
	wire_free(&page->base);
}

/* ---- reads of health data ---- */

#define READS_MOST 512

struct read_event {
	Events__AuthEvent event;
	Events__HealthRead read;
	struct uuid by;
};

/* A user of the dashboard reads with his login: the trail names him. */
static struct uuid reader_of(struct auth *auth, const Auth__Read *read)
{
	struct caller caller = { 0 };
	struct uuid by;

	MUST(wire_id(read->account, &caller.account) && wire_id(read->key, &caller.key));
	by = caller.key;
	if (core_caller_again(auth, &caller) == OK)
		(void)caller_by(&caller, &by);
	return by;
}

static void fill_event(struct auth *auth, const Auth__AuditReads *reads, const Auth__Read *read,
                       struct read_event *one)
{
	events__auth_event__init(&one->event);
	events__health_read__init(&one->read);
	one->by = reader_of(auth, read);
	one->event.has_by = 1;
	one->event.by = wire_bytes_of(&one->by);
	one->event.origin = read->origin;
	one->event.event_case = EVENTS__AUTH_EVENT__EVENT_HEALTH_READ;
	one->event.health_read = &one->read;
	one->read.account = read->account;
	one->read.resource = read->resource;
	one->read.count = read->count;
	one->read.slot = reads->slot;
	one->read.incarnation = reads->incarnation;
	one->read.number = reads->number;
}

static void pack_done(struct buf *ret)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	reply.result_case = AUTH__AUTH_REPLY__RESULT_DONE;
	reply.done = &done;
	(void)wire_pack(ret, &reply.base);
}

static void reads_execute(struct command *command)
{
	const Auth__AuditReads *reads = (const Auth__AuditReads *)command->request;
	struct auth *auth = command->auth;
	struct read_event *one;
	Events__AuthEvent **events;
	struct refusal why;
	uint64_t taken;
	enum err err = rows_reads_taken(auth->store, reads, &taken);

	if (err != OK) {
		why = refusal_of(err, REFUSAL_AWAY("the store cannot be read"));
		command_refuse(command, &why);
		return;
	}
	pack_done(&command->reply);
	if (reads->number <= taken) {
		auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
		return;
	}
	one = xcalloc(reads->n_reads, sizeof *one);
	events = xcalloc(reads->n_reads, sizeof(Events__AuthEvent *));
	for (size_t i = 0; i < reads->n_reads; i++) {
		fill_event(auth, reads, reads->reads[i], &one[i]);
		events[i] = &one[i].event;
	}
	auth_command_append(command, events, reads->n_reads);
	mem_free(events);
	mem_free(one);
}

static void reads_committed(struct command *command)
{
	auth_command_finish(command, BYTES(command->reply.data, command->reply.len), true);
}

static const struct command_kind reads_kind = {
	.execute = reads_execute,
	.committed = reads_committed,
};

static bool is_sound(const Auth__AuditReads *reads, struct uuid *ret_incarnation)
{
	struct uuid id;

	if (!wire_id(reads->incarnation, ret_incarnation) || reads->n_reads == 0 ||
	    reads->n_reads > READS_MOST || reads->number == 0)
		return false;
	for (size_t i = 0; i < reads->n_reads; i++)
		if (!wire_id(reads->reads[i]->account, &id) || !wire_id(reads->reads[i]->key, &id))
			return false;
	return true;
}

void reads_wanted(struct auth *auth, struct bus_call *call, const Auth__AuditReads *reads)
{
	struct refusal why =
	        refusal(400, "audit_reads: expected 1 to %d numbered reads", READS_MOST);
	struct command *command;
	struct uuid incarnation;
	struct op *op;

	if (!is_sound(reads, &incarnation)) {
		core_refuse(auth, call, &why);
		return;
	}
	/* The number is the op: a repeat that comes while it is journaled joins it. */
	op = ops_begin(auth->ops, BYTES(&reads->number, sizeof reads->number), &incarnation, 'R',
	               call);
	if (!op)
		return;
	command = auth_command_new(auth, &reads_kind, op, NULL, wire_copy(&reads->base));
	if (command)
		reads_execute(command);
}
