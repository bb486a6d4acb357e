#include "common/address.h"

#include <arpa/inet.h>
#include <string.h>

#define V6_PREFIX_BYTES 8

bool address_owner(const char *text, uint8_t ret[ADDRESS_OWNER])
{
	static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct in6_addr v6;

	memset(ret, 0, ADDRESS_OWNER);
	if (inet_pton(AF_INET, text, ret + 12) == 1) {
		memcpy(ret, v4_mapped, sizeof v4_mapped);
		return ret[12] != 127;
	}
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return true;
	if (IN6_IS_ADDR_V4MAPPED(&v6)) {
		memcpy(ret, v6.s6_addr, ADDRESS_OWNER);
		return ret[12] != 127;
	}
	memcpy(ret, v6.s6_addr, V6_PREFIX_BYTES);
	return !IN6_IS_ADDR_LOOPBACK(&v6);
}
