/* The part of rest that bounds what answers take until they are read: a client that reads a byte
 * now and then keeps its answer for as long as it likes. */
#include "services/edge/rest_internal.h"

#include <string.h>

void rest_hold(struct rest *rest, size_t bytes)
{
	rest->edge->answer_bytes += bytes - rest->held_bytes;
	rest->held_bytes = bytes;
}

bool rest_is_of(const struct rest *rest, const Raeh__Principal *asker)
{
	const Raeh__Principal *principal = rest_principal(rest);

	return principal &&
	       memcmp(principal->account.data, asker->account.data, sizeof(struct uuid)) == 0;
}

static size_t held_by_account(const struct rest *rest, const Raeh__Principal *asker)
{
	size_t bytes = 0;

	LIST_EACH(link, &rest->edge->requests)
	{
		const struct rest *other = LIST_OWNER(link, struct rest, link);

		if (other->held_bytes > 0 && rest_is_of(other, asker))
			bytes += other->held_bytes;
	}
	return bytes;
}

bool rest_has_room(const struct rest *rest)
{
	const Raeh__Principal *asker = rest_principal(rest);
	size_t all = rest->edge->answer_bytes;

	if (all <= REST_ACCOUNT_BYTES || rest->held_bytes <= REST_SHORT_BYTES || !asker)
		return true;
	return all <= REST_ANSWERS_BYTES && held_by_account(rest, asker) <= REST_ACCOUNT_BYTES;
}
