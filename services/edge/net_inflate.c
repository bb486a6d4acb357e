#include "services/edge/net_inflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define STEP_BYTES 16384

struct inflater {
	z_stream stream;
	struct buf out;
};

/* ---- negotiation ---- */

/* Reads the next item of text up to one of the ends: its first word and, after '=', its value
 * ("" = none), both in lower-case-insensitive ASCII. Leaves *text at the end. */
static void next_item(const char **text, const char *ends, char word[64], char value[16])
{
	size_t len = strcspn(*text, ends), name_len;
	const char *item = *text;

	*text += len;
	while (len > 0 && strchr(" \t", *item))
		item++, len--;
	while (len > 0 && strchr(" \t", item[len - 1]))
		len--;
	name_len = strcspn(item, "= \t");
	if (name_len > len)
		name_len = len;
	(void)snprintf(word, 64, "%.*s", (int)name_len, item);
	item += name_len;
	len -= name_len;
	while (len > 0 && strchr("= \t\"", *item))
		item++, len--;
	while (len > 0 && item[len - 1] == '"')
		len--;
	(void)snprintf(value, 16, "%.*s", (int)len, item);
}

static bool is_window_bits(const char *value)
{
	return (strlen(value) == 1 && (*value == '8' || *value == '9')) ||
	       (strlen(value) == 2 && value[0] == '1' && value[1] >= '0' && value[1] <= '5');
}

enum parameter { SERVER_FORGETS, CLIENT_FORGETS, SERVER_BITS, CLIENT_BITS, PARAMETERS };

static bool parameter_is_good(enum parameter parameter, const char *value)
{
	switch (parameter) {
	case SERVER_FORGETS:
	case CLIENT_FORGETS:
		return !*value;
	case CLIENT_BITS:
		return !*value || is_window_bits(value);
	case SERVER_BITS:
		return is_window_bits(value);
	case PARAMETERS:
		break;
	}
	return false;
}

static enum parameter parameter_of(const char *word)
{
	static const char *const names[PARAMETERS] = {
		[SERVER_FORGETS] = "server_no_context_takeover",
		[CLIENT_FORGETS] = "client_no_context_takeover",
		[SERVER_BITS] = "server_max_window_bits",
		[CLIENT_BITS] = "client_max_window_bits",
	};
	size_t i = 0;

	while (i < PARAMETERS && strcasecmp(word, names[i]) != 0)
		i++;
	return (enum parameter)i;
}

/* One offer, up to a comma. True: acceptable, each parameter once (RFC 7692 §7), and server_bits
 * is what it asks for. */
static bool read_offer(const char **text, char server_bits[16])
{
	char word[64], value[16];
	unsigned seen = 0;
	bool good;

	server_bits[0] = '\0';
	next_item(text, ",;", word, value);
	good = strcasecmp(word, "permessage-deflate") == 0;
	while (**text == ';') {
		enum parameter parameter;

		++*text;
		next_item(text, ",;", word, value);
		parameter = parameter_of(word);
		good = good && !(seen & 1u << parameter) && parameter_is_good(parameter, value);
		seen |= 1u << parameter;
		if (parameter == SERVER_BITS)
			memcpy(server_bits, value, sizeof value);
	}
	return good;
}

void inflate_negotiate(const char *offers, char ret[128])
{
	char server_bits[16];

	ret[0] = '\0';
	while (offers && *offers) {
		if (read_offer(&offers, server_bits)) {
			(void)snprintf(ret, 128,
			               "permessage-deflate; server_no_context_takeover; "
			               "client_no_context_takeover%s%s",
			               *server_bits ? "; server_max_window_bits=" : "",
			               server_bits);
			return;
		}
		if (*offers == ',')
			offers++;
	}
}

/* ---- messages ---- */

struct inflater *inflater_new(void)
{
	struct inflater *inflater = xcalloc(1, sizeof *inflater);

	MUST(inflateInit2(&inflater->stream, -15) == Z_OK);
	return inflater;
}

void inflater_free(struct inflater *inflater)
{
	if (!inflater)
		return;
	(void)inflateEnd(&inflater->stream);
	buf_free(&inflater->out);
	mem_free(inflater);
}

void inflater_done(struct inflater *inflater)
{
	buf_free(&inflater->out);
}

/* All of data. One byte beyond max is made at most, to know that there is one. */
static enum err feed(struct inflater *inflater, const void *data, size_t len, size_t max)
{
	z_stream *stream = &inflater->stream;
	struct buf *out = &inflater->out;
	int status = Z_OK;

	stream->next_in = (Bytef *)data; /* zlib does not write there */
	stream->avail_in = (uInt)len;
	while (status == Z_OK && out->len <= max) {
		size_t room = max + 1 - out->len < STEP_BYTES ? max + 1 - out->len : STEP_BYTES;

		buf_reserve(out, room);
		stream->next_out = out->data + out->len;
		stream->avail_out = (uInt)room;
		status = inflate(stream, Z_SYNC_FLUSH);
		out->len += room - stream->avail_out;
		if (status == Z_STREAM_END && stream->avail_in > 0)
			status = inflateReset(stream); /* a final block may stand inside */
		else if (stream->avail_in == 0 && stream->avail_out > 0)
			break;
	}
	if (out->len > max)
		return ERR_LIMIT;
	return status == Z_OK || status == Z_BUF_ERROR || status == Z_STREAM_END ? OK
	                                                                         : ERR_MALFORMED;
}

enum err inflater_message(struct inflater *inflater, struct bytes message, size_t max,
                          struct bytes *ret)
{
	static const uint8_t tail[] = { 0, 0, 0xff, 0xff }; /* RFC 7692 §7.2.2 */
	enum err err;

	inflater->out.len = 0;
	MUST(inflateReset(&inflater->stream) == Z_OK);
	err = feed(inflater, message.data, message.len, max);
	if (err == OK)
		err = feed(inflater, tail, sizeof tail, max);
	*ret = BYTES(inflater->out.data, inflater->out.len);
	return err;
}
