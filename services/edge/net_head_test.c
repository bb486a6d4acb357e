#include "services/edge/net_head.h"

#include <criterion/criterion.h>
#include <string.h>

static char text[HEAD_TEXT_BYTES(4096)];
static struct head head;

static int parse(const char *from)
{
	memcpy(text, from, strlen(from) + 1);
	return head_parse(text, strlen(from), &head);
}

Test(net_head, finds_the_end_wherever_the_reads_were_cut)
{
	static const char *const heads[] = { "G / H\r\na: b\r\n\r\nrest", "G / H\na: b\n\nrest",
		                             "G / H\r\n\nrest" };

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		const uint8_t *data = (const uint8_t *)heads[i];
		size_t len = strlen(heads[i]), seen = 0, end = 0;

		for (size_t n = 1; n <= len && end == 0; n++)
			end = head_find_end(data, n, &seen);
		cr_assert_eq(end, len - 4, "%s: %zu", heads[i], end);
	}
}

Test(net_head, takes_a_request_line_apart)
{
	cr_assert_eq(parse("PATCH /a%2fb%20c?x=%20&y HTTP/1.1\r\nhOsT: h\r\n\r\n"), 0);
	cr_assert_str_eq(head.method, "PATCH");
	cr_assert_str_eq(head.path, "/a%2fb c", "a slash inside a part parts nothing");
	cr_assert_str_eq(head.query, "x=%20&y");
	cr_assert_str_eq(head.field[HEAD_HOST], "h");
	cr_assert(head.keep_alive && !head.chunked && !head.version_1_0);
	cr_assert_eq(parse("GET http://host:1/p?q HTTP/1.1\r\nHost: h\r\n\r\n"), 0);
	cr_assert_str_eq(head.path, "/p");
	cr_assert_str_eq(head.query, "q");
}

Test(net_head, knows_how_the_body_ends)
{
	cr_assert_eq(parse("POST / HTTP/1.1\r\nHost:h\r\nContent-Length: 0012\r\n\r\n"), 0);
	cr_assert_eq(head.content_length, 12);
	cr_assert_eq(parse("POST / HTTP/1.1\r\nHost:h\r\nTransfer-Encoding: Chunked\r\n\r\n"), 0);
	cr_assert(head.chunked);
	cr_assert_eq(parse("POST / HTTP/1.1\r\nHost:h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
	             501);
	cr_assert_eq(parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
	cr_assert_eq(parse("POST / HTTP/1.1\r\nHost:h\r\nContent-Length: 1\r\n"
	                   "Content-Length: 1\r\n\r\n"),
	             400);
	cr_assert_eq(parse("POST / HTTP/1.1\r\nHost:h\r\n"
	                   "Content-Length: 99999999999999999999\r\n\r\n"),
	             400);
}

Test(net_head, refuses_bytes_that_no_head_may_hold)
{
	static const char *const bad[] = {
		"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\rx\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n",
		"GET / HTTP/1.1\r\n: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost h\r\n\r\n",
		"G{T / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /\r\nHost: h\r\n\r\n",
		"GET /%4 HTTP/1.1\r\nHost: h\r\n\r\n",
	};
	char nul[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b?c\r\n\r\n";

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(parse(bad[i]), 400, "accepted: %s", bad[i]);
	*strchr(nul, '?') = '\0';
	memcpy(text, nul, sizeof nul - 1);
	cr_assert_eq(head_parse(text, sizeof nul - 1, &head), 400);
}

Test(net_head, bounds_the_number_of_headers_and_of_repeats)
{
	char many[8192] = "GET / HTTP/1.1\r\nHost: h\r\n";
	static char room[HEAD_TEXT_BYTES(8192)];

	for (int i = 0; i < HEAD_MAX_HEADERS - 1; i++)
		strcat(many, "A: b\r\n");
	strcat(many, "\r\n");
	memcpy(room, many, strlen(many) + 1);
	cr_assert_eq(head_parse(room, strlen(many), &head), 0);
	many[strlen(many) - 2] = '\0';
	strcat(many, "A: b\r\n\r\n");
	memcpy(room, many, strlen(many) + 1);
	cr_assert_eq(head_parse(room, strlen(many), &head), 431);
	strcpy(many, "GET / HTTP/1.1\r\nHost: h\r\n");
	for (int i = 0; i < 90; i++)
		strcat(many, "Accept: text/html;q=0.5\r\n");
	strcat(many, "\r\n");
	memcpy(room, many, strlen(many) + 1);
	cr_assert_eq(head_parse(room, strlen(many), &head), 431, "joins have no bound");
}

Test(net_head, finds_a_word_in_a_list_and_no_part_of_one)
{
	cr_assert(head_has_word("keep-alive, Upgrade", "upgrade"));
	cr_assert(head_has_word("upgrade", "upgrade"));
	cr_assert(head_has_word(" ,,upgrade ;x", "upgrade"));
	cr_assert(!head_has_word("upgrades, xupgrade", "upgrade"));
	cr_assert(!head_has_word("", "upgrade") && !head_has_word(NULL, "upgrade"));
}

static bool unchunk(const char *from, size_t step, char *ret)
{
	struct chunked chunked = { 0 };
	size_t len = strlen(from);

	*ret = '\0';
	for (size_t at = 0; at < len && !chunked.done;) {
		size_t n = len - at < step ? len - at : step;
		struct bytes part;
		ssize_t taken = chunked_next(&chunked, (const uint8_t *)from + at, n, &part);

		if (taken < 0)
			return false;
		strncat(ret, part.data, part.len);
		at += (size_t)taken;
	}
	return chunked.done;
}

Test(net_head, puts_chunks_together_however_they_were_cut)
{
	static const char wire[] = "3\r\nabc\r\n0a;x=y\r\n0123456789\r\n1\nz\n0\r\nT: t\r\n\r\n";
	char body[64];

	for (size_t step = 1; step < sizeof wire; step++) {
		cr_assert(unchunk(wire, step, body), "step %zu", step);
		cr_assert_str_eq(body, "abc0123456789z", "step %zu", step);
	}
}

Test(net_head, refuses_chunks_that_are_none)
{
	static const char *const bad[] = {
		"\r\n",          "g\r\n",         "3 \r\nabc\r\n0\r\n\r\n",
		"3\r\nabcd\r\n", "111111111\r\n", "-1\r\n"
	};
	char body[64];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert(!unchunk(bad[i], 100, body), "accepted %s", bad[i]);
}
