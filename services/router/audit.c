/* The router's part of the audit trail: what was done to device models, and sessions opened. */
#include "services/router/audit.h"

void on_list_audit(struct router *router, const struct asker *asker, struct bus_call *call,
                   Router__RouterRequest *request)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Raeh__AuditPage *page = NULL;
	char why[AUDIT_WHY];
	enum err err = audit_list(&audit_of_router, router->deps.store, router->journal,
	                          &asker->account, request->list_audit, why, &page);

	if (err == OK) {
		reply.result_case = ROUTER__ROUTER_REPLY__RESULT_AUDIT;
		reply.audit = page->list;
		reply.audit_place = page->place;
		answer(call, &reply);
		wire_free(&page->base);
	} else if (err == ERR_MALFORMED) {
		answer_error(router, call, 400, 0, "%s", why);
	} else {
		answer_failure(router, call, err);
	}
	wire_free(&request->base);
}
