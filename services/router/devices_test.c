/* Devices, and the erasing of what is kept of them. */
#include "publisher.pb-c.h"
#include "common/layout_fixture.h"
#include "services/router/world.h"

TestSuite(devices, .init = setup, .fini = teardown);

static struct device a_device(const char *model)
{
	return (struct device){ model, "xyz-watch-a3b5", 0, 1 };
}

static struct question *send_delete(const struct user *user, const char *id)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__DeleteDevice command = ROUTER__DELETE_DEVICE__INIT;

	command.id = (char *)id;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_DELETE_DEVICE;
	request.delete_device = &command;
	return send_as(user, &request);
}

static Router__RouterReply *get_device(const struct user *user, const char *id)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__GetDevice command = ROUTER__GET_DEVICE__INIT;

	command.id = (char *)id;
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_GET_DEVICE;
	request.get_device = &command;
	return ask_as(user, &request);
}

/* The next request to a publisher, as it is when it comes. */
static struct request *asked_publisher(void)
{
	char name[BUS_NAME_MAX];

	for (int ms = 0; ms < 5000; ms++) {
		for (unsigned n = 0; n < 64; n++) {
			(void)snprintf(name, sizeof name, "publisher-%u", n);
			if (asked(name))
				return asked(name);
		}
		pass(1);
	}
	return NULL;
}

static void publisher_erases(uint64_t frames, uint64_t insights, bool more)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__Erased erased = PUBLISHER__ERASED__INIT;
	struct request *request = asked_publisher();

	cr_assert_not_null(request, "no publisher was asked");
	erased.frames = frames;
	erased.insights = insights;
	reply.has_more = reply.more = more;
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_ERASED;
	reply.erased = &erased;
	answer_request(request, OK, &reply.base);
}

Test(devices, one_is_known_by_its_last_session_while_it_has_any)
{
	char model[UUID_TEXT], id[UUID_TEXT];
	struct device device = a_device(model);
	Router__RouterReply *reply;
	struct uuid session;

	given_model(&alice, "watch", 1, model);
	assert_error(get_device(&alice, device.id), 404, 0, "no such device");
	session = given_session(&alice, &device);
	uuid_text(&session, id);

	reply = get_device(&alice, device.id);
	cr_assert_null(reply->error);
	cr_assert_str_eq(reply->device->last_session_id, id);
	cr_assert_str_eq(reply->device->device_model_id, model);
	cr_assert(reply->device->online);
	DONE_WITH(reply);
	assert_error(get_device(&bob, device.id), 404, 0, "no such device");
}

Test(devices, a_deletion_is_answered_when_every_publisher_has_removed_its_part)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);
	Router__RouterReply *reply;
	struct question *question;

	given_model(&alice, "watch", 1, model);
	(void)given_session(&alice, &device);
	question = send_delete(&alice, device.id);
	publisher_erases(7, 500, true);
	publisher_erases(0, 3, false);

	reply = reply_to(question);
	cr_assert_null(reply->error);
	cr_assert_eq(reply->removed->sessions, 1);
	cr_assert_eq(reply->removed->frames, 7);
	cr_assert_eq(reply->removed->insights, 503);
	DONE_WITH(reply);
	assert_error(get_device(&alice, device.id), 404, 0, "no such device");
	assert_error(reply_to(send_delete(&alice, device.id)), 404, 0, "no such device");
	reply = list_sessions(&alice, 200, NULL);
	cr_assert_eq(reply->sessions->n_items, 0);
	DONE_WITH(reply);
}

Test(devices, no_session_opens_while_its_device_is_being_deleted)
{
	char model[UUID_TEXT];
	struct device device = a_device(model), other = { model, "another", 0, 1 };
	struct uuid id;

	given_model(&alice, "watch", 1, model);
	(void)given_session(&alice, &device);
	(void)send_delete(&alice, device.id);
	cr_assert_not_null(asked_publisher());

	id = session_id(&alice, &device, 9);
	assert_error(open_session(&alice, &device, &id), 503, 1013,
	             "this device is being deleted: connect again later");
	(void)given_session(&alice, &other);
	publisher_erases(1, 1, false);
	pass(100);
	(void)given_session(&alice, &device);
}

Test(devices, a_deletion_goes_on_after_a_restart_and_while_a_publisher_is_away)
{
	char model[UUID_TEXT];
	struct device device = a_device(model);

	given_model(&alice, "watch", 1, model);
	(void)given_session(&alice, &device);
	(void)send_delete(&alice, device.id);
	cr_assert_not_null(asked_publisher());
	restart();
	answer_request(asked_publisher(), ERR_UNAVAILABLE, NULL);
	pass(2000);
	publisher_erases(1, 1, false);
	pass(100);
	assert_error(get_device(&alice, device.id), 404, 0, "no such device");
}

static Router__RouterReply *list_devices(const struct user *user)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__ListDevices command = ROUTER__LIST_DEVICES__INIT;

	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_LIST_DEVICES;
	request.list_devices = &command;
	return ask_as(user, &request);
}

Test(devices, and_sessions_that_an_older_version_wrote_are_listed)
{
	char model[UUID_TEXT], last[UUID_TEXT];
	struct device device = a_device(model), other = { model, "another", 0, 1 };
	Router__RouterReply *reply;
	struct uuid first, second;

	given_model(&alice, "watch", 1, model);
	first = given_session(&alice, &device);
	pass(10);
	second = given_session(&alice, &device);
	pass(10);
	(void)given_session(&alice, &other);
	(void)first;
	for (int again = 0; again < 2; again++) { /* with the mark, nothing is made again */
		layout_drop_tables(world.store, again ? "" : "wcdDV");
		restart();
		reply = list_devices(&alice);
		cr_assert_eq(reply->devices->n_items, 2);
		cr_assert_str_eq(reply->devices->items[0]->device_id, "another");
		uuid_text(&second, last);
		cr_assert_str_eq(reply->devices->items[1]->last_session_id, last);
		DONE_WITH(reply);
		reply = list_sessions(&alice, 200, "closed");
		cr_assert_eq(reply->sessions->n_items, 1);
		DONE_WITH(reply);
		reply = list_sessions(&alice, 200, "open");
		cr_assert_eq(reply->sessions->n_items, 2);
		DONE_WITH(reply);
	}
}
