#include "services/publisher/publisher_reply.h"

#include "common/wire.h"

void reply_error(struct buf *ret, uint32_t status, uint32_t retry_after_s, const char *detail)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Raeh__Error error = RAEH__ERROR__INIT;

	error.status = status;
	error.detail = (char *)detail;
	error.has_retry_after_s = retry_after_s > 0;
	error.retry_after_s = retry_after_s;
	reply.error = &error;
	(void)wire_pack(ret, &reply.base);
}

void reply_done(struct buf *ret)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Raeh__Empty done = RAEH__EMPTY__INIT;

	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_DONE;
	reply.done = &done;
	(void)wire_pack(ret, &reply.base);
}

void reply_metrics(struct buf *ret, const char *text)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Raeh__Text message = RAEH__TEXT__INIT;

	message.text = (char *)text;
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_METRICS;
	reply.metrics = &message;
	(void)wire_pack(ret, &reply.base);
}
