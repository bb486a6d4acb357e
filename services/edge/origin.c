#include "services/edge/origin.h"

#include "common/log.h"
#include "common/mem.h"
#include "common/wire.h"

#include <string.h>

struct origin {
	char *address, *agent; /* NULL: unknown */
};

/* Cut at a character's border; NULL: no text. */
static char *text_of(const char *text, size_t most)
{
	size_t len = text ? strnlen(text, most + 1) : 0;
	char *ret;

	if (len > most)
		for (len = most; len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80;)
			len--;
	if (len == 0 || !utf8_valid(text, len))
		return NULL;
	ret = xmemdup(text, len + 1);
	ret[len] = '\0';
	log_redact(ret); /* whatever a client calls itself */
	return ret;
}

struct origin *origin_new(const struct net_request *request)
{
	struct origin *origin = xcalloc(1, sizeof *origin);

	origin->address = text_of(request->peer, ORIGIN_ADDRESS_MAX);
	origin->agent = text_of(request->user_agent, ORIGIN_AGENT_MAX);
	return origin;
}

static char *copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

struct origin *origin_copy(const struct origin *origin)
{
	struct origin *ret = xcalloc(1, sizeof *ret);

	ret->address = copy(origin->address);
	ret->agent = copy(origin->agent);
	return ret;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool origin_equal(const struct origin *a, const struct origin *b)
{
	return a && b && same(a->address, b->address) && same(a->agent, b->agent);
}

void origin_free(struct origin *origin)
{
	if (!origin)
		return;
	mem_free(origin->address);
	mem_free(origin->agent);
	mem_free(origin);
}

Raeh__Origin origin_message(const struct origin *origin)
{
	Raeh__Origin message = RAEH__ORIGIN__INIT;

	message.address = origin->address;
	message.agent = origin->agent;
	return message;
}
