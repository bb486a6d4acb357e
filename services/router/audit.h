/*
 * audit - the router's part of the audit trail (common/audit.h).
 */
#ifndef ROUTER_AUDIT_H
#define ROUTER_AUDIT_H

#include "common/audit.h"
#include "services/router/core.h"

extern const struct audit_source audit_of_router;

router_fn on_list_audit;

#endif
