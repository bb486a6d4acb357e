#include "services/edge/rest_handler.h"

#include "common/wire.h"
#include "services/edge/rest_internal.h"

struct edge *rest_edge(const struct rest *rest)
{
	return rest->edge;
}

ProtobufCMessage *rest_command(struct rest *rest)
{
	return rest->route->command ? rest_chosen(rest->request, rest->route->command) : NULL;
}

const Raeh__Principal *rest_principal(const struct rest *rest)
{
	return grant_principal(&rest->user);
}

const struct uuid *rest_subject(const struct rest *rest)
{
	return &rest->subject;
}

const char *rest_query(const struct rest *rest)
{
	return rest->query ? rest->query : "";
}

struct bytes rest_pack(struct rest *rest, struct buf *buf)
{
	return wire_pack(buf, rest->request);
}
