/*
 * publisher_reply - the small answers: refusals, done, text.
 */
#ifndef PUBLISHER_REPLY_H
#define PUBLISHER_REPLY_H

#include "common/mem.h"
#include "publisher.pb-c.h"

/* Each replaces the content of ret with a packed PublisherReply. retry_after_s 0: none. */
void reply_error(struct buf *ret, uint32_t status, uint32_t retry_after_s, const char *detail);
void reply_done(struct buf *ret);
void reply_metrics(struct buf *ret, const char *text);

#endif
