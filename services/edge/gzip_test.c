#include "services/edge/gzip.h"

#include <criterion/criterion.h>
#include <string.h>
#include <zlib.h>

Test(gzip, is_wanted_only_by_who_says_so)
{
	static const struct {
		const char *header;
		bool wanted;
	} cases[] = {
		{NULL,		            false},
		{ "",		             false},
		{ "gzip",                         true },
		{ "GZIP",                         true },
		{ "deflate, gzip;q=1.0, *;q=0.5", true },
		{ "br, gzip;q=0",                 false},
		{ "gzip;q=0.0, *",                false},
		{ "gzip; q=0.1",                  true },
		{ "*",		            true },
		{ "*;q=0",                        false},
		{ "identity",                     false},
		{ "gzipped",                      false},
		{ ", ,;q",                        false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		cr_assert_eq(gzip_wanted(cases[i].header), cases[i].wanted, "%s", cases[i].header);
}

Test(gzip, gives_what_a_reader_of_gzip_reads_back)
{
	uint8_t plain[20000], back[sizeof plain];
	struct buf packed = { 0 };
	z_stream stream = { 0 };

	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)("{\"type\":\"hr\"},"[i % 14] + (i % 97 == 0));
	cr_assert(gzip_pack(BYTES(plain, sizeof plain), &packed));
	cr_assert_lt(packed.len, sizeof plain / 4);
	cr_assert_eq(inflateInit2(&stream, 15 + 16), Z_OK);
	stream.next_in = packed.data;
	stream.avail_in = (uInt)packed.len;
	stream.next_out = back;
	stream.avail_out = sizeof back;
	cr_assert_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
	(void)inflateEnd(&stream);
	cr_assert_eq(stream.total_out, sizeof plain);
	cr_assert(memcmp(plain, back, sizeof plain) == 0);
	buf_free(&packed);
}

Test(gzip, leaves_what_is_small_or_does_not_shrink)
{
	uint8_t noise[4096];
	struct buf packed = { 0 };
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
	cr_assert_not(gzip_pack(BYTES(noise, sizeof noise), &packed));
	cr_assert_not(gzip_pack(BYTES("{}", 2), &packed));
	buf_free(&packed);
}
