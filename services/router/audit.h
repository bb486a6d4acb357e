/*
 * audit - the router's part of the audit trail (common/audit.h).
 */
#ifndef ROUTER_AUDIT_H
#define ROUTER_AUDIT_H

#include "common/audit.h"
#include "services/router/core.h"

router_fn on_list_audit;

#endif
