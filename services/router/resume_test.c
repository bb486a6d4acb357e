/* A session goes on with another connection. */
#include "services/router/world.h"

TestSuite(resume, .init = setup, .fini = teardown);

static struct device a_device(const char *model, uint8_t incarnation)
{
	return (struct device){ model, "xyz-watch-a3b5", 0, incarnation };
}

static Router__RouterReply *resume(const struct user *user, const struct device *device,
                                   const struct uuid *session, uint8_t attempt)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__OpenSession open = ROUTER__OPEN_SESSION__INIT;
	const struct uuid incarnation = { { device->incarnation } }, id = { { attempt } };

	open.session = wire_bytes_of(session);
	open.device_model_id = (char *)device->model;
	open.device_id = (char *)device->id;
	open.edge_slot = device->edge_slot;
	open.edge_incarnation = wire_bytes_of(&incarnation);
	open.has_resume = 1;
	open.resume = wire_bytes_of(&id);
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_OPEN_SESSION;
	request.open_session = &open;
	return ask_as(user, &request);
}

static void close_at(const struct user *user, const struct uuid *session, uint64_t epoch)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__CloseSession close = ROUTER__CLOSE_SESSION__INIT;
	Router__RouterReply *reply;

	close.account = wire_bytes_of(&user->account);
	close.session = wire_bytes_of(session);
	close.close_code = 1006;
	close.close_reason = (char *)"";
	close.has_epoch = 1;
	close.epoch = epoch;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_CLOSE_SESSION;
	request.close_session = &close;
	reply = reply_to(send_as(NULL, &request));
	cr_assert_null(reply->error);
	DONE_WITH(reply);
}

static void assert_resumed(Router__RouterReply *reply, uint64_t epoch)
{
	cr_assert_null(reply->error, "%s", reply->error ? reply->error->detail : "");
	cr_assert_eq(reply->session_opened->epoch, epoch);
	cr_assert_eq(reply->session_opened->n_slots, 1);
	DONE_WITH(reply);
}

Test(resume, opens_a_closed_session_again_and_counts_how_often)
{
	char model[UUID_TEXT];
	struct device device = a_device(model, 1), other = a_device(model, 2);
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	id = given_session(&alice, &device);
	close_at(&alice, &id, 0);
	assert_status(&alice, &id, "closed");
	assert_resumed(resume(&alice, &other, &id, 1), 1);
	assert_status(&alice, &id, "open");
	assert_resumed(resume(&alice, &other, &id, 1), 1); /* the same request again */
	assert_resumed(resume(&alice, &device, &id, 2), 2);
	restart();
	assert_status(&alice, &id, "open");
	assert_resumed(resume(&alice, &other, &id, 3), 3);
}

Test(resume, is_not_undone_by_an_end_that_an_older_connection_reports)
{
	char model[UUID_TEXT];
	struct device device = a_device(model, 1);
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	id = given_session(&alice, &device);
	assert_resumed(resume(&alice, &device, &id, 1), 1);
	close_at(&alice, &id, 0);
	assert_status(&alice, &id, "open");
	close_at(&alice, &id, 1);
	assert_status(&alice, &id, "closed");
}

Test(resume, refuses_what_is_not_the_newest_session_of_the_device_or_ended_long_ago)
{
	char model[UUID_TEXT];
	struct device device = a_device(model, 1), other = a_device(model, 1);
	struct uuid id, newer, none;

	other.id = "another";
	given_model(&alice, "watch", 1, model);
	id = given_session(&alice, &device);
	none = session_id(&alice, &device, 999);
	assert_error(resume(&alice, &device, &none, 1), 404, 4004,
	             "resume: no such session of this device");
	assert_error(resume(&bob, &device, &id, 1), 404, 4004,
	             "resume: no such session of this device");
	assert_error(resume(&alice, &other, &id, 1), 404, 4004,
	             "resume: no such session of this device");
	pass(10);
	newer = given_session(&alice, &device);
	assert_error(resume(&alice, &device, &id, 1), 404, 4004,
	             "resume: a newer session of this device was opened");
	close_at(&alice, &newer, 0);
	pass(59000);
	assert_resumed(resume(&alice, &device, &newer, 1), 1);
	close_at(&alice, &newer, 1);
	pass(61000);
	assert_error(resume(&alice, &device, &newer, 2), 404, 4004,
	             "resume: the session ended more than 60 s ago");
}

Test(resume, refuses_a_session_whose_model_has_changed)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__AddChannel add = ROUTER__ADD_CHANNEL__INIT;
	Router__RouterReply *reply;
	char model[UUID_TEXT];
	struct device device = a_device(model, 1);
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	id = given_session(&alice, &device);
	assert_resumed(resume(&alice, &device, &id, 1), 1);
	pass(10);
	add.id = model;
	add.modality = (char *)"ppg_red";
	add.sample_rate_hz = 50;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_ADD_CHANNEL;
	request.add_channel = &add;
	reply = ask_as(&alice, &request);
	cr_assert_null(reply->error);
	DONE_WITH(reply);
	assert_error(resume(&alice, &device, &id, 2), 404, 4004,
	             "resume: the device model was changed since the session began");
	assert_status(&alice, &id, "open");
	pass(10);
	id = given_session(&alice, &device);
	reply = resume(&alice, &device, &id, 3);
	cr_assert_null(reply->error);
	cr_assert_eq(reply->session_opened->n_slots, 2);
	DONE_WITH(reply);
}
