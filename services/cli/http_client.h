/*
 * http_client - one HTTP request, answered whole.
 *
 * Answers over HTTP_ANSWER_MOST bytes and requests over their time fail with status 0.
 */
#ifndef CLI_HTTP_CLIENT_H
#define CLI_HTTP_CLIENT_H

#include "services/cli/web.h"

#define HTTP_ANSWER_MOST (4u * 1024 * 1024)

struct http_request {
	const struct url *url;
	const char *method, *path; /* path goes behind that of the URL */
	const char *key;           /* or NULL */
	const char *body;          /* JSON, or NULL */
	int64_t timeout_ms;
	bool unverified; /* any certificate will do */
};
struct http_answer {
	int status;        /* 0: there is none, and why says it */
	struct bytes body; /* a zero stands behind it           */
	char why[256];
};
typedef void http_fn(void *ctx, const struct http_answer *answer);

/* Everything is copied. fn is called exactly once, from the loop; the answer is borrowed. */
void http_call(struct web *web, const struct http_request *request, http_fn *fn, void *ctx);

/* Runs the loop until the answer is there; the caller frees ret_body, which is body. */
void http_call_wait(struct web *web, const struct http_request *request, struct http_answer *ret,
                    struct buf *ret_body);

/* Why an answer is not the one hoped for, in a sentence: the detail of its problem document. */
void http_explain(const struct http_answer *answer, char why[256]);

#endif
