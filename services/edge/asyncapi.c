/* The sockets' half of openapi.h. */
#include "services/edge/openapi.h"

#include "publisher.pb-c.h"
#include "raeh.pb-c.h"
#include "services/edge/schema.h"

#include <string.h>

#define TEXT(pointer) "{\"type\":\"string\",\"description\":\"" pointer "\"}"
#define MANY(pointer)                                                                              \
	"{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":64,\"description\":"     \
	"\"" pointer "\"}"

/* clang-format off */
static const char head[] =
	"{\"asyncapi\":\"3.0.0\",\"info\":{\"title\":\"raeh sockets\",\"version\":\"1\","
	"\"description\":\"The WebSockets of devices and apps; /openapi.json has the rest. The key "
	"stands in one place: `Authorization: Bearer`, `api_key=` or the subprotocols `bearer, "
	"<key>`.\"},"
	"\"defaultContentType\":\"application/json\","
	"\"channels\":{";

#define REJECT                                                                                     \
	"\"reject\":{\"type\":\"string\",\"enum\":[\"http\"],\"description\":"                       \
	"\"Refuse the upgrade with a status instead of a close code.\"}"

static const char ingest_channel[] =
	"\"ingest\":{\"address\":\"/stream/ingest\",\"title\":\"A device streams samples\","
	"\"description\":\"One session. The handshake comes first; after it the device sends frames "
	"and the server says nothing but what was asked for.\","
	"\"messages\":{\"handshake\":{\"$ref\":\"#/components/messages/handshake\"},"
	"\"resumed\":{\"$ref\":\"#/components/messages/resumed\"},"
	"\"ack\":{\"$ref\":\"#/components/messages/ack\"},"
	"\"frame\":{\"$ref\":\"#/components/messages/frame\"}},"
	"\"bindings\":{\"ws\":{\"bindingVersion\":\"0.1.0\",\"method\":\"GET\",\"query\":{"
	"\"type\":\"object\",\"required\":[\"device_id\",\"device_model_id\"],\"properties\":{"
	"\"api_key\":" TEXT("The API key, where it stands in no header.") ","
	"\"device_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128,\"description\":"
	"\"The physical device, as its owner calls it.\"},"
	"\"device_model_id\":{\"type\":\"string\",\"format\":\"uuid\",\"description\":"
	"\"A device model of the account, with sensors.\"},"
	"\"ack\":{\"type\":\"string\",\"enum\":[\"1\"],\"description\":"
	"\"Say which frames are on disk.\"},"
	"\"resume\":{\"type\":\"string\",\"format\":\"uuid\",\"description\":"
	"\"Go on with this session of the device, open or ended less than 60 s ago.\"},"
	REJECT "}}}},"
	"\"x-close-codes\":{\"1000\":\"closed by either side\",\"1001\":\"going away, or idle\","
	"\"1003\":\"a text message\",\"1007\":\"a frame of a wrong length, or without samples\","
	"\"1009\":\"a message over the limit\",\"1013\":\"overloaded, or a service is away\","
	"\"4001\":\"authentication failed\",\"4004\":\"device model, device or slot unknown\","
	"\"4009\":\"a newer connection of the device took over\",\"4029\":\"over the rate\"}},";

static const char subscribe_channel[] =
	"\"subscribe\":{\"address\":\"/stream/subscribe\",\"title\":\"An app hears insights\","
	"\"description\":\"All insights of the account, from the first message on; what the app "
	"sends is ignored. The same with Accept: text/event-stream as Server-Sent Events.\","
	"\"messages\":{\"subscribed\":{\"$ref\":\"#/components/messages/subscribed\"},"
	"\"insight\":{\"$ref\":\"#/components/messages/insight\"}},"
	"\"bindings\":{\"ws\":{\"bindingVersion\":\"0.1.0\",\"method\":\"GET\",\"query\":{"
	"\"type\":\"object\",\"properties\":{"
	"\"api_key\":" TEXT("The API key, where it stands in no header.") ","
	"\"session_id\":" MANY("Insights of these sessions alone.") ","
	"\"device_id\":" MANY("Insights of these devices alone.") ","
	"\"type\":" MANY("Insights of these types alone; hrv_rmssd, hrv_sdnn and motion come only so.")
	",\"after\":" TEXT("The id of an insight: first everything behind it, once and in order.") ","
	"\"since\":" TEXT("ms since the epoch: first everything published from then on.") ","
	REJECT "}}}},"
	"\"x-close-codes\":{\"1000\":\"closed by either side\",\"1001\":\"going away\","
	"\"1013\":\"too slow to take what comes\",\"4001\":\"authentication failed\","
	"\"4004\":\"a filter that cannot be\",\"4029\":\"over the rate\"}}},";

static const char operations[] =
	"\"operations\":{"
	"\"take_frames\":{\"action\":\"receive\",\"channel\":{\"$ref\":\"#/channels/ingest\"},"
	"\"summary\":\"Take a device's frames.\","
	"\"messages\":[{\"$ref\":\"#/channels/ingest/messages/frame\"}]},"
	"\"open_session\":{\"action\":\"send\",\"channel\":{\"$ref\":\"#/channels/ingest\"},"
	"\"summary\":\"Tell the session and its slots; with ack=1, what is on disk.\","
	"\"messages\":[{\"$ref\":\"#/channels/ingest/messages/handshake\"},"
	"{\"$ref\":\"#/channels/ingest/messages/resumed\"},"
	"{\"$ref\":\"#/channels/ingest/messages/ack\"}]},"
	"\"publish_insights\":{\"action\":\"send\",\"channel\":{\"$ref\":\"#/channels/subscribe\"},"
	"\"summary\":\"Tell each insight as it comes.\","
	"\"messages\":[{\"$ref\":\"#/channels/subscribe/messages/subscribed\"},"
	"{\"$ref\":\"#/channels/subscribe/messages/insight\"}]}},";

static const char messages[] =
	"\"components\":{\"messages\":{"
	"\"handshake\":{\"name\":\"handshake\",\"title\":\"The first message\","
	"\"contentType\":\"application/json\","
	"\"payload\":{\"$ref\":\"#/components/schemas/Handshake\"}},"
	"\"resumed\":{\"name\":\"resumed\",\"title\":\"The first message, where resume= was given\","
	"\"contentType\":\"application/json\","
	"\"payload\":{\"$ref\":\"#/components/schemas/ResumedHandshake\"}},"
	"\"ack\":{\"name\":\"ack\",\"title\":\"The first n frames are on disk\","
	"\"contentType\":\"application/json\",\"payload\":{\"type\":\"object\",\"properties\":{"
	"\"ack\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"ack\"]}},"
	"\"frame\":{\"name\":\"frame\",\"title\":\"Samples of one slot\","
	"\"contentType\":\"application/octet-stream\",\"description\":"
	"\"slot_id uint8, t0_epoch_ms int64 big-endian, sample_count uint16 big-endian, flags uint8, "
	"then sample_count x num_channels samples, signed little-endian of ceil(bit_depth/8) bytes.\","
	"\"payload\":{\"type\":\"string\",\"format\":\"binary\",\"minLength\":13}},"
	"\"subscribed\":{\"name\":\"subscribed\",\"title\":\"Nothing is missed from now on\","
	"\"contentType\":\"application/json\",\"payload\":{\"type\":\"object\",\"properties\":{"
	"\"status\":{\"type\":\"string\",\"const\":\"subscribed\"}},\"required\":[\"status\"]}},"
	"\"insight\":{\"name\":\"insight\",\"title\":\"One health value\","
	"\"contentType\":\"application/json\","
	"\"payload\":{\"$ref\":\"#/components/schemas/Insight\"}}},\"schemas\":{";
/* clang-format on */

void asyncapi_document(struct buf *buf)
{
	struct schemas schemas = { 0 };
	struct buf unused = { 0 };

	buf_append(buf, head, sizeof head - 1);
	buf_append(buf, ingest_channel, sizeof ingest_channel - 1);
	buf_append(buf, subscribe_channel, sizeof subscribe_channel - 1);
	buf_append(buf, operations, sizeof operations - 1);
	buf_append(buf, messages, sizeof messages - 1);
	schema_ref(&schemas, &unused, &raeh__handshake__descriptor, false);
	schema_ref(&schemas, &unused, &raeh__resumed_handshake__descriptor, false);
	schema_ref(&schemas, &unused, &publisher__insight__descriptor, false);
	schema_definitions(&schemas, buf);
	buf_append(buf, "}}}", 4);
	buf_free(&unused);
}

void asyncapi_here(struct rest *rest)
{
	struct buf buf = { 0 };

	asyncapi_document(&buf);
	rest_answer(rest, 200, (const char *)buf.data, "");
	buf_free(&buf);
}
