/*
 * change_internal - what PATCH (change.c) and rotation (rotate.c) share; nobody else includes it.
 */
#ifndef AUTH_CHANGE_INTERNAL_H
#define AUTH_CHANGE_INTERNAL_H

#include "services/auth/change.h"
#include "services/auth/key.h"
#include "services/auth/spread.h"

struct change;

struct change_kind {
	int op; /* names its operations among others */
	/* Validates and appends (change_append), or refuses. */
	void (*make)(struct change *change);
	/* It is in force: finishes the command. */
	void (*in_force)(struct change *change);
	/* The command goes; NULL: nothing besides. */
	void (*gone)(struct change *change);
};

/* The detail of a command. */
struct change {
	struct spread spread; /* first */
	const struct change_kind *kind;
	struct command *command;
	bool holds_number;     /* lent by revokes */
	Auth__Notice *notice;  /* as appended; NULL: none is needed */
	struct ending *ending; /* of a rotation: the end of the old key, under way */
};

/* A key's row as it will be; borrows from the old one and from the wish. */
struct changed {
	Raeh__KeyLimits limits;
	Auth__Key key;
	Events__KeyRow row;
	char *scopes[KEY_SCOPES_SHOWN];
	Raeh__Principal rights;
	Auth__Notice notice;
	Events__KeyChanged event;
};

/* Takes the call. */
void change_start(struct auth *auth, struct bus_call *call, const struct caller *caller,
                  ProtobufCBinaryData op_id, const struct change_kind *kind,
                  const ProtobufCMessage *request);
/* The living key of the caller's account, within his rights (wire_free); NULL: refused. */
Events__KeyRow *change_target(struct change *change, const char *id, struct uuid *ret_id);
void change_fill(struct changed *ret, const Events__KeyRow *was, const struct key_wish *wish);
void change_fill_notice(struct changed *ret, const struct uuid *id, uint64_t number);
/* The command's reply is made already. also: one more event, before it; or NULL. */
void change_append(struct change *change, struct changed *made, Events__AuthEvent *also);
/* Answers with the command's reply. */
void change_finish(struct change *change);

#endif
