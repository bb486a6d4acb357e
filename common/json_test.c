#include "common/json.h"

#include "auth.pb-c.h"
#include "common/wire.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char why[JSON_WHY];

static enum err read_text(const char *text, ProtobufCMessage *message)
{
	return json_to_message(BYTES(text, strlen(text)), message, why);
}

/* ---- reading a body ---- */

Test(json, a_command_that_asks_for_it_hears_which_fields_came_as_nothing)
{
	ProtobufCMessage *message = json_new(&auth__patch_key__descriptor);
	Auth__PatchKey *patch = (Auth__PatchKey *)message;

	patch->id = xstrdup("from the path");
	cr_assert_eq(read_text("{\"id\":null,\"device_id\":null,\"label\":\"x\",\"scopes\":null,"
	                       "\"cleared\":[\"label\"],\"rate_limit\":null,"
	                       "\"limits\":{\"bytes_per_s\":null,\"open_sockets\":5}}",
	                       message),
	             OK, "%s", why);

	cr_assert_str_eq(patch->id, "from the path");
	cr_assert_eq(patch->n_cleared, 3);
	cr_assert_str_eq(patch->cleared[0], "scopes");
	cr_assert_str_eq(patch->cleared[1], "device_id");
	cr_assert_str_eq(patch->cleared[2], "rate_limit");
	cr_assert_eq(patch->limits->n_cleared, 1, "each object hears of its own");
	cr_assert_str_eq(patch->limits->cleared[0], "bytes_per_s");
	cr_assert_eq(patch->limits->open_sockets, 5);
	wire_free(message);
}

Test(json, a_body_becomes_the_message_with_its_arrays_and_objects)
{
	ProtobufCMessage *message = json_new(&router__create_model__descriptor);
	const Router__CreateModel *model = (Router__CreateModel *)message;

	cr_assert_eq(
	        read_text("{\"name\":\"W\\u00e4tch\",\"description\":null,\"unknown\":{\"a\":[1]},"
	                  "\"modality_channels\":[{\"modality\":\"ppg_green\",\"sample_rate_hz\":"
	                  "100},"
	                  "{\"modality\":\"acc_3axis\",\"sample_rate_hz\":12.5,\"bit_depth\":16.0,"
	                  "\"num_channels\":3}],\"spo2_calibration\":[110,-25.5,1e-3]}",
	                  message),
	        OK, "%s", why);

	cr_assert_str_eq(model->name, "W\xc3\xa4tch");
	cr_assert_null(model->description);
	cr_assert_eq(model->n_modality_channels, 2);
	cr_assert_str_eq(model->modality_channels[0]->modality, "ppg_green");
	cr_assert_eq(model->modality_channels[0]->sample_rate_hz, 100);
	cr_assert(!model->modality_channels[0]->has_bit_depth);
	cr_assert(model->modality_channels[1]->has_bit_depth);
	cr_assert_eq(model->modality_channels[1]->bit_depth, 16);
	cr_assert_eq(model->modality_channels[1]->num_channels, 3);
	cr_assert_eq(model->n_spo2_calibration, 3);
	cr_assert_eq(model->spo2_calibration[1], -25.5);
	wire_free(message);
}

struct bad {
	const char *text, *why;
};

static void assert_refused(const ProtobufCMessageDescriptor *type, const struct bad *bad, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ProtobufCMessage *message = json_new(type);

		cr_assert_eq(read_text(bad[i].text, message), ERR_MALFORMED, "%s was accepted",
		             bad[i].text);
		cr_assert_str_eq(why, bad[i].why, "for %s: %s", bad[i].text, why);
		wire_free(message);
	}
}

#define CHANNEL "{\"modality\":\"m\",\"sample_rate_hz\":1}"

Test(json, a_fault_names_the_field_what_was_expected_and_what_came)
{
	static const struct bad bad[] = {
		{"",		                                                                    "name: required"		                                          },
		{ "{}",		                                                                 "name: required"		                                          },
		{ "{\"name\":null}",		                                                    "name: required"		                                          },
		{ "{\"name\":5}",		                                                       "name: expected a string, got 5"                                          },
		{ "{\"name\":true}",		                                                    "name: expected a string, got true"                                       },
		{ "{\"name\":\"a\\u0000b\"}",
                 "name: expected a string without the character U+0000"		                                                                                           },
		{ "{\"name\":\"a\",\"modality_channels\":{}}",
                 "modality_channels: expected an array, got an object"		                                                                                            },
		{ "{\"name\":\"a\",\"modality_channels\":[null]}",
                 "modality_channels[0]: expected an object, got null"		                                                                                             },
		{ "{\"name\":\"a\",\"modality_channels\":[" CHANNEL ",{\"modality\":\"m\"}]}",
                 "modality_channels[1].sample_rate_hz: required"		                                                                                                  },
		{ "{\"name\":\"a\",\"modality_channels\":[" CHANNEL "," CHANNEL
		  ",{\"modality\":\"m\",\"sample_rate_hz\":1,\"bit_depth\":\"16\"}]}", "modality_channels[2].bit_depth: expected an integer, got a string"       },
		{ "{\"name\":\"a\",\"modality_channels\":[{\"modality\":\"m\",\"sample_rate_hz\":1,"
		  "\"bit_depth\":16.5}]}",		                             "modality_channels[0].bit_depth: expected an integer, got 16.5"           },
		{ "{\"name\":\"a\",\"modality_channels\":[{\"modality\":\"m\",\"sample_rate_hz\":1,"
		  "\"bit_depth\":-1}]}",		                               "modality_channels[0].bit_depth: expected 0 to 4294967295, got -1"        },
		{ "{\"name\":\"a\",\"modality_channels\":[{\"modality\":\"m\",\"sample_rate_hz\":1,"
		  "\"bit_depth\":4294967296}]}",		                       "modality_channels[0].bit_depth: expected 0 to 4294967295, got 4294967296"},
		{ "{\"name\":\"a\",\"modality_channels\":[{\"modality\":\"m\",\"sample_rate_hz\":"
		  "\"1\"}]}",		                                          "modality_channels[0].sample_rate_hz: expected a number, got a string"    },
		{ "{\"name\":\"a\",\"spo2_calibration\":[1,null,3]}",
                 "spo2_calibration[1]: expected a number, got null"		                                                                                               },
		{ "[]",		                                                                 "body: expected an object, got an array"                                  },
		{ "\"x\"",		                                                              "body: expected an object, got a string"                                  },
		{ "null",		                                                               "body: expected an object, got null"                                      },
	};

	assert_refused(&router__create_model__descriptor, bad, ARRAY_LEN(bad));
}

Test(json, what_is_no_json_is_refused_with_its_place_and_without_its_words)
{
	static const char *const bad[] = {
		"{\"name\":\"a\",\"name\":\"b\"}",
		"{\"name\":\"a\"",
		"{\"name\":\"a\"} x",
		"{name:1}",
		"{\"name\":\"\\ud800\"}",
		"{\"name\":\"\xff\"}",
		"{\"name\":1e999}",
		"{\"name\":\"a\",\"metadata\":{\"id\":99999999999999999999}}",
		"{\"na\\u0000me\":1}",
		"\xef\xbb\xbf{}",
		"{\"name\":NaN}",
		"{'name':1}",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ProtobufCMessage *message = json_new(&router__create_model__descriptor);

		cr_assert_eq(read_text(bad[i], message), ERR_MALFORMED, "%s was accepted", bad[i]);
		cr_assert_eq(strncmp(why, "body: expected JSON, got ", 25), 0, "%s: %s", bad[i],
		             why);
		cr_assert_not_null(strstr(why, "(line 1, column "), "%s", why);
		cr_assert_null(strstr(why, "near"), "%s", why);
		wire_free(message);
	}
}

Test(json, a_body_that_is_too_deep_or_too_long_is_refused_before_it_is_parsed)
{
	ProtobufCMessage *message = json_new(&router__create_model__descriptor);
	struct buf text = { 0 };
	char *deep;

	for (int i = 0; i < 100000; i++)
		buf_append(&text, "[", 1);
	cr_assert_eq(json_to_message(BYTES(text.data, text.len), message, why), ERR_LIMIT);
	text.len = 0;
	while (text.len <= JSON_MAX_BYTES)
		buf_append(&text, "                ", 16);
	cr_assert_eq(json_to_message(BYTES(text.data, text.len), message, why), ERR_LIMIT);
	deep = xasprintf("{\"name\":\"[[[[[[[[[[[[[[[[[[[[{{{{{{ \\\" [[[[\",\"x\":[[[[]]]]}");
	cr_assert_eq(read_text(deep, message), OK, "brackets in a string are no depth: %s", why);
	mem_free(deep);
	buf_free(&text);
	wire_free(message);
}

Test(json, an_integer_beyond_64_bits_hurts_only_where_it_is_looked_at)
{
	static const struct bad bad[] = {
		{"{\"name\":99999999999999999999}", "name: expected a string, got 1e+20"},
	};
	ProtobufCMessage *message = json_new(&router__create_model__descriptor);
	const Router__CreateModel *model = (Router__CreateModel *)message;

	cr_assert_eq(read_text("{\"name\":\"a\",\"of_tomorrow\":[18446744073709551616],"
	                       "\"modality_channels\":[{\"modality\":\"m\",\"sample_rate_hz\":64,"
	                       "\"bit_depth\":16,\"num_channels\":3}]}",
	                       message),
	             OK, "%s", why);
	cr_assert_eq(model->modality_channels[0]->bit_depth, 16);
	cr_assert_eq(model->modality_channels[0]->num_channels, 3);
	wire_free(message);
	assert_refused(&router__create_model__descriptor, bad, ARRAY_LEN(bad));
}

Test(json, no_scopes_at_all_are_not_those_by_default)
{
	static const struct bad bad[] = {
		{"{\"label\":\"l\",\"scopes\":[]}", "scopes: expected one or more, got none"},
	};

	assert_refused(&auth__mint_key__descriptor, bad, ARRAY_LEN(bad));
}

Test(json, an_array_holds_no_more_items_than_agreed)
{
	ProtobufCMessage *message = json_new(&auth__mint_key__descriptor);
	struct buf text = { 0 };

	buf_append(&text, "{\"label\":\"l\",\"scopes\":[\"a\"", 26);
	for (int i = 0; i < JSON_MAX_ITEMS; i++)
		buf_append(&text, ",\"a\"", 4);
	buf_append(&text, "]}", 2);

	cr_assert_eq(json_to_message(BYTES(text.data, text.len), message, why), ERR_MALFORMED);
	cr_assert_str_eq(why, "scopes: expected at most 256 items");
	buf_free(&text);
	wire_free(message);
}

Test(json, times_booleans_and_metadata_are_read_by_their_names)
{
	static const struct bad bad[] = {
		{"\"expires_at\":5}",                                 "expires_at: expected a time such as "
		                       "2026-04-14T16:41:05.000Z, got 5"                                  },
		{ "\"expires_at\":\"tomorrow\"}",                     "expires_at: expected a time such as "
		                                  "2026-04-14T16:41:05.000Z, got \"tomorrow\""},
		{ "\"expires_at\":\"2036-01-01T00:00:00Z\\u0000x\"}",
                 "expires_at: expected a time such as 2026-04-14T16:41:05.000Z, "
		  "got \"2036-01-01T00:00:00Z\""		                                                                               },
		{ "\"metadata\":\"x\"}",                              "metadata: expected an object, got a string"                             },
		{ "\"disabled\":1}",                                  "disabled: expected true or false, got 1"                                },
	};
	ProtobufCMessage *message = json_new(&auth__key__descriptor);
	const Auth__Key *key = (Auth__Key *)message;

	cr_assert_eq(read_text("{\"id\":\"i\",\"label\":\"l\",\"hint\":\"h\",\"disabled\":true,"
	                       "\"created_at\":\"2026-04-14T16:41:05.250Z\","
	                       "\"metadata\":{\"a\": [1, \"x\"]}}",
	                       message),
	             OK, "%s", why);
	cr_assert(key->disabled);
	cr_assert_eq(key->created_at, INT64_C(1776184865250));
	cr_assert_str_eq(key->metadata, "{\"a\":[1,\"x\"]}");
	wire_free(message);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *text = xasprintf("{\"id\":\"i\",\"label\":\"l\",\"hint\":\"h\",%s%s",
		                       strstr(bad[i].text, "disabled") ? "" : "\"disabled\":false,",
		                       bad[i].text);

		message = json_new(&auth__key__descriptor);
		cr_assert_eq(read_text(text, message), ERR_MALFORMED);
		cr_assert_str_eq(why, bad[i].why);
		wire_free(message);
		mem_free(text);
	}
}

Test(json, a_field_that_the_caller_has_set_is_kept)
{
	ProtobufCMessage *message = json_new(&router__get_model__descriptor);
	Router__GetModel *get = (Router__GetModel *)message;

	get->id = xstrdup("from-the-path");
	cr_assert_eq(read_text("{\"id\":\"from-the-body\"}", message), OK);
	cr_assert_eq(json_from_query("id=from-the-query", message, why), OK);

	cr_assert_str_eq(get->id, "from-the-path");
	wire_free(message);
}

Test(json, bytes_and_oneofs_are_not_a_clients_to_set)
{
	ProtobufCMessage *message = json_new(&router__router_request__descriptor);
	const Router__RouterRequest *request = (Router__RouterRequest *)message;

	cr_assert_eq(read_text("{\"op_id\":\"abc\",\"metrics\":{},\"principal\":null}", message),
	             OK);

	cr_assert(!request->has_op_id);
	cr_assert_eq(request->command_case, 0);
	wire_free(message);
}

Test(json, a_fault_never_repeats_a_key)
{
	ProtobufCMessage *message = json_new(&publisher__list_insights__descriptor);

	cr_assert_eq(
	        json_from_query("limit=raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE", message, why),
	        ERR_MALFORMED);

	cr_assert_null(strstr(why, "ABCDEFGH"), "%s", why);
	wire_free(message);
}

Test(json, a_fault_is_always_valid_utf8)
{
	for (int n = 0; n < 8; n++) {
		ProtobufCMessage *message = json_new(&publisher__list_insights__descriptor);
		struct buf query = { 0 };

		buf_append(&query, "limit=", 6);
		buf_append(&query, "xxxxxxxx", (size_t)n);
		for (int i = 0; i < 100; i++)
			buf_append(&query, "\xe2\x82\xac", 3);
		buf_append(&query, "", 1);
		cr_assert_eq(json_from_query((char *)query.data, message, why), ERR_MALFORMED);
		cr_assert(utf8_valid(why, strlen(why)));
		buf_free(&query);
		wire_free(message);
	}
}

/* ---- reading a query ---- */

Test(json, parameters_become_the_fields_of_the_command)
{
	ProtobufCMessage *message = json_new(&publisher__list_insights__descriptor);
	const Publisher__ListInsights *list = (Publisher__ListInsights *)message;

	cr_assert_eq(
	        json_from_query("session_id=0190%2dabc&type=h%72&from=2026-04-14T16:41:05.000Z&"
	                        "to=1776184865250&limit=20&api_key=x&foo=1&&bar",
	                        message, why),
	        OK, "%s", why);

	cr_assert_str_eq(list->session_id, "0190-abc");
	cr_assert_str_eq(list->type, "hr");
	cr_assert(list->has_from_at && list->has_to_at && list->has_limit);
	cr_assert_eq(list->from_at, INT64_C(1776184865000));
	cr_assert_eq(list->to_at, INT64_C(1776184865250));
	cr_assert_eq(list->limit, 20);
	wire_free(message);
}

Test(json, a_repeated_parameter_appends_and_of_others_the_first_counts)
{
	ProtobufCMessage *message = json_new(&auth__mint_key__descriptor);
	const Auth__MintKey *mint = (Auth__MintKey *)message;

	cr_assert_eq(json_from_query("scopes=read&label=a+b&scopes=write%20&label=c", message, why),
	             OK);

	cr_assert_eq(mint->n_scopes, 2);
	cr_assert_str_eq(mint->scopes[1], "write ");
	cr_assert_str_eq(mint->label, "a b");
	wire_free(message);
}

Test(json, a_bad_parameter_is_named)
{
	static const struct bad bad[] = {
		{"limit=abc",                   "limit: expected an integer, got \"abc\""             },
		{ "limit=",                     "limit: expected an integer, got \"\""                },
		{ "limit",                      "limit: expected an integer, got \"\""                },
		{ "limit=1.5",                  "limit: expected an integer, got 1.5"                 },
		{ "limit=-1",                   "limit: expected 0 to 4294967295, got -1"             },
		{ "limit=4294967296",           "limit: expected 0 to 4294967295, got 4294967296"     },
		{ "limit=99999999999999999999",
                 "limit: expected an integer, got \"99999999999999999999\""                           },
		{ "limit=0x10",                 "limit: expected an integer, got \"0x10\""            },
		{ "limit=nan",                  "limit: expected an integer, got \"nan\""             },
		{ "limit=1e999",                "limit: expected an integer, got \"1e999\""           },
		{ "limit=5%",                   "limit: expected percent-encoded UTF-8 without U+0000"},
		{ "limit=5%0",                  "limit: expected percent-encoded UTF-8 without U+0000"},
		{ "type=%00",                   "type: expected percent-encoded UTF-8 without U+0000" },
		{ "type=%ff",                   "type: expected percent-encoded UTF-8 without U+0000" },
		{ "from=yesterday",             "from: expected a time such as 2026-04-14T16:41:05.000Z, got "
		                    "\"yesterday\""                },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ProtobufCMessage *message = json_new(&publisher__list_insights__descriptor);

		cr_assert_eq(json_from_query(bad[i].text, message, why), ERR_MALFORMED,
		             "%s was accepted", bad[i].text);
		cr_assert_str_eq(why, bad[i].why);
		wire_free(message);
	}
}

/* ---- writing ---- */

static void assert_json(const ProtobufCMessage *message, const char *expected)
{
	char *text = json_of_message(message);

	cr_assert_str_eq(text, expected);
	mem_free(text);
}

Test(json, every_field_is_present_and_null_when_unset)
{
	Router__Session session = ROUTER__SESSION__INIT;

	session.id = (char *)"0190";
	session.device_id = (char *)"a \"quoted\"\n\x01\\ d\xc3\xa9vice";
	session.device_model_id = (char *)"m";
	session.status = (char *)"open";
	session.started_at = INT64_C(1776184865250);

	assert_json(
	        &session.base,
	        "{\"id\":\"0190\",\"device_id\":\"a \\\"quoted\\\"\\n\\u0001\\\\ d\xc3\xa9vice\","
	        "\"device_model_id\":\"m\",\"status\":\"open\","
	        "\"started_at\":\"2026-04-14T16:41:05.250Z\",\"ended_at\":null}");
}

Test(json, a_key_stands_there_only_when_it_was_just_made)
{
	Auth__Key key = AUTH__KEY__INIT;
	char *scopes[] = { (char *)"read", (char *)"write" };
	char *text;

	key.id = key.label = key.hint = (char *)"x";
	key.metadata = (char *)"{\"a\":1}";
	key.n_scopes = 2;
	key.scopes = scopes;

	assert_json(&key.base,
	            "{\"id\":\"x\",\"label\":\"x\",\"hint\":\"x\",\"scopes\":[\"read\",\"write\"],"
	            "\"device_id\":null,\"external_id\":null,\"metadata\":{\"a\":1},\"rate_limit\":"
	            "null,"
	            "\"disabled\":false,\"minted_by\":null,\"expires_at\":null,"
	            "\"created_at\":\"1970-01-01T00:00:00.000Z\",\"last_used_at\":null,"
	            "\"rotated_to\":null,\"rotates_out_at\":null,\"last_used_address\":null,"
	            "\"last_used_agent\":null,\"limits\":null}");
	key.key = (char *)"raeh_secret";
	key.metadata = (char *)"{\"a\":1";
	text = json_of_message(&key.base);
	cr_assert_not_null(strstr(text, ",\"key\":\"raeh_secret\""));
	cr_assert_not_null(strstr(text, "\"metadata\":null"),
	                   "what is no JSON must not break ours");
	mem_free(text);
}

Test(json, numbers_are_short_and_what_is_no_number_is_null)
{
	static const struct {
		double value;
		const char *text;
	} row[] = {
		{72.4,       "72.4"        },
		{ 100,       "100"         },
		{ -0.0,      "0"           },
		{ 0.1,       "0.1"         },
		{ 1e300,     "1e+300"      },
		{ 1.0 / 3,   "0.3333333333"},
		{ 123456789, "123456789"   },
		{ NAN,       "null"        },
		{ INFINITY,  "null"        },
		{ -2.5,      "-2.5"        },
		{ 1e-7,      "1e-07"       },
	};
	Router__ChannelSpec spec = ROUTER__CHANNEL_SPEC__INIT;

	spec.modality = (char *)"m";
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char *text = xasprintf("{\"id\":null,\"modality\":\"m\",\"sample_rate_hz\":%s,"
		                       "\"bit_depth\":null,\"num_channels\":null}",
		                       row[i].text);

		spec.sample_rate_hz = row[i].value;
		assert_json(&spec.base, text);
		mem_free(text);
	}
}

Test(json, a_list_is_a_bare_array)
{
	Publisher__Insight insight = PUBLISHER__INSIGHT__INIT;
	Publisher__Insight *items[] = { &insight, &insight };
	Publisher__InsightList list = PUBLISHER__INSIGHT_LIST__INIT;
	const char *one = "{\"type\":\"hr\",\"value\":72.4,\"unit\":\"bpm\",\"ts\":1760000000000,"
	                  "\"session_id\":\"s\",\"device_id\":\"d\",\"confidence\":0.87,"
	                  "\"sqi_class\":\"excellent\",\"id\":\"i\",\"t\":5000}";
	char *both = xasprintf("[%s,%s]", one, one);

	assert_json(&list.base, "[]");
	insight.type = (char *)"hr";
	insight.value = 72.4;
	insight.unit = (char *)"bpm";
	insight.ts = INT64_C(1760000000000);
	insight.session_id = (char *)"s";
	insight.device_id = (char *)"d";
	insight.confidence = 0.87;
	insight.sqi_class = (char *)"excellent";
	insight.id = (char *)"i";
	insight.t = 5000;
	list.n_items = 2;
	list.items = items;

	assert_json(&list.base, both);
	mem_free(both);
}

Test(json, a_model_is_whole_with_its_channels_and_a_calibration_or_null)
{
	double calibration[] = { 110, -25, 0 };
	Router__DeviceModel model = ROUTER__DEVICE_MODEL__INIT;
	Router__ModalityChannel channel = ROUTER__MODALITY_CHANNEL__INIT;
	Router__ModalityChannel *channels[] = { &channel };

	model.id = model.name = model.description = model.firmware_version = (char *)"";
	assert_json(&model.base,
	            "{\"id\":\"\",\"name\":\"\",\"description\":\"\",\"firmware_version\":\"\","
	            "\"modality_channels\":[],\"spo2_calibration\":null,"
	            "\"created_at\":\"1970-01-01T00:00:00.000Z\","
	            "\"updated_at\":\"1970-01-01T00:00:00.000Z\"}");
	channel.id = channel.modality = (char *)"c";
	channel.sample_rate_hz = 62.5;
	channel.bit_depth = 16;
	channel.num_channels = 1;
	model.n_modality_channels = 1;
	model.modality_channels = channels;
	model.n_spo2_calibration = 3;
	model.spo2_calibration = calibration;
	assert_json(
	        &model.base,
	        "{\"id\":\"\",\"name\":\"\",\"description\":\"\",\"firmware_version\":\"\","
	        "\"modality_channels\":[{\"id\":\"c\",\"modality\":\"c\",\"sample_rate_hz\":62.5,"
	        "\"bit_depth\":16,\"num_channels\":1}],\"spo2_calibration\":[110,-25,0],"
	        "\"created_at\":\"1970-01-01T00:00:00.000Z\","
	        "\"updated_at\":\"1970-01-01T00:00:00.000Z\"}");
}

Test(json, objects_in_objects_are_written_and_bytes_are_not)
{
	Auth__Receipt receipt = AUTH__RECEIPT__INIT;
	Auth__SocketsClosed sockets = AUTH__SOCKETS_CLOSED__INIT;
	Auth__Notice notice = AUTH__NOTICE__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;

	sockets.ingest = 3;
	receipt.sockets_closed = &sockets;
	assert_json(&receipt.base,
	            "{\"revoked_at\":\"1970-01-01T00:00:00.000Z\","
	            "\"sockets_closed\":{\"ingest\":3,\"subscribe\":0},\"edges_acked\":0,"
	            "\"edges_total\":0,\"elapsed_ms\":0,\"id\":null,\"children\":[],\"cascaded\":"
	            "null}");
	notice.number = UINT64_MAX;
	notice.reason = (char *)"revoked";
	assert_json(&notice.base,
	            "{\"number\":18446744073709551615,\"reason\":\"revoked\",\"rights\":null}");
	assert_json(&empty.base, "{}");
}

Test(json, a_string_is_quoted_behind_what_the_buffer_holds)
{
	struct buf buf = { 0 };

	buf_append(&buf, "{\"a\":", 5);
	json_append_string(&buf, "\t\"/\x7f");
	buf_append(&buf, "}", 2);

	cr_assert_str_eq((char *)buf.data, "{\"a\":\"\\t\\\"/\x7f\"}");
	buf_free(&buf);
}
