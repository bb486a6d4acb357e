#include "common/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void must_failed(const char *cond, const char *file, int line)
{
	(void)fprintf(stderr, "bug at %s:%d: %s\n", file, line, cond);
	abort();
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	MUST(p != NULL);
	return p;
}

void *xrealloc(void *old, size_t count, size_t size)
{
	void *p = reallocarray(old, count ? count : 1, size ? size : 1);

	MUST(p != NULL);
	return p;
}

void *xmemdup(const void *data, size_t len)
{
	void *p = xcalloc(1, len);

	if (len > 0)
		memcpy(p, data, len);
	return p;
}

char *xstrdup(const char *text)
{
	return xmemdup(text, strlen(text) + 1);
}

char *xasprintf(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	MUST(len >= 0);
	return text;
}

void mem_free(void *p)
{
	free(p);
}

void mem_free_at(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

void buf_reserve(struct buf *buf, size_t more)
{
	size_t want = buf->len + more;

	if (want <= buf->cap)
		return;
	if (want < 2 * buf->cap)
		want = 2 * buf->cap;
	buf->data = xrealloc(buf->data, want, 1);
	buf->cap = want;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	buf_reserve(buf, len);
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
}

void buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}
