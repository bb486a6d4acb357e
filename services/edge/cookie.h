/*
 * cookie - the dashboard's login as a credential: another way to say who asks.
 *
 *     Cookie: raeh_session=raehs_…      looked at when the request gives no key
 *     X-CSRF-Token: …                   on every request by cookie that changes something
 *
 * A browser sends a cookie along with what any page asks of us, so a cookie counts only when
 * the request is of our own pages: Origin absent or our own host; for a WebSocket, which no
 * SameSite and no CORS holds back, present and our own. The CSRF token is a digest keyed with
 * the login's credential: GET /v1/me tells it, and no other page can read that.
 */
#ifndef EDGE_COOKIE_H
#define EDGE_COOKIE_H

#include "services/edge/credential.h"

struct rest;

#define COOKIE_CSRF_TEXT 44 /* base64url of 32 bytes, zero included */

/* From the Cookie header: GOOD, MISSING or MALFORMED. */
enum credential_fault cookie_find(const struct net_request *request, char ret[CREDENTIAL_MAX + 1],
                                  char why[124]);
/* That credential came from a cookie: no other place takes one. */
bool cookie_is_login(const char *credential);
/* Of our own pages, or of no page at all. */
bool cookie_is_own_origin(const struct net_request *request);

void cookie_csrf(const char *credential, char ret[COOKIE_CSRF_TEXT]);
bool cookie_csrf_good(const struct net_request *request, const char csrf[COOKIE_CSRF_TEXT]);

/* Handler of the routes that make, show or end a login (rest_route.here): asks auth, sets or
 * clears the cookie. */
void cookie_here(struct rest *rest);

#endif
