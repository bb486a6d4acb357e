/* The part of rest that spares a client what it has, and bytes. */
#include "services/edge/gzip.h"
#include "services/edge/problem.h"
#include "services/edge/rest_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define TAG_BYTES 12
#define TAG_TEXT  (TAG_BYTES * 2 + 3) /* with quotes and zero */

/* Of the body and the headers that belong to it (Link). */
static void tag_of(const char *json, const char *extra, char ret[TAG_TEXT])
{
	uint8_t hash[crypto_generichash_BYTES_MIN];
	crypto_generichash_state state;
	char hex[TAG_BYTES * 2 + 1];

	(void)crypto_generichash_init(&state, NULL, 0, sizeof hash);
	(void)crypto_generichash_update(&state, (const uint8_t *)json, strlen(json) + 1);
	(void)crypto_generichash_update(&state, (const uint8_t *)extra, strlen(extra));
	(void)crypto_generichash_final(&state, hash, sizeof hash);
	(void)sodium_bin2hex(hex, sizeof hex, hash, TAG_BYTES);
	(void)snprintf(ret, TAG_TEXT, "\"%s\"", hex);
}

/* If-None-Match: "*", or a list of tags of which W/ does not matter (RFC 9110, 13.1.2). A tag
 * of ours is hexadecimal, so it stands in the list as an element or not at all. */
static bool has_it(const char *if_none_match, const char *tag)
{
	return if_none_match && (if_none_match[strspn(if_none_match, " \t")] == '*' ||
	                         strstr(if_none_match, tag) != NULL);
}

void rest_answer_get(struct rest *rest, const char *type, const char *text, const char *extra)
{
	struct bytes body = BYTES(text, strlen(text));
	struct buf packed = { 0 };
	char tag[TAG_TEXT], *headers;
	bool smaller;

	rest_hold(rest, body.len);
	if (!rest_has_room(rest)) {
		problem_respond(rest->conn, 503, REST_NO_ROOM, "Retry-After: 10\r\n");
		return;
	}
	tag_of(text, extra, tag);
	if (has_it(rest->if_none_match, tag)) {
		headers = xasprintf(HTTP_HEADERS "ETag: W/%s\r\nVary: Accept-Encoding\r\n%s", tag,
		                    extra);
		net_respond(rest->conn, 304, headers, BYTES("", 0));
	} else {
		smaller = rest->takes_gzip && gzip_pack(body, &packed);
		headers = xasprintf(HTTP_HEADERS "Content-Type: %s\r\n"
		                                 "ETag: W/%s\r\nVary: Accept-Encoding\r\n%s%s",
		                    type, tag, smaller ? "Content-Encoding: gzip\r\n" : "", extra);
		net_respond(rest->conn, 200, headers,
		            smaller ? BYTES(packed.data, packed.len) : body);
		buf_free(&packed);
	}
	mem_free(headers);
}
