#include "services/edge/net_frame.h"

#include <criterion/criterion.h>
#include <string.h>

Test(net_frame, writes_the_length_in_its_shortest_form)
{
	const struct {
		size_t len, head;
		const char *bytes;
	} cases[] = {
		{0,      2,  "\x82\x00"                },
		{ 125,   2,  "\x82\x7d"                },
		{ 126,   4,  "\x82\x7e\x00\x7e"        },
		{ 65535, 4,  "\x82\x7e\xff\xff"        },
		{ 65536, 10, "\x82\x7f\0\0\0\0\0\1\0\0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t head[NET_FRAME_HEAD_MAX];

		cr_assert_eq(net_frame_head_write(NET_BINARY, cases[i].len, head), cases[i].head);
		cr_assert_eq(memcmp(head, cases[i].bytes, cases[i].head), 0, "%zu", cases[i].len);
	}
}

Test(net_frame, reads_back_what_it_writes_once_all_of_it_is_there)
{
	const uint8_t mask[4] = { 1, 2, 3, 4 };
	const size_t lengths[] = { 0, 1, 125, 126, 65535, 65536, 1u << 20 };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		uint8_t wire[NET_FRAME_HEAD_MAX + 4];
		size_t head = net_frame_head_write(NET_TEXT, lengths[i], wire);
		struct net_frame frame;
		const char *why;

		wire[1] |= 0x80;
		memcpy(wire + head, mask, sizeof mask);
		for (size_t n = 0; n < head + 4; n++)
			cr_assert_eq(net_frame_head_parse(wire, n, false, &frame, &why), 0);
		cr_assert_eq(net_frame_head_parse(wire, head + 4, false, &frame, &why),
		             (int)head + 4);
		cr_assert(frame.len == lengths[i] && frame.final && frame.opcode == NET_TEXT);
		cr_assert_eq(memcmp(frame.mask, mask, 4), 0);
	}
}

Test(net_frame, unmasks_in_any_number_of_steps)
{
	const uint8_t mask[4] = { 0x0f, 0xf0, 0x55, 0xaa };

	for (size_t cut = 0; cut <= 29; cut++) {
		uint8_t data[29], plain[29];

		for (size_t i = 0; i < sizeof data; i++) {
			plain[i] = (uint8_t)(i * 7);
			data[i] = plain[i] ^ mask[i % 4];
		}
		net_frame_unmask(data, cut, mask, 0);
		net_frame_unmask(data + cut, sizeof data - cut, mask, cut);
		cr_assert_eq(memcmp(data, plain, sizeof data), 0, "cut at %zu", cut);
	}
}

Test(net_frame, knows_the_codes_that_a_peer_may_send)
{
	const int good[] = { 1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999 };
	const int bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535 };
	char reason[124];
	int code;

	for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
		bool is_good = i < ARRAY_LEN(good);
		int said = is_good ? good[i] : bad[i - ARRAY_LEN(good)];
		uint8_t body[4] = { (uint8_t)(said >> 8), (uint8_t)said, 'o', 'k' };

		cr_assert_eq(net_frame_close_parse(body, 4, &code, reason), is_good, "%d", said);
		cr_assert_eq(code, is_good ? said : 1002);
		cr_assert_str_eq(reason, is_good ? "ok" : "");
	}
}

Test(net_frame, cuts_a_reason_at_a_characters_border)
{
	uint8_t body[NET_FRAME_CONTROL_MAX];
	char long_reason[200] = "";

	while (strlen(long_reason) < 180)
		strcat(long_reason, "\xe2\x82\xac"); /* 3 bytes a character: 41 of them fit */
	cr_assert_eq(net_frame_close_write(4001, long_reason, body), 2 + 123);
	memmove(long_reason + 1, long_reason, 181);
	long_reason[0] = 'x';
	cr_assert_eq(net_frame_close_write(4001, long_reason, body), 2 + 121);
	cr_assert_eq(net_frame_close_write(4001, "", body), 2);
}
