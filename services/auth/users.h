/*
 * users - the state that user.h's files share.
 */
#ifndef AUTH_USERS_H
#define AUTH_USERS_H

#include "common/version.h"
#include "services/auth/user.h"

struct ending;
struct closing;
struct users {
	struct throttle *by_email, *by_address;
	TAILQ_HEAD(, ending) endings;
	TAILQ_HEAD(, closing) closings;
};

#endif
