#include "common/address.h"

#include <criterion/criterion.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
	uint8_t of[2][ADDRESS_OWNER];

	cr_assert(address_owner(a, of[0]) && address_owner(b, of[1]));
	return memcmp(of[0], of[1], ADDRESS_OWNER) == 0;
}

Test(address, of_ipv4_belongs_to_one_however_it_is_written)
{
	cr_assert(same("192.0.2.1", "::ffff:192.0.2.1"));
	cr_assert_not(same("192.0.2.1", "192.0.2.2"));
	cr_assert_not(same("192.0.2.1", "2001:db8::1"));
}

Test(address, of_ipv6_belongs_with_all_of_its_64_bits_to_one)
{
	cr_assert(same("2001:db8:0:1::1", "2001:DB8:0:1:ffff::2"));
	cr_assert_not(same("2001:db8:0:1::1", "2001:db8:0:2::1"));
}

Test(address, of_this_machine_is_told_apart)
{
	static const char *const loopback[] = { "127.0.0.1", "127.9.9.9", "::1",
		                                "::ffff:127.0.0.1" };
	uint8_t owner[ADDRESS_OWNER];

	for (unsigned i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
		cr_expect_not(address_owner(loopback[i], owner), "%s", loopback[i]);
	cr_assert(same("127.evil.example", "no address"), "what is no address is one, and counts");
}
