/* Heads and chunked bodies from bytes: nothing is read or written out of bounds, and what is
 * accepted lies inside the text. */
#include "services/edge/net_head.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_inside(const char *field, const char *text, size_t len)
{
	MUST(!field || (field >= text && field < text + HEAD_TEXT_BYTES(len)));
	MUST(!field || memchr(field, '\0', (size_t)(text + HEAD_TEXT_BYTES(len) - field)));
}

static void fuzz_head(const uint8_t *data, size_t len)
{
	size_t seen = 0, end = head_find_end(data, len, &seen);
	struct head head;
	char *text;

	if (end == 0 || end > HEAD_MAX_BYTES)
		return;
	text = xcalloc(1, HEAD_TEXT_BYTES(end));
	memcpy(text, data, end);
	if (head_parse(text, end, &head) == 0) {
		check_inside(head.method, text, end);
		check_inside(head.path, text, end);
		for (size_t i = 0; i < HEAD_FIELDS; i++)
			check_inside(head.field[i], text, end);
		MUST(head.path[0] == '/' || strcmp(head.path, "*") == 0);
		(void)head_has_word(head.field[HEAD_CONNECTION], "upgrade");
	}
	mem_free(text);
}

/* In one piece and byte by byte the body is the same. */
static void fuzz_chunks(const uint8_t *data, size_t len)
{
	struct chunked whole = { 0 }, bytewise = { 0 };
	size_t whole_len = 0, bytewise_len = 0, at = 0;
	ssize_t taken = 1;
	struct bytes part;

	while (taken > 0 && at < len && !whole.done) {
		taken = chunked_next(&whole, data + at, len - at, &part);
		whole_len += part.len;
		at += taken > 0 ? (size_t)taken : 0;
	}
	for (size_t i = 0; i < len && !bytewise.done; i++) {
		if (chunked_next(&bytewise, data + i, 1, &part) < 0)
			break;
		bytewise_len += part.len;
	}
	MUST(whole_len == bytewise_len && whole.done == bytewise.done);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_head(data, len);
	fuzz_chunks(data, len);
	return 0;
}
