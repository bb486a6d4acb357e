#include "services/router/world.h"

#include <math.h>

TestSuite(models, .init = setup, .fini = teardown);

static Router__RouterReply *get_model(const struct user *user, const char *id)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__GetModel get = ROUTER__GET_MODEL__INIT;

	get.id = (char *)id;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_GET_MODEL;
	request.get_model = &get;
	return ask_as(user, &request);
}

static Router__RouterReply *list_models(const struct user *user, bool has_limit, uint32_t limit)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__ListModels list = ROUTER__LIST_MODELS__INIT;

	list.has_limit = has_limit;
	list.limit = limit;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_LIST_MODELS;
	request.list_models = &list;
	return ask_as(user, &request);
}

static struct question *send_delete(const struct user *user, const char *id, uint8_t op)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__DeleteModel delete = ROUTER__DELETE_MODEL__INIT;
	const struct uuid op_id = { { op } };

	delete.id = (char *)id;
	request.has_op_id = op != 0;
	request.op_id = wire_bytes_of(&op_id);
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_DELETE_MODEL;
	request.delete_model = &delete;
	return send_as(user, &request);
}

static void assert_done(Router__RouterReply *reply)
{
	cr_assert_null(reply->error, "%s", reply->error ? reply->error->detail : "");
	cr_assert_eq(reply->result_case, ROUTER__ROUTER_REPLY__RESULT_DONE);
	DONE_WITH(reply);
}

/* ---- creating ---- */

Test(models, a_created_model_is_whole_and_is_found_again)
{
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	Router__ChannelSpec specs[] = { channel("ppg_green", 100), channel("acc_3axis", 0.1),
		                        channel("x_9", 10000) };
	Router__ChannelSpec *places[] = { &specs[0], &specs[1], &specs[2] };
	double calibration[] = { 110, -25, 0 };
	Router__RouterReply *reply, *again;
	struct uuid id;

	create.name = (char *)"Watch";
	create.modality_channels = places;
	create.n_modality_channels = 3;
	create.spo2_calibration = calibration;
	create.n_spo2_calibration = 3;
	specs[2].has_bit_depth = specs[2].has_num_channels = 1;
	specs[2].bit_depth = 32;
	specs[2].num_channels = 16;

	reply = create_model(&alice, &create, 0);

	cr_assert_null(reply->error);
	cr_assert(uuid_parse(reply->model->id, &id));
	cr_assert_eq(uuid_ms(&id), reply->model->created_at);
	cr_assert_eq(reply->model->updated_at, reply->model->created_at);
	cr_assert_str_eq(reply->model->name, "Watch");
	cr_assert_str_eq(reply->model->description, "");
	cr_assert_str_eq(reply->model->firmware_version, "");
	cr_assert_eq(reply->model->n_spo2_calibration, 3);
	cr_assert_eq(reply->model->n_modality_channels, 3);
	for (int i = 0; i < 3; i++)
		cr_assert(uuid_parse(reply->model->modality_channels[i]->id, &id));
	cr_assert_eq(reply->model->modality_channels[0]->bit_depth, 16);
	cr_assert_eq(reply->model->modality_channels[0]->num_channels, 1);
	cr_assert_eq(reply->model->modality_channels[1]->num_channels, 3);
	cr_assert_eq(reply->model->modality_channels[2]->bit_depth, 32);
	cr_assert_eq(reply->model->modality_channels[2]->num_channels, 16);
	again = get_model(&alice, reply->model->id);
	cr_assert_eq(protobuf_c_message_get_packed_size(&again->model->base),
	             protobuf_c_message_get_packed_size(&reply->model->base));
	DONE_WITH(again);
	DONE_WITH(reply);
}

struct bad_channel {
	const char *modality;
	double rate_hz;
	uint32_t bit_depth, num_channels;
	const char *why;
};

Test(models, a_bad_channel_is_refused_with_its_place_the_range_and_what_came)
{
	static const struct bad_channel bad[] = {
		{"ppg",		                                                                        0,        16, 1,
                 "modality_channels[1].sample_rate_hz: expected 0.1 to 10000, got 0"		                                                                                          },
		{ "ppg",		                                                                       0.09,     16, 1,
                 "modality_channels[1].sample_rate_hz: expected 0.1 to 10000, got 0.09"		                                                                                       },
		{ "ppg",		                                                                       10000.5,  16, 1,
                 "modality_channels[1].sample_rate_hz: expected 0.1 to 10000, got 10000.5"		                                                                                    },
		{ "ppg",		                                                                       NAN,      16, 1,  NULL		                                         },
		{ "ppg",		                                                                       INFINITY, 16, 1,  NULL		                                         },
		{ "ppg",		                                                                       1,        0,  1,  "modality_channels[1].bit_depth: expected 1 to 32, got 0"    },
		{ "ppg",		                                                                       1,        33, 1,  "modality_channels[1].bit_depth: expected 1 to 32, got 33"   },
		{ "ppg",		                                                                       1,        16, 0,  "modality_channels[1].num_channels: expected 1 to 16, got 0" },
		{ "ppg",		                                                                       1,        16, 17, "modality_channels[1].num_channels: expected 1 to 16, got 17"},
		{ "",		                                                                          1,        16, 1,  NULL		                                         },
		{ "PPG",		                                                                       1,        16, 1,
                 "modality_channels[1].modality: expected 1 to 32 characters of a-z, 0-9 and _, "
		  "got \"PPG\""		                                                                                                                                               },
		{ "ppg-green",		                                                                 1,        16, 1,  NULL		                                         },
		{ "abcdefghijklmnopqrstuvwxyz0123456",		                                         1,        16, 1,  NULL                                                         },
		{ "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		  "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 1,        16, 1,  NULL		                                         },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
		Router__ChannelSpec specs[] = { channel("ppg_green", 100),
			                        channel(bad[i].modality, bad[i].rate_hz) };
		Router__ChannelSpec *places[] = { &specs[0], &specs[1] };

		specs[1].has_bit_depth = specs[1].has_num_channels = 1;
		specs[1].bit_depth = bad[i].bit_depth;
		specs[1].num_channels = bad[i].num_channels;
		create.name = (char *)"Watch";
		create.modality_channels = places;
		create.n_modality_channels = 2;
		assert_error(create_model(&alice, &create, 0), 400, 0, bad[i].why);
	}
}

static char *repeated(const char *text, size_t n)
{
	struct buf buf = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_append(&buf, text, strlen(text));
	buf_append(&buf, "", 1);
	return (char *)buf.data;
}

Test(models, texts_are_counted_in_characters_not_in_bytes)
{
	char *fits = repeated("\xf0\x9f\x98\x80", 128), *long_name = repeated("n", 129);
	char *long_text = repeated("\xc3\xa9", 1025);
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;

	create.name = (char *)"";
	assert_error(create_model(&alice, &create, 0), 400, 0,
	             "name: expected 1 to 128 characters, got 0");
	create.name = long_name;
	assert_error(create_model(&alice, &create, 0), 400, 0,
	             "name: expected 1 to 128 characters, got 129");
	create.name = fits;
	create.description = long_text;
	assert_error(create_model(&alice, &create, 0), 400, 0,
	             "description: expected 0 to 1024 characters, got 1025");
	create.description = NULL;
	create.firmware_version = long_name;
	assert_error(create_model(&alice, &create, 0), 400, 0,
	             "firmware_version: expected 0 to 128 characters, got 129");
	create.firmware_version = NULL;
	DONE_WITH(create_model(&alice, &create, 0));
	assert_error(create_model(&alice, &create, 0), 409, 0, NULL);
	mem_free(fits);
	mem_free(long_name);
	mem_free(long_text);
}

Test(models, a_calibration_is_none_or_three_finite_numbers)
{
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	double calibration[] = { 1, NAN, 3, 4 };

	create.name = (char *)"Watch";
	create.spo2_calibration = calibration;
	create.n_spo2_calibration = 2;
	assert_error(create_model(&alice, &create, 0), 400, 0,
	             "spo2_calibration: expected 3 numbers, got 2");
	create.n_spo2_calibration = 4;
	assert_error(create_model(&alice, &create, 0), 400, 0, NULL);
	create.n_spo2_calibration = 3;
	assert_error(create_model(&alice, &create, 0), 400, 0, NULL);
}

Test(models, a_model_has_64_channels_at_most)
{
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	Router__ChannelSpec spec = channel("ppg", 1), *places[65];

	for (int i = 0; i < 65; i++)
		places[i] = &spec;
	create.name = (char *)"Watch";
	create.modality_channels = places;
	create.n_modality_channels = 65;
	assert_error(create_model(&alice, &create, 0), 400, 0,
	             "modality_channels: expected at most 64, got 65");
	create.n_modality_channels = 64;
	DONE_WITH(create_model(&alice, &create, 0));
}

Test(models, a_name_is_taken_once_in_an_account)
{
	char id[UUID_TEXT], again[UUID_TEXT];
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;

	given_model(&alice, "Watch", 1, id);
	create.name = (char *)"Watch";
	assert_error(create_model(&alice, &create, 0), 409, 0,
	             "name: a device model \"Watch\" exists already");
	given_model(&bob, "Watch", 1, again);
	assert_done(reply_to(send_delete(&alice, id, 0)));
	given_model(&alice, "Watch", 1, again);
}

Test(models, two_uncommitted_models_of_one_name_become_one)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	struct question *first, *second;
	Router__RouterReply *reply;

	router_set_faults(world.router, 50, 3);
	create.name = (char *)"Watch";
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_CREATE_MODEL;
	request.create_model = &create;

	first = send_as(&alice, &request);
	second = send_as(&alice, &request);

	reply = reply_to(first);
	cr_assert_null(reply->error);
	DONE_WITH(reply);
	assert_error(reply_to(second), 409, 0, NULL);
}

Test(models, a_repeated_create_gets_the_first_answer_also_after_a_restart)
{
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	Router__RouterReply *first, *again, *later;

	create.name = (char *)"Watch";
	first = create_model(&alice, &create, 7);
	again = create_model(&alice, &create, 7);
	restart();
	later = create_model(&alice, &create, 7);

	cr_assert_null(again->error);
	cr_assert_null(later->error);
	cr_assert_str_eq(again->model->id, first->model->id);
	cr_assert_str_eq(later->model->id, first->model->id);
	DONE_WITH(first);
	DONE_WITH(again);
	DONE_WITH(later);
	assert_error(create_model(&alice, &create, 8), 409, 0, NULL);
	DONE_WITH(create_model(&bob, &create, 7));
}

/* ---- rights ---- */

Test(models, each_command_asks_for_its_scope)
{
	char id[UUID_TEXT];
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	struct user reader = alice, writer = alice;

	given_model(&alice, "Watch", 1, id);
	create.name = (char *)"Other";
	reader.scopes = SCOPE_READ;
	writer.scopes = SCOPE_WRITE;

	assert_error(create_model(&reader, &create, 0), 403, 4001, NULL);
	assert_error(reply_to(send_delete(&reader, id, 0)), 403, 4001, NULL);
	assert_error(get_model(&writer, id), 403, 4001, NULL);
	assert_error(list_models(&writer, false, 0), 403, 4001, NULL);
	assert_error(get_model(NULL, id), 401, 4001, NULL);
	DONE_WITH(get_model(&reader, id));
}

Test(models, another_accounts_model_answers_as_one_that_was_never_made)
{
	char id[UUID_TEXT];
	static const char *const ids[] = { "0190f0f0-0000-7000-8000-000000000000", "garbage", "" };
	Router__RouterReply *reply;

	given_model(&alice, "Watch", 1, id);

	assert_error(get_model(&bob, id), 404, 0, "no such device model");
	assert_error(reply_to(send_delete(&bob, id, 0)), 404, 0, "no such device model");
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		assert_error(get_model(&bob, ids[i]), 404, 0, "no such device model");
		assert_error(reply_to(send_delete(&bob, ids[i], 0)), 404, 0,
		             "no such device model");
	}
	reply = list_models(&bob, false, 0);
	cr_assert_eq(reply->models->n_items, 0);
	DONE_WITH(reply);
	DONE_WITH(get_model(&alice, id));
}

Test(models, a_key_of_one_device_sees_only_its_devices_models_and_changes_none)
{
	char own[UUID_TEXT], other[UUID_TEXT];
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	struct user bound = alice;
	struct device device = { own, "d", 0, 1 };
	Router__RouterReply *reply;

	bound.device_id = "d";
	given_model(&alice, "own", 1, own);
	given_model(&alice, "other", 1, other);
	(void)given_session(&bound, &device);

	DONE_WITH(get_model(&bound, own));
	assert_error(get_model(&bound, other), 404, 0, "no such device model");
	reply = list_models(&bound, false, 0);
	cr_assert_eq(reply->models->n_items, 1);
	cr_assert_str_eq(reply->models->items[0]->id, own);
	DONE_WITH(reply);
	create.name = (char *)"x";
	assert_error(create_model(&bound, &create, 0), 403, 0, NULL);
	assert_error(reply_to(send_delete(&bound, other, 0)), 403, 0, NULL);
}

/* ---- lists ---- */

Test(models, lists_give_the_newest_first_whole_or_up_to_a_limit)
{
	char id[70][UUID_TEXT];
	Router__RouterReply *reply;

	for (int i = 0; i < 70; i++) {
		char name[16];

		(void)snprintf(name, sizeof name, "m%d", i);
		given_model(&alice, name, 3, id[i]);
		pass(2);
	}

	reply = list_models(&alice, false, 0);
	cr_assert_eq(reply->models->n_items, 70);
	for (int i = 0; i < 70; i++)
		cr_assert_str_eq(reply->models->items[i]->id, id[69 - i]);
	DONE_WITH(reply);
	reply = list_models(&alice, true, 2);
	cr_assert_eq(reply->models->n_items, 2);
	cr_assert_str_eq(reply->models->items[1]->id, id[68]);
	DONE_WITH(reply);
	assert_error(list_models(&alice, true, 0), 400, 0, "limit: expected 1 or more, got 0");
}

/* ---- deleting ---- */

Test(models, a_model_that_a_device_refers_to_is_not_deleted)
{
	char id[UUID_TEXT];
	struct device device = { id, "d", 0, 1 };
	struct uuid session;

	given_model(&alice, "Watch", 1, id);
	session = given_session(&alice, &device);

	assert_error(reply_to(send_delete(&alice, id, 0)), 409, 0,
	             "a device refers to this device model");
	DONE_WITH(reply_to(send_close(&alice, &session, 1000)));
	assert_error(reply_to(send_delete(&alice, id, 0)), 409, 0, NULL);
}

Test(models, a_repeated_delete_gets_the_first_answer)
{
	char id[UUID_TEXT];

	given_model(&alice, "Watch", 1, id);

	assert_done(reply_to(send_delete(&alice, id, 9)));
	assert_done(reply_to(send_delete(&alice, id, 9)));
	assert_error(reply_to(send_delete(&alice, id, 10)), 404, 0, "no such device model");
	assert_error(get_model(&alice, id), 404, 0, NULL);
}

Test(models, a_delete_is_refused_while_a_first_device_is_being_opened)
{
	char id[UUID_TEXT];
	struct device device = { id, "d", 0, 1 };
	struct question *open, *delete;
	struct uuid session;
	Router__RouterReply *reply;

	given_model(&alice, "Watch", 1, id);
	router_set_faults(world.router, 100, 0);
	session = session_id(&alice, &device, 1);

	open = send_open(&alice, &device, &session);
	delete = send_delete(&alice, id, 0);

	assert_error(reply_to(delete), 409, 0, NULL);
	reply = reply_to(open);
	cr_assert_null(reply->error);
	DONE_WITH(reply);
}

Test(models, an_opening_waits_outside_while_its_model_is_being_deleted)
{
	char id[UUID_TEXT];
	struct device device = { id, "d", 0, 1 };
	struct question *open, *delete;
	struct uuid session;

	given_model(&alice, "Watch", 1, id);
	router_set_faults(world.router, 100, 0);
	session = session_id(&alice, &device, 1);

	delete = send_delete(&alice, id, 0);
	open = send_open(&alice, &device, &session);

	assert_error(reply_to(open), 503, 1013, NULL);
	assert_done(reply_to(delete));
	assert_error(open_session(&alice, &device, &session), 404, 4004, NULL);
}

Test(models, what_was_committed_is_there_after_a_crash)
{
	char id[UUID_TEXT];

	given_model(&alice, "Watch", 2, id);

	restart();

	DONE_WITH(get_model(&alice, id));
}
