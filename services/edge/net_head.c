#include "services/edge/net_head.h"

#include "common/uuid.h"

#include <string.h>
#include <strings.h>
#include <sys/types.h>

#define MAX_CHUNK_DIGITS 8
#define MAX_EXTRA_BYTES  4096 /* a chunk's extensions; the trailer */

static const char *const field_name[HEAD_FIELDS] = {
	[HEAD_ACCEPT] = "accept",
	[HEAD_ACCEPT_ENCODING] = "accept-encoding",
	[HEAD_AUTHORIZATION] = "authorization",
	[HEAD_CONNECTION] = "connection",
	[HEAD_CONTENT_LENGTH] = "content-length",
	[HEAD_CONTENT_TYPE] = "content-type",
	[HEAD_COOKIE] = "cookie",
	[HEAD_CSRF_TOKEN] = "x-csrf-token",
	[HEAD_EXPECT] = "expect",
	[HEAD_FORWARDED_FOR] = "x-forwarded-for",
	[HEAD_FORWARDED_PROTO] = "x-forwarded-proto",
	[HEAD_HOST] = "host",
	[HEAD_IDEMPOTENCY_KEY] = "idempotency-key",
	[HEAD_IF_NONE_MATCH] = "if-none-match",
	[HEAD_LAST_EVENT_ID] = "last-event-id",
	[HEAD_ORIGIN] = "origin",
	[HEAD_PREFER] = "prefer",
	[HEAD_TRANSFER_ENCODING] = "transfer-encoding",
	[HEAD_UPGRADE] = "upgrade",
	[HEAD_USER_AGENT] = "user-agent",
	[HEAD_WS_EXTENSIONS] = "sec-websocket-extensions",
	[HEAD_WS_KEY] = "sec-websocket-key",
	[HEAD_WS_PROTOCOL] = "sec-websocket-protocol",
	[HEAD_WS_VERSION] = "sec-websocket-version",
};

/* Where head_parse() is in its text. */
struct cursor {
	char *at, *end;        /* lines not read yet                 */
	char *room, *room_end; /* scratch behind the head, for joins */
};

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *text)
{
	const char *p = text;

	while (is_token_char(*p))
		p++;
	return p > text && *p == '\0';
}

/* Printable, blank or beyond ASCII: what may stand in a value. */
static bool is_value(const char *text)
{
	for (; *text; text++)
		if (((uint8_t)*text < ' ' && *text != '\t') || *text == 0x7f)
			return false;
	return true;
}

size_t head_find_end(const uint8_t *data, size_t len, size_t *seen)
{
	size_t i = *seen > 3 ? *seen - 3 : 0;

	*seen = len;
	for (; i < len; i++) {
		if (data[i] != '\n')
			continue;
		if (i + 1 < len && data[i + 1] == '\n')
			return i + 2;
		if (i + 2 < len && data[i + 1] == '\r' && data[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

/* The next line, NUL-terminated in place; NULL when it holds a NUL or a bare CR. */
static char *next_line(struct cursor *cursor)
{
	char *line = cursor->at;
	char *end = memchr(line, '\n', (size_t)(cursor->end - line));

	MUST(end); /* head_find_end() saw it */
	cursor->at = end + 1;
	if (end > line && end[-1] == '\r')
		end--;
	*end = '\0';
	return strlen(line) == (size_t)(end - line) && !strchr(line, '\r') ? line : NULL;
}

/* In place. "%2F" and "%25" stay: a slash inside a part of the path parts nothing. False: a broken
 * escape or a NUL. */
static bool percent_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		int high, low, c;

		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		high = uuid_hex(text[1]);
		low = high < 0 ? -1 : uuid_hex(text[2]);
		if (low < 0 || high + low == 0)
			return false;
		c = high << 4 | low;
		if (c == '/' || c == '%') {
			memmove(to, text, 3);
			to += 3;
		} else {
			*to++ = (char)c;
		}
		text += 2;
	}
	*to = '\0';
	return true;
}

/* origin-form, absolute-form (a proxy's) or "*". */
static int parse_target(char *target, struct head *ret)
{
	char *query;

	if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
		target = strchr(target, ':') + 3;
		target += strcspn(target, "/?");
		if (*target != '/')
			return 400;
	}
	if (*target != '/' && strcmp(target, "*") != 0)
		return 400;
	query = strchr(target, '?');
	ret->query = "";
	if (query) {
		*query = '\0';
		ret->query = query + 1;
	}
	ret->path = target;
	return percent_decode(target) ? 0 : 400;
}

static int parse_request_line(char *line, struct head *ret)
{
	char *target, *version;

	target = strchr(line, ' ');
	version = target ? strchr(target + 1, ' ') : NULL;
	if (!version || strpbrk(line, "\t\x7f") || !is_value(line))
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (strncmp(version, "HTTP/", 5) != 0)
		return 400;
	ret->version_1_0 = strcmp(version, "HTTP/1.0") == 0;
	if (!ret->version_1_0 && strcmp(version, "HTTP/1.1") != 0)
		return 505;
	ret->method = line;
	return is_token(line) ? parse_target(target, ret) : 400;
}

/* "first, second" in the scratch. */
static const char *join(struct cursor *cursor, const char *first, const char *glue,
                        const char *second)
{
	size_t need = strlen(first) + strlen(glue) + strlen(second) + 1;
	char *joined = cursor->room;

	if (need > (size_t)(cursor->room_end - cursor->room))
		return NULL;
	cursor->room += need;
	(void)stpcpy(stpcpy(stpcpy(joined, first), glue), second);
	return joined;
}

static bool only_once(enum head_field field)
{
	return field == HEAD_CONTENT_LENGTH || field == HEAD_HOST || field == HEAD_WS_KEY ||
	       field == HEAD_WS_VERSION;
}

static int keep(struct cursor *cursor, struct head *head, enum head_field field, char *value)
{
	const char *before = head->field[field];

	if (!before) {
		head->field[field] = value;
		return 0;
	}
	if (only_once(field))
		return 400;
	head->field[field] = join(cursor, before, field == HEAD_COOKIE ? "; " : ", ", value);
	return head->field[field] ? 0 : 431;
}

static int parse_header(struct cursor *cursor, char *line, struct head *head)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (!colon)
		return 400;
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	for (end = value + strlen(value); end > value && strchr(" \t", end[-1]); end--)
		;
	*end = '\0';
	if (!is_token(line) || !is_value(value))
		return 400;
	for (size_t i = 0; i < HEAD_FIELDS; i++)
		if (strcasecmp(line, field_name[i]) == 0)
			return keep(cursor, head, (enum head_field)i, value);
	return 0;
}

bool head_has_word(const char *value, const char *word)
{
	size_t len = strlen(word);

	while (value && *value) {
		value += strspn(value, ", \t");
		if (strncasecmp(value, word, len) == 0 && strchr(", \t;", value[len]))
			return true;
		value += strcspn(value, ",");
	}
	return false;
}

static bool parse_number(const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18 || text[digits] != '\0')
		return false;
	for (; *text; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	*ret = value;
	return true;
}

/* How long the body is and whether the connection goes on. */
static int settle_framing(struct head *head)
{
	const char *length = head->field[HEAD_CONTENT_LENGTH];
	const char *coding = head->field[HEAD_TRANSFER_ENCODING];
	const char *connection = head->field[HEAD_CONNECTION];

	if (!head->field[HEAD_HOST] && !head->version_1_0)
		return 400;
	if (length && !parse_number(length, &head->content_length))
		return 400;
	if (coding && (length || head->version_1_0))
		return 400;
	if (coding && strcasecmp(coding, "chunked") != 0)
		return 501;
	head->chunked = coding;
	head->keep_alive = head->version_1_0 ? head_has_word(connection, "keep-alive")
	                                     : !head_has_word(connection, "close");
	return 0;
}

int head_parse(char *text, size_t len, struct head *ret)
{
	struct cursor cursor = { text, text + len, text + len, text + HEAD_TEXT_BYTES(len) };
	char *line = next_line(&cursor);
	int status;

	*ret = (struct head){ 0 };
	status = line ? parse_request_line(line, ret) : 400;
	for (int n = 0; status == 0; n++) {
		line = next_line(&cursor);
		if (!line)
			return 400;
		if (*line == '\0')
			return settle_framing(ret);
		if (n == HEAD_MAX_HEADERS)
			return 431;
		status = parse_header(&cursor, line, ret);
	}
	return status;
}

/* ---- chunked bodies ---- */

enum chunked_state { SIZE, EXTENSION, DATA, DATA_END, TRAILER_START, TRAILER };

/* One byte outside of the data. False: not well-formed. */
static bool chunked_byte(struct chunked *chunked, uint8_t byte)
{
	int digit = uuid_hex((char)byte);

	switch ((enum chunked_state)chunked->state) {
	case SIZE:
		if (digit >= 0) {
			chunked->left = chunked->left << 4 | (uint64_t)digit;
			return ++chunked->digits <= MAX_CHUNK_DIGITS;
		}
		if (chunked->digits == 0 || (byte != ';' && byte != '\r' && byte != '\n'))
			return false;
		chunked->state = EXTENSION;
		__attribute__((fallthrough));
	case EXTENSION:
		if (byte == '\n')
			chunked->state = chunked->left > 0 ? DATA : TRAILER_START;
		return ++chunked->extra_bytes <= MAX_EXTRA_BYTES;
	case DATA_END:
		if (byte == '\n') {
			chunked->state = SIZE;
			chunked->digits = 0;
			chunked->extra_bytes = 0;
		}
		return byte == '\n' || byte == '\r';
	case TRAILER_START:
		chunked->done = byte == '\n';
		if (byte != '\r')
			chunked->state = TRAILER;
		return ++chunked->extra_bytes <= MAX_EXTRA_BYTES;
	case TRAILER:
		if (byte == '\n')
			chunked->state = TRAILER_START;
		return ++chunked->extra_bytes <= MAX_EXTRA_BYTES;
	case DATA:
		break;
	}
	return false;
}

ssize_t chunked_next(struct chunked *chunked, const uint8_t *data, size_t len, struct bytes *ret)
{
	size_t taken = 0;

	*ret = BYTES(data, 0);
	while (taken < len && chunked->state != DATA && !chunked->done)
		if (!chunked_byte(chunked, data[taken++]))
			return -1;
	if (chunked->state == DATA && !chunked->done) {
		*ret = BYTES(data + taken,
		             chunked->left < len - taken ? chunked->left : len - taken);
		taken += ret->len;
		chunked->left -= ret->len;
		if (chunked->left == 0)
			chunked->state = DATA_END;
	}
	return (ssize_t)taken;
}
