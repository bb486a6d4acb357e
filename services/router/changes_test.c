#include "services/router/model.h"
#include "services/router/world.h"

TestSuite(changes, .init = setup, .fini = teardown);

static struct question *send_update(const struct user *user, Router__UpdateModel *update)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;

	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_MODEL;
	request.update_model = update;
	return send_as(user, &request);
}

static Router__RouterReply *rename_to(const struct user *user, const char *id, const char *name)
{
	Router__UpdateModel update = ROUTER__UPDATE_MODEL__INIT;

	update.id = (char *)id;
	update.name = (char *)name;
	return reply_to(send_update(user, &update));
}

static Router__RouterReply *add_channel(const struct user *user, const char *id,
                                        const char *modality, double rate_hz, uint8_t op)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__AddChannel add = ROUTER__ADD_CHANNEL__INIT;
	const struct uuid op_id = { { op } };

	add.id = (char *)id;
	add.modality = (char *)modality;
	add.sample_rate_hz = rate_hz;
	request.has_op_id = op != 0;
	request.op_id = wire_bytes_of(&op_id);
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_ADD_CHANNEL;
	request.add_channel = &add;
	return ask_as(user, &request);
}

static Router__RouterReply *update_channel(const struct user *user, Router__UpdateChannel *update)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;

	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_UPDATE_CHANNEL;
	request.update_channel = update;
	return ask_as(user, &request);
}

static Router__RouterReply *delete_channel(const struct user *user, const char *id,
                                           const char *ch_id)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__DeleteChannel delete = ROUTER__DELETE_CHANNEL__INIT;

	delete.id = (char *)id;
	delete.ch_id = (char *)ch_id;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_DELETE_CHANNEL;
	request.delete_channel = &delete;
	return ask_as(user, &request);
}

static Router__RouterReply *list_channels(const struct user *user, const char *id)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__ListChannels list = ROUTER__LIST_CHANNELS__INIT;

	list.id = (char *)id;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_LIST_CHANNELS;
	request.list_channels = &list;
	return ask_as(user, &request);
}

/* The id of the model's channel number i. */
static void channel_id(const char *id, size_t i, char ret[UUID_TEXT])
{
	Router__RouterReply *reply = list_channels(&alice, id);

	cr_assert_null(reply->error);
	cr_assert_lt(i, reply->channels->n_items);
	memcpy(ret, reply->channels->items[i]->id, UUID_TEXT);
	DONE_WITH(reply);
}

static void assert_modalities(const char *id, const char *expected)
{
	Router__RouterReply *reply = list_channels(&alice, id);
	char got[256] = "";

	cr_assert_null(reply->error);
	for (size_t i = 0; i < reply->channels->n_items; i++) {
		(void)strncat(got, reply->channels->items[i]->modality, 64);
		(void)strncat(got, " ", 2);
	}
	cr_assert_str_eq(got, expected);
	DONE_WITH(reply);
}

static void assert_done(Router__RouterReply *reply)
{
	cr_assert_null(reply->error, "%s", reply->error ? reply->error->detail : "");
	cr_assert_eq(reply->result_case, ROUTER__ROUTER_REPLY__RESULT_DONE);
	DONE_WITH(reply);
}

Test(changes, what_is_given_replaces_and_the_rest_stays)
{
	Router__UpdateModel update = ROUTER__UPDATE_MODEL__INIT;
	Router__ChannelSpec specs[] = { channel("ppg_ir", 200), channel("temperature", 1) };
	Router__ChannelSpec *places[] = { &specs[0], &specs[1] };
	char id[UUID_TEXT], first[UUID_TEXT];
	Router__RouterReply *reply;

	given_model(&alice, "Watch", 2, id);
	channel_id(id, 0, first);
	pass(10);
	update.id = id;
	update.firmware_version = (char *)"2.0";
	update.modality_channels = places;
	update.n_modality_channels = 2;
	specs[0].id = first;

	reply = reply_to(send_update(&alice, &update));

	cr_assert_null(reply->error, "%s", reply->error ? reply->error->detail : "");
	cr_assert_str_eq(reply->model->id, id);
	cr_assert_str_eq(reply->model->name, "Watch");
	cr_assert_str_eq(reply->model->firmware_version, "2.0");
	cr_assert_gt(reply->model->updated_at, reply->model->created_at);
	cr_assert_eq(reply->model->n_modality_channels, 3);
	cr_assert_str_eq(reply->model->modality_channels[0]->id, first);
	cr_assert_eq(reply->model->modality_channels[0]->sample_rate_hz, 200);
	DONE_WITH(reply);
	assert_modalities(id, "ppg_ir acc_3axis temperature ");
	restart();
	assert_modalities(id, "ppg_ir acc_3axis temperature ");
}

Test(changes, a_model_is_renamed_to_a_free_name_and_its_old_name_is_free_again)
{
	char id[UUID_TEXT], other[UUID_TEXT];

	given_model(&alice, "Watch", 1, id);
	given_model(&alice, "Ring", 1, other);

	assert_error(rename_to(&alice, id, "Ring"), 409, 0,
	             "name: a device model \"Ring\" exists already");
	DONE_WITH(rename_to(&alice, id, "Watch"));
	DONE_WITH(rename_to(&alice, id, "Watch 2"));
	DONE_WITH(rename_to(&alice, other, "Watch"));
	assert_error(rename_to(&alice, id, "Watch"), 409, 0, NULL);
	assert_error(rename_to(&alice, id, ""), 400, 0,
	             "name: expected 1 to 128 characters, got 0");
}

Test(changes, two_renames_at_once_do_not_get_the_same_name)
{
	Router__UpdateModel first = ROUTER__UPDATE_MODEL__INIT, second = ROUTER__UPDATE_MODEL__INIT;
	char id[UUID_TEXT], other[UUID_TEXT];
	struct question *one, *two;
	Router__RouterReply *reply;

	given_model(&alice, "Watch", 1, id);
	given_model(&alice, "Ring", 1, other);
	router_set_faults(world.router, 50, 2);
	first.id = id;
	second.id = other;
	first.name = second.name = (char *)"Band";

	one = send_update(&alice, &first);
	two = send_update(&alice, &second);

	reply = reply_to(one);
	cr_assert_null(reply->error);
	DONE_WITH(reply);
	assert_error(reply_to(two), 409, 0, "name: a device model \"Band\" exists already");
}

Test(changes, a_removed_channels_slot_is_never_used_again)
{
	char id[UUID_TEXT], first[UUID_TEXT], last[UUID_TEXT];
	struct device device = { id, "d", 0, 1 };
	struct uuid session;
	Router__RouterReply *reply;

	given_model(&alice, "Watch", 2, id);
	channel_id(id, 1, last);
	channel_id(id, 0, first);

	assert_done(delete_channel(&alice, id, last));
	reply = add_channel(&alice, id, "ppg_red", 50, 0);
	cr_assert_null(reply->error);
	cr_assert_str_eq(reply->channel->modality, "ppg_red");
	cr_assert_eq(reply->channel->bit_depth, 16);
	DONE_WITH(reply);
	assert_done(delete_channel(&alice, id, first));
	restart();

	session = session_id(&alice, &device, 1);
	reply = open_session(&alice, &device, &session);
	cr_assert_eq(reply->session_opened->n_slots, 1);
	cr_assert_eq(reply->session_opened->slots[0]->slot_id, 2);
	cr_assert_str_eq(reply->session_opened->slots[0]->modality, "ppg_red");
	DONE_WITH(reply);
	assert_error(delete_channel(&alice, id, first), 404, 0, "no such modality channel");
}

static Router__RouterReply *open_next(const struct device *device, uint32_t n)
{
	struct uuid session = session_id(&alice, device, n);
	Router__RouterReply *reply = open_session(&alice, device, &session);

	cr_assert_null(reply->error);
	return reply;
}

Test(changes, each_opening_has_the_model_as_it_is_by_then)
{
	char id[UUID_TEXT], first[UUID_TEXT];
	struct device device = { id, "d", 0, 1 };
	Router__UpdateChannel update = ROUTER__UPDATE_CHANNEL__INIT;
	Router__RouterReply *reply;

	given_model(&alice, "Watch", 1, id);
	channel_id(id, 0, first);
	reply = open_next(&device, 1);
	cr_assert_eq(reply->session_opened->n_slots, 1);
	DONE_WITH(reply);

	reply = add_channel(&alice, id, "ppg_red", 50, 0);
	DONE_WITH(reply);
	reply = open_next(&device, 2);
	cr_assert_eq(reply->session_opened->n_slots, 2);
	DONE_WITH(reply);

	update.id = id;
	update.ch_id = first;
	update.has_sample_rate_hz = 1;
	update.sample_rate_hz = 200;
	reply = update_channel(&alice, &update);
	DONE_WITH(reply);
	reply = open_next(&device, 3);
	cr_assert_eq(reply->session_opened->slots[0]->sample_rate_hz, 200);
	DONE_WITH(reply);

	assert_done(delete_channel(&alice, id, first));
	reply = open_next(&device, 4);
	cr_assert_eq(reply->session_opened->n_slots, 1);
	cr_assert_eq(reply->session_opened->slots[0]->slot_id, 1);
	DONE_WITH(reply);
}

Test(changes, every_edge_is_told_which_slot_has_ended)
{
	char id[UUID_TEXT], last[UUID_TEXT];
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	const Events__RouterBroadcast *broadcast;
	struct uuid model;
	size_t before;

	given_model(&alice, "Watch", 2, id);
	channel_id(id, 1, last);
	before = world.n_events;

	assert_done(delete_channel(&alice, id, last));

	cr_assert_eq(world.n_events, before + 1);
	message = wire_unpack(&events__router_broadcast__descriptor,
	                      BYTES(world.event[before].data, world.event[before].len));
	broadcast = (const Events__RouterBroadcast *)message;
	cr_assert_not_null(broadcast->slots_ended);
	cr_assert(uuid_parse(id, &model));
	cr_assert_arr_eq(broadcast->slots_ended->account.data, alice.account.byte, 16);
	cr_assert_arr_eq(broadcast->slots_ended->model.data, model.byte, 16);
	cr_assert_eq(broadcast->slots_ended->n_slots, 1);
	cr_assert_eq(broadcast->slots_ended->slots[0], 1);
}

/* The slots that an edge is told have ended, when it is asked what it has; 0: it is not asked. */
static size_t ended_told(struct request *request, uint32_t *ret_slot)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&edge__edge_request__descriptor,
	                                        BYTES(request->bytes.data, request->bytes.len));
	const Edge__EdgeRequest *asks = (const Edge__EdgeRequest *)message;

	cr_assert_eq(asks->command_case, EDGE__EDGE_REQUEST__COMMAND_OPEN_SESSIONS);
	if (asks->n_slots_ended == 0)
		return 0;
	*ret_slot = asks->slots_ended[0]->slots[0];
	return asks->slots_ended[0]->n_slots;
}

Test(changes, a_lost_broadcast_of_an_ended_slot_is_repaired_by_the_next_round_and_a_restart)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__LiveEdges live = AUTH__LIVE_EDGES__INIT;
	Auth__LiveEdge edge = AUTH__LIVE_EDGE__INIT, *edges[] = { &edge };
	char id[UUID_TEXT], last[UUID_TEXT];
	const struct device device = { id, "watch", 0, 1 };
	struct uuid incarnation = { { 1 } };
	uint32_t slot = 99;

	given_model(&alice, "Watch", 2, id);
	(void)given_session(&alice, &device);
	channel_id(id, 1, last);
	assert_done(delete_channel(&alice, id, last));

	edge.incarnation = wire_bytes_of(&incarnation);
	live.n_edges = 1;
	live.edges = edges;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_LIVE_EDGES;
	reply.live_edges = &live;
	for (int again = 0; again < 2; again++) {
		if (again)
			restart();
		for (int ms = 0; ms < 10000 && !asked("auth"); ms++)
			pass(1);
		answer_request(asked("auth"), OK, &reply.base);
		cr_assert_eq(ended_told(asked("edge-0"), &slot), 1);
		cr_assert_eq(slot, 1);
	}
}

Test(changes, a_channel_added_twice_by_one_command_is_there_once_after_a_restart_too)
{
	char id[UUID_TEXT];
	Router__RouterReply *first, *again;

	given_model(&alice, "Watch", 1, id);
	first = add_channel(&alice, id, "ppg_red", 50, 9);
	cr_assert_null(first->error);
	restart();

	again = add_channel(&alice, id, "ppg_red", 50, 9);

	cr_assert_null(again->error);
	cr_assert_str_eq(again->channel->id, first->channel->id);
	DONE_WITH(again);
	DONE_WITH(first);
	assert_modalities(id, "ppg_green ppg_red ");
}

Test(changes, a_channel_is_changed_where_it_stands)
{
	Router__UpdateChannel update = ROUTER__UPDATE_CHANNEL__INIT;
	char id[UUID_TEXT], ch_id[UUID_TEXT];
	Router__RouterReply *reply;

	given_model(&alice, "Watch", 2, id);
	channel_id(id, 1, ch_id);
	update.id = id;
	update.ch_id = ch_id;
	update.has_bit_depth = 1;
	update.bit_depth = 24;

	reply = update_channel(&alice, &update);

	cr_assert_null(reply->error);
	cr_assert_eq(reply->channel->bit_depth, 24);
	cr_assert_str_eq(reply->channel->modality, "acc_3axis");
	cr_assert_eq(reply->channel->num_channels, 3);
	DONE_WITH(reply);
	update.bit_depth = 33;
	assert_error(update_channel(&alice, &update), 400, 0,
	             "bit_depth: expected 1 to 32, got 33");
	update.ch_id = (char *)"garbage";
	assert_error(update_channel(&alice, &update), 404, 0, "no such modality channel");
}

static unsigned add_to(Events__ModelRow *row, uint64_t number, char why[MODEL_WHY])
{
	Router__AddChannel add = ROUTER__ADD_CHANNEL__INIT;

	add.modality = (char *)"x";
	add.sample_rate_hz = 1;
	return model_add_channel(row, &add, 1, number, why);
}

Test(changes, a_model_has_at_most_64_channels_and_256_slots_in_its_life)
{
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	const struct uuid id = { { 1 } };
	Events__ModelRow *row;
	char why[MODEL_WHY];
	uint32_t slot;

	create.name = (char *)"Watch";
	row = model_new(&create, &id, 1);
	for (unsigned i = 0; i < 256; i++) {
		if (i >= 64) {
			cr_assert_eq(add_to(row, i, why), 400);
			cr_assert_str_eq(
			        why, "modality_channels: a device model has at most 64 of them");
			cr_assert_eq(model_delete_channel(row, row->model->modality_channels[0]->id,
			                                  &slot, why),
			             0);
			cr_assert_eq(slot, i - 64);
		}
		cr_assert_eq(add_to(row, i, why), 0);
	}
	cr_assert_eq(model_delete_channel(row, row->model->modality_channels[9]->id, &slot, why),
	             0);
	cr_assert_eq(add_to(row, 256, why), 409);
	cr_assert_str_eq(why, "the 256 slots of this device model are used up: make a new one");
	wire_free(&row->base);
}

Test(changes, another_accounts_models_answer_as_ones_never_made)
{
	char id[UUID_TEXT], ch_id[UUID_TEXT];
	struct user bound = alice;

	given_model(&alice, "Watch", 1, id);
	channel_id(id, 0, ch_id);
	bound.device_id = "d";

	assert_error(rename_to(&bob, id, "Mine"), 404, 0, "no such device model");
	assert_error(list_channels(&bob, id), 404, 0, "no such device model");
	assert_error(add_channel(&bob, id, "x", 1, 0), 404, 0, "no such device model");
	assert_error(delete_channel(&bob, id, ch_id), 404, 0, "no such device model");
	assert_error(delete_channel(&bob, "garbage", ch_id), 404, 0, "no such device model");
	assert_error(rename_to(&bound, id, "x"), 403, 0, NULL);
	assert_error(list_channels(&bound, id), 404, 0, NULL);
	assert_modalities(id, "ppg_green ");
}
