/*
 * GET /v1/audit: auth and the router each have a part of the trail; here they become one list,
 * newest first.
 *
 * Each part keeps its own order. The cursor says of both which record comes next, "a17r5"; a part
 * that has no more is left out of it.
 */
#include "services/edge/rest_internal.h"

#include "auth.pb-c.h"
#include "common/json.h"
#include "common/wire.h"
#include "router.pb-c.h"
#include "services/edge/page_link.h"

#include <stdio.h>

#define LIMIT_DEFAULT 50

/* One part: what it gave, and how much of that is told. */
struct part {
	char letter;
	const Raeh__AuditList *list;
	const Raeh__AuditPlace *place;
	size_t at;
};

/* True: behind the last of the page there may be more that nobody has looked at. */
static bool is_cut(const struct part *part)
{
	return part->place->next != 0;
}

static const Raeh__AuditEntry *head_of(const struct part *part)
{
	return part->at < part->list->n_items ? part->list->items[part->at] : NULL;
}

/* The part whose head is newer; NULL: nothing can be told, or what the other has not looked at
 * may be newer. */
static struct part *next_part(struct part parts[2])
{
	const Raeh__AuditEntry *first = head_of(&parts[0]), *second = head_of(&parts[1]);
	struct part *next, *other;

	if (!first && !second)
		return NULL;
	if (first && second)
		return first->created_at >= second->created_at ? &parts[0] : &parts[1];
	next = first ? &parts[0] : &parts[1];
	other = first ? &parts[1] : &parts[0];
	if (is_cut(other) && other->place->scanned_to_at > head_of(next)->created_at)
		return NULL;
	return next;
}

/* Before which record it goes on; 0: there is no more. */
static uint64_t next_of(const struct part *part)
{
	if (part->at == part->list->n_items)
		return part->place->next;
	return part->place->seqs[part->at] + 1;
}

static char *link_of(struct rest *rest, const struct part parts[2])
{
	char cursor[64] = "";
	int len = 0;

	for (int i = 0; i < 2; i++)
		if (next_of(&parts[i]) != 0)
			len += snprintf(cursor + len, sizeof cursor - (size_t)len, "%c%llu",
			                parts[i].letter, (unsigned long long)next_of(&parts[i]));
	if (len == 0)
		return xstrdup("");
	return page_link(rest->path, rest->query, rest_command(rest)->descriptor, "cursor", cursor);
}

static void merge(struct rest *rest, struct part parts[2])
{
	const Raeh__ListAudit *list = (const Raeh__ListAudit *)rest_command(rest);
	size_t limit = list->has_limit ? list->limit : LIMIT_DEFAULT;
	Raeh__AuditList merged = RAEH__AUDIT_LIST__INIT;
	struct part *part;
	char *link;

	merged.items = xcalloc(limit, sizeof(Raeh__AuditEntry *));
	while (merged.n_items < limit && (part = next_part(parts)) != NULL)
		merged.items[merged.n_items++] = part->list->items[part->at++];
	link = link_of(rest, parts);
	Raeh__AuditEntry **items = merged.items;

	rest_answer_message(rest, &merged.base, link);
	mem_free(items);
	mem_free(link);
}

static const ProtobufCMessageDescriptor *reply_of(const char *name)
{
	return name[0] == 'a' ? &auth__auth_reply__descriptor : &router__router_reply__descriptor;
}

static void conclude(struct rest *rest)
{
	struct part parts[2] = { { .letter = 'a' }, { .letter = 'r' } };

	for (unsigned i = 0; i < rest->n_replies; i++) {
		const Raeh__Error *const *error = rest_member(rest->replies[i], "error");
		bool is_auth = rest->replies[i]->descriptor == &auth__auth_reply__descriptor;

		if (*error) {
			rest_refuse_as_told(rest, *error);
			return;
		}
		parts[!is_auth].list =
		        (const Raeh__AuditList *)rest_chosen(rest->replies[i], "audit");
		parts[!is_auth].place = *(const Raeh__AuditPlace *const *)rest_member(
		        rest->replies[i], "audit_place");
	}
	if (parts[0].list && parts[0].place && parts[1].list && parts[1].place)
		merge(rest, parts);
	else
		rest_refuse(rest, 503, "a part of the audit trail cannot be read now", "");
}

static void take_reply(struct rest *rest, const char *name, enum err err, struct bytes data)
{
	ProtobufCMessage *reply = err == OK ? wire_unpack(reply_of(name), data) : NULL;

	if (reply)
		rest->replies[rest->n_replies++] = reply;
	if (rest->pending == 0)
		conclude(rest);
}

void rest_audit_here(struct rest *rest)
{
	Router__RouterRequest router = ROUTER__ROUTER_REQUEST__INIT;
	struct buf of_auth = { 0 }, of_router = { 0 };

	rest->replies = xcalloc(2, sizeof(ProtobufCMessage *));
	router.principal = (Raeh__Principal *)rest_principal(rest);
	router.command_case = ROUTER__ROUTER_REQUEST__COMMAND_LIST_AUDIT;
	router.list_audit = (Raeh__ListAudit *)rest_command(rest);
	rest_ask(rest, "auth", rest_pack(rest, &of_auth), 0, take_reply);
	rest_ask(rest, "router", wire_pack(&of_router, &router.base), 0, take_reply);
	buf_free(&of_auth);
	buf_free(&of_router);
}
