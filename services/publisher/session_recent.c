#include "services/publisher/session_recent.h"

#include <sodium.h>

struct recent {
	uint8_t key[crypto_shorthash_KEYBYTES];
	size_t n, oldest;
	uint32_t fingerprint[SESSION_RECENT];
	uint32_t number[SESSION_RECENT]; /* low 32 bits: the frames of a session are near */
};

struct recent *recent_new(void)
{
	struct recent *recent = xcalloc(1, sizeof *recent);

	crypto_shorthash_keygen(recent->key);
	return recent;
}

void recent_free(struct recent *recent)
{
	mem_free(recent);
}

uint32_t recent_fingerprint(const struct recent *recent, struct bytes frame)
{
	uint8_t hash[crypto_shorthash_BYTES];

	(void)crypto_shorthash(hash, frame.data, frame.len, recent->key);
	return (uint32_t)hash[0] | (uint32_t)hash[1] << 8 | (uint32_t)hash[2] << 16 |
	       (uint32_t)hash[3] << 24;
}

void recent_add(struct recent *recent, uint32_t fingerprint, uint64_t number)
{
	size_t at = recent->n;

	if (recent->n == SESSION_RECENT) {
		at = recent->oldest;
		recent->oldest = (recent->oldest + 1) % SESSION_RECENT;
	} else {
		recent->n++;
	}
	recent->fingerprint[at] = fingerprint;
	recent->number[at] = (uint32_t)number;
}

bool recent_find(const struct recent *recent, uint32_t fingerprint, uint64_t below, size_t *place,
                 uint64_t *ret_number)
{
	for (; *place < recent->n; (*place)++) {
		size_t at = *place;

		if (recent->fingerprint[at] != fingerprint)
			continue;
		*ret_number = below - (uint32_t)((uint32_t)below - recent->number[at]);
		(*place)++;
		return true;
	}
	return false;
}
