#include "services/edge/gzip.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

#define LEVEL 1 /* JSON shrinks to a tenth already; higher levels cost the loop more */

/* "q=0", "q=0.0" … among the parameters of one coding. */
static bool is_refused(const char *parameters, size_t len)
{
	const char *q = memchr(parameters, 'q', len);

	return q && q + 2 < parameters + len && q[1] == '=' && q[2] == '0' &&
	       strspn(q + 2, "0.") >= strcspn(q + 2, ", \t;");
}

bool coding_wanted(const char *accept_encoding, const char *coding)
{
	bool any = false;

	for (const char *p = accept_encoding; p && *p;) {
		size_t len, word;

		p += strspn(p, " \t,");
		len = strcspn(p, ",");
		word = strcspn(p, " \t;,");
		if (word == strlen(coding) && strncasecmp(p, coding, word) == 0)
			return !is_refused(p + word, len - word);
		if (word == 1 && *p == '*')
			any = !is_refused(p + word, len - word);
		p += len;
	}
	return any;
}

bool gzip_wanted(const char *accept_encoding)
{
	return coding_wanted(accept_encoding, "gzip");
}

bool gzip_pack(struct bytes plain, struct buf *ret)
{
	z_stream stream = { 0 };
	int status;

	if (plain.len < GZIP_LEAST || plain.len > GZIP_MOST)
		return false;
	MUST(deflateInit2(&stream, LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	ret->len = 0;
	buf_reserve(ret, plain.len);
	stream.next_in = (Bytef *)plain.data;
	stream.avail_in = (uInt)plain.len;
	stream.next_out = ret->data;
	stream.avail_out = (uInt)plain.len; /* not smaller: not taken */
	status = deflate(&stream, Z_FINISH);
	ret->len = stream.total_out;
	(void)deflateEnd(&stream);
	return status == Z_STREAM_END;
}
