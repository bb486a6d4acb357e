/*
 * address - to whom an address belongs, for what is limited by address.
 *
 * One IPv4 address, also where it is written as IPv6, or the /64 of an IPv6 address: a customer
 * has at least that many for himself.
 */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_OWNER 16 /* bytes */

/* False: it is loopback. What is no address is all zeros. */
bool address_owner(const char *text, uint8_t ret[ADDRESS_OWNER]);

#endif
