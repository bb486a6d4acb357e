/*
 * mem - allocation that does not return NULL, and cleanup by scope.
 *
 * xcalloc() and its kin end the process when memory is out: sound because the
 * size of everything that a client can grow is bounded elsewhere.
 *
 *     AUTO(bus_close) struct bus *bus = NULL;   closed at the end of the scope
 *     return TAKE(bus);                         handed over: not closed
 *
 * AUTO(fn) needs AUTO_FREE(type, fn) once beside fn's declaration.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define AUTO_FREE(type, fn)                                                                        \
	static inline void fn##_at(type **object)                                                  \
	{                                                                                          \
		fn(*object);                                                                       \
	}
#define AUTO(fn) __attribute__((cleanup(fn##_at)))
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/* A bug, not a fault of the world: stays on in production. */
#define MUST(cond) ((cond) ? (void)0 : must_failed(#cond, __FILE__, __LINE__))
_Noreturn void must_failed(const char *cond, const char *file, int line);

void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t count, size_t size);
void *xmemdup(const void *data, size_t len);
char *xstrdup(const char *text);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

void mem_free(void *p);
#define AUTO_MEM __attribute__((cleanup(mem_free_at)))
void mem_free_at(void *pointer_to_pointer);

/* A growing byte string. Zero it to start; the owner frees with buf_free(). */
struct buf {
	uint8_t *data;
	size_t len, cap;
};
void buf_reserve(struct buf *buf, size_t more);
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_free(struct buf *buf);

/* Borrowed bytes. */
struct bytes {
	const void *data;
	size_t len;
};
#define BYTES(pointer, length) ((struct bytes){ (pointer), (length) })

#endif
