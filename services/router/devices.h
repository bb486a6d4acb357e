/*
 * devices - the commands about devices, and the erasing of their data. See core.h for router_fn.
 *
 *     DeleteDevice ─► Erasing ─► [ 50 sessions: each at its publisher, slice by slice
 *     EraseAccount               │              ─► SessionsErased ] … ─► records of the journal
 *                                                   redacted ─► Erased ─► reply
 *
 * The intent is journaled: a restarted router goes on where the rows say that it stands, and
 * while it stands no session of the device opens (1013). The edge of an open session is told to
 * close its socket with 4004; what it still sends is dropped by the publisher. A publisher that
 * is away is asked again until it answers. What was removed is counted from the start, or from
 * the last restart, on.
 */
#ifndef ROUTER_DEVICES_H
#define ROUTER_DEVICES_H

#include "services/router/core.h"

#define DEVICES_LIST_MOST 1000

router_fn on_list_devices, on_get_device, on_delete_device, on_erase_account;

/* Goes on with what was begun; NULL: the view cannot be read. Borrows router. */
struct erasings *erasings_new(struct router *router);
/* Drops the calls that wait. */
void erasings_free(struct erasings *erasings);

#endif
