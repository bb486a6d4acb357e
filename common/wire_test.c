#include "common/wire.h"
#include "raeh.pb-c.h"

#include <criterion/criterion.h>
#include <string.h>

Test(wire, gives_back_what_was_packed)
{
	Raeh__Error error = RAEH__ERROR__INIT;
	struct buf buf = { 0 };

	error.status = 404;
	error.detail = (char *)"no such key";
	AUTO(wire_free)
	ProtobufCMessage *again =
	        wire_unpack(&raeh__error__descriptor, wire_pack(&buf, &error.base));
	cr_assert_not_null(again);
	cr_assert_eq(((Raeh__Error *)again)->status, 404);
	cr_assert_str_eq(((Raeh__Error *)again)->detail, "no such key");
	cr_assert_eq(((Raeh__Error *)again)->has_close_code, 0);
	buf_free(&buf);
}

Test(wire, refuses_a_string_that_is_not_utf8)
{
	Raeh__Error error = RAEH__ERROR__INIT;
	struct buf buf = { 0 };

	error.detail = (char *)"\xff";
	cr_assert_null(wire_unpack(&raeh__error__descriptor, wire_pack(&buf, &error.base)));
	buf_free(&buf);
}

Test(wire, refuses_bad_utf8_inside_a_repeated_message)
{
	Raeh__Slot slot = RAEH__SLOT__INIT;
	Raeh__Slot *slots[] = { &slot };
	Raeh__Handshake handshake = RAEH__HANDSHAKE__INIT;
	struct buf buf = { 0 };

	slot.modality_channel_id = (char *)"x";
	slot.modality = (char *)"ppg\xc0\x80";
	handshake.session_id = (char *)"s";
	handshake.n_slots = 1;
	handshake.slots = slots;
	cr_assert_null(wire_unpack(&raeh__handshake__descriptor, wire_pack(&buf, &handshake.base)));
	buf_free(&buf);
}

Test(wire, refuses_bytes_that_are_no_message)
{
	const uint8_t garbage[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3 };

	cr_assert_null(wire_unpack(&raeh__error__descriptor, BYTES(garbage, sizeof garbage)));
	cr_assert_null(wire_unpack(&raeh__error__descriptor, BYTES("", 0)), "required is missing");
}

Test(wire, knows_utf8)
{
	static const char *const good[] = { "",
		                            "abc",
		                            "\xc3\xa9",
		                            "\xe2\x82\xac",
		                            "\xf0\x9f\x92\x93",
		                            "\xed\x9f\xbf",
		                            "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80",
		                           "\xc3",
		                           "\xc0\xaf",
		                           "\xe0\x80\xaf",
		                           "\xed\xa0\x80",
		                           "\xf0\x80\x80\xaf",
		                           "\xf4\x90\x80\x80",
		                           "\xf8\x88\x80\x80",
		                           "a\xe2\x82" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_expect(utf8_valid(good[i], strlen(good[i])), "good %zu", i);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_not(utf8_valid(bad[i], strlen(bad[i])), "bad %zu", i);
}

Test(wire, an_id_has_sixteen_bytes)
{
	uint8_t bytes[17] = { 1 };
	struct uuid id;

	cr_assert(wire_id((ProtobufCBinaryData){ 16, bytes }, &id));
	cr_assert_eq(id.byte[0], 1);
	cr_assert_not(wire_id((ProtobufCBinaryData){ 15, bytes }, &id));
	cr_assert_not(wire_id((ProtobufCBinaryData){ 17, bytes }, &id));
	cr_assert_not(wire_id((ProtobufCBinaryData){ 0, NULL }, &id));
}
