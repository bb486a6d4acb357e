#include "services/auth/notices.h"

#include "common/wire.h"
#include "services/auth/rows.h"

#include <string.h>

static void free_rights(struct notices *notices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (notices->row[i].rights)
			wire_free(&notices->row[i].rights->base);
}

void notices_done(struct notices *notices)
{
	free_rights(notices, notices->newest - notices->floor);
	mem_free(notices->row);
	*notices = (struct notices){ 0 };
}

struct notice_row *notices_row(const struct notices *notices, uint64_t number)
{
	MUST(number > notices->floor && number <= notices->newest);
	return &notices->row[number - notices->floor - 1];
}

void notices_add(struct notices *notices, uint64_t number, const struct uuid *account,
                 const struct uuid *key, const char *reason)
{
	size_t n = notices->newest - notices->floor;

	MUST(number == notices->newest + 1);
	if (n == notices->cap) {
		notices->cap = notices->cap ? 2 * notices->cap : 64;
		notices->row = xrealloc(notices->row, notices->cap, sizeof *notices->row);
	}
	notices->row[n] = (struct notice_row){ .account = *account, .key = *key, .reason = reason };
	notices->newest = number;
}

static const char *reason_of(const char *text)
{
	if (strcmp(text, REASON_REVOKED) == 0)
		return REASON_REVOKED;
	return strcmp(text, REASON_DISABLED) == 0 ? REASON_DISABLED : REASON_CHANGED;
}

enum err notices_add_message(struct notices *notices, const Auth__Notice *notice,
                             const uint8_t secret[SECRET_BYTES])
{
	struct uuid account, key;
	Raeh__Principal *rights;
	uint8_t mac[32];

	if (notice->number != notices->newest + 1 || !wire_id(notice->account, &account) ||
	    !wire_id(notice->key, &key))
		return ERR_MALFORMED;
	notices_add(notices, notice->number, &account, &key, reason_of(notice->reason));
	if (notice->rights) {
		Raeh__Principal with_mac = *notice->rights;

		principal_sign(&with_mac, secret, mac);
		rights = (Raeh__Principal *)wire_copy(&with_mac.base);
		notices_row(notices, notice->number)->rights = rights;
	}
	return OK;
}

size_t notices_after(const struct notices *notices, uint64_t after, Auth__Notice ***ret)
{
	uint64_t first = after < notices->floor ? notices->floor + 1 : after + 1;
	size_t n = first > notices->newest ? 0 : notices->newest - first + 1;
	Auth__Notice **list, *notice;

	if (n > NOTICES_A_MESSAGE)
		n = NOTICES_A_MESSAGE;
	list = xcalloc(n, sizeof *list + sizeof *notice);
	notice = (Auth__Notice *)(list + n);
	for (size_t i = 0; i < n; i++) {
		struct notice_row *row = notices_row(notices, first + i);

		auth__notice__init(&notice[i]);
		notice[i].number = first + i;
		notice[i].account = wire_bytes_of(&row->account);
		notice[i].key = wire_bytes_of(&row->key);
		notice[i].reason = (char *)row->reason;
		notice[i].rights = row->rights;
		list[i] = &notice[i];
	}
	*ret = list;
	return n;
}

void notices_trim(struct notices *notices, struct store *store, uint64_t through)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	uint64_t kept = notices->newest > NOTICES_KEPT ? notices->newest - NOTICES_KEPT : 0;
	size_t n = 0;

	if (through > kept)
		through = kept;
	while (notices->floor + n < through && !notices->row[n].spread)
		n++;
	if (n == 0)
		return;
	rows_trim_notices(batch, notices->floor + n);
	if (store_write(store, batch) != OK)
		return;
	free_rights(notices, n);
	memmove(notices->row, notices->row + n,
	        (notices->newest - notices->floor - n) * sizeof *notices->row);
	notices->floor += n;
}

enum err notices_load(struct notices *notices, struct store *store,
                      const uint8_t secret[SECRET_BYTES])
{
	AUTO(scan_close) struct store_scan *scan = rows_scan_own(store, ROWS_NOTICES);
	struct bytes key, value;

	while (scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *message = wire_unpack(&auth__notice__descriptor, value);
		const Auth__Notice *notice = (const Auth__Notice *)message;

		if (!notice)
			return ERR_MALFORMED;
		if (notices->newest == 0)
			notices->floor = notices->newest = notice->number - 1;
		if (notices_add_message(notices, notice, secret) != OK)
			return ERR_MALFORMED;
	}
	return scan_err(scan);
}
