/*
 * reconcile - sessions that the directory calls open and no edge has.
 *
 *     every RECONCILE_MS:  auth: which edges live?  each of them: which sessions are open?
 *
 *     edge not alive                                      ─┐  close at the publisher (1006,
 *     edge alive, session missing in two rounds running,   ├► "edge lost"), then in the
 *       opened more than RECONCILE_GRACE_MS ago           ─┘  directory
 *
 * An edge registers with auth before it opens a session, so a session that was opened before
 * the round began, by an edge that auth does not name, has lost its edge. When auth is away
 * nothing is concluded. A publisher that does not answer is asked again in the next round.
 *
 * Also told here, with retries: the edge of a session that is superseded or erased. When that edge
 * is gone, the publisher is told to close the session, in case the successor never reaches it. For
 * the same reason an orphan's own victims are closed with it.
 */
#ifndef ROUTER_RECONCILE_H
#define ROUTER_RECONCILE_H

#include "common/uuid.h"

#include <stddef.h>

#define RECONCILE_MS       5000
#define RECONCILE_GRACE_MS 10000
#define RECONCILE_MAX      65536 /* closings that wait or are under way; more: the next round */

struct router;
struct reconcile;

/* The first round begins in the loop's next turn. Borrows router. */
struct reconcile *reconcile_new(struct router *router);
void reconcile_free(struct reconcile *reconcile);

/* After the commit that closed it. */
void reconcile_superseded(struct reconcile *reconcile, const struct uuid *account,
                          const struct uuid *session);
/* Before its rows go. reason: static. */
void reconcile_tell_end(struct reconcile *reconcile, const struct uuid *account,
                        const struct uuid *session, uint32_t code, const char *reason);

size_t reconcile_closings(const struct reconcile *reconcile);

#endif
