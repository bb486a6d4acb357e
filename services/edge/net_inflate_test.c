#include "services/edge/net_inflate.h"

#include <criterion/criterion.h>
#include <string.h>
#include <zlib.h>

#define AGREED "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/* As a client does it: raw deflate, flushed, less the last four bytes. */
static struct buf deflated(const void *data, size_t len)
{
	struct buf out = { 0 };
	z_stream stream = { 0 };

	buf_reserve(&out, len + len / 100 + 100);
	cr_assert_eq(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	stream.next_in = (Bytef *)data;
	stream.avail_in = (uInt)len;
	stream.next_out = out.data;
	stream.avail_out = (uInt)out.cap;
	cr_assert_eq(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
	out.len = out.cap - stream.avail_out - 4;
	(void)deflateEnd(&stream);
	return out;
}

Test(net_inflate, agrees_to_the_first_offer_that_it_can_keep)
{
	const struct {
		const char *offers, *answer;
	} cases[] = {
		{"permessage-deflate",		                                            AGREED},
		{ "permessage-deflate; client_max_window_bits",                                   AGREED},
		{ "Permessage-Deflate;client_max_window_bits=\"12\"",                             AGREED},
		{ "x-webkit-deflate-frame, permessage-deflate",                                   AGREED},
		{ "permessage-deflate; server_max_window_bits=10",
                 AGREED "; server_max_window_bits=10"                                                   },
		{ "permessage-deflate; surprise, permessage-deflate; client_no_context_takeover",
                 AGREED		                                                                 },
		{ "permessage-deflate; server_max_window_bits",                                   ""    },
		{ "permessage-deflate; server_max_window_bits=16",                                ""    },
		{ "permessage-deflate; server_max_window_bits=08",                                ""    },
		{ "permessage-deflate; client_no_context_takeover=1",                             ""    },
		{ "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                 ""		                                                                     },
		{ "permessage-deflate; client_max_window_bits; client_max_window_bits=10",        ""    },
		{ "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",       ""    },
		{ "permessage-deflat",		                                            ""    },
		{ ", ;,;;=",		                                                      ""    },
		{ "",		                                                             ""    },
		{ NULL,		                                                           ""    },
	};
	char answer[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		inflate_negotiate(cases[i].offers, answer);
		cr_assert_str_eq(answer, cases[i].answer, "%s -> %s",
		                 cases[i].offers ? cases[i].offers : "(none)", answer);
	}
}

Test(net_inflate, gives_back_what_was_deflated_one_message_after_another)
{
	struct inflater *inflater = inflater_new();
	const size_t lengths[] = { 0, 1, 100, 16384, 300000 };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		uint8_t *data = xcalloc(1, lengths[i]);
		struct buf wire;
		struct bytes back;

		for (size_t n = 0; n < lengths[i]; n++)
			data[n] = (uint8_t)(n * n >> 5);
		wire = deflated(data, lengths[i]);
		cr_assert_eq(inflater_message(inflater, BYTES(wire.data, wire.len), 300000, &back),
		             OK);
		cr_assert_eq(back.len, lengths[i]);
		cr_assert(back.len == 0 || memcmp(back.data, data, back.len) == 0);
		inflater_done(inflater);
		buf_free(&wire);
		mem_free(data);
	}
	inflater_free(inflater);
}

Test(net_inflate, stops_a_bomb_at_the_limit)
{
	struct inflater *inflater = inflater_new();
	uint8_t *zeros = xcalloc(1, 10000000);
	struct buf bomb = deflated(zeros, 10000000);
	struct bytes back;

	cr_assert_lt(bomb.len, 20000);
	cr_assert_eq(inflater_message(inflater, BYTES(bomb.data, bomb.len), 1000, &back),
	             ERR_LIMIT);
	cr_assert_leq(back.len, 1001);
	cr_assert_eq(inflater_message(inflater, BYTES(bomb.data, bomb.len), 10000000, &back), OK);
	buf_free(&bomb);
	mem_free(zeros);
	inflater_free(inflater);
}

Test(net_inflate, refuses_bytes_that_are_no_deflate_and_goes_on)
{
	struct inflater *inflater = inflater_new();
	struct buf good = deflated("good", 4);
	struct bytes back;

	cr_assert_eq(inflater_message(inflater, BYTES("\xff\xff\xff", 3), 1000, &back),
	             ERR_MALFORMED);
	cr_assert_eq(inflater_message(inflater, BYTES(good.data, good.len), 1000, &back), OK);
	cr_assert(back.len == 4 && memcmp(back.data, "good", 4) == 0);
	buf_free(&good);
	inflater_free(inflater);
}
