/*
 * credential - the one API key or token of a request, wherever it was put.
 *
 *     Authorization: Bearer raeh_…            scheme in any case
 *     ?api_key=raeh_…
 *     Sec-WebSocket-Protocol: bearer, raeh_…
 *     Cookie: raeh_session=raehs_…           a dashboard login, when there is no key (cookie.h)
 *
 * Exactly one credential: the same one in two places is one, two different ones are a
 * fault. Form only; whether it is good, auth alone knows. Pure.
 */
#ifndef EDGE_CREDENTIAL_H
#define EDGE_CREDENTIAL_H

#include "services/edge/net.h"

#define CREDENTIAL_MAX 512 /* bytes, TOKEN_MAX */

/* The uniform refusal of what is missing, malformed or mistyped; `raeh key lint` says more. */
#define CREDENTIAL_EXPECTED                                                                        \
	"expected an API key (raeh_ and 36 characters, the last 6 a checksum): none, or a "        \
	"mistyped one"

enum credential_fault {
	CREDENTIAL_GOOD,
	CREDENTIAL_MISSING,
	CREDENTIAL_MALFORMED,
	CREDENTIAL_TWO, /* two different ones */
};

/* ret is written (and must be wiped) on CREDENTIAL_GOOD alone. why never holds a part of it. */
enum credential_fault credential_find(const struct net_request *request,
                                      char ret[CREDENTIAL_MAX + 1], char why[124]);

/* "bearer", as the client wrote it, when it offered `bearer, <anything>`, else NULL. */
const char *credential_subprotocol(const struct net_request *request);

#endif
