/*
 * audit - auth's part of the audit trail (common/audit.h), and what the edges report of reads.
 */
#ifndef AUTH_AUDIT_H
#define AUTH_AUDIT_H

#include "common/audit.h"
#include "services/auth/core.h"

/* Answers the call. */
void audit_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                  const Raeh__ListAudit *list);

/* What the edges report of reads: asked by our own processes. Answers when it is journaled. */
void reads_wanted(struct auth *auth, struct bus_call *call, const Auth__AuditReads *reads);

#endif
