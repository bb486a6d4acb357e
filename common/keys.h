/*
 * keys - the only file that knows the layout of store keys.
 *
 *     | partition (2) | account (16) | table (1) | row … |
 *
 * Numbers are big-endian, so byte order is number order and time order. The account
 * stands right after the partition: no scan of one account can meet another's rows.
 * Rows of the installation itself (journal, notices, outbox) use the nil account.
 *
 *     auth       'a' (empty)            -            AccountRow
 *                'E' e-mail             nil account  account id + user id
 *                'U' user id            -            UserRow
 *                'l' login id           -            KeyRow of a living dashboard login
 *                'i' invite id          -            InviteRow
 *                'X' account id         nil          nothing: the account is being deleted
 *                'd' digest(32)         nil          account id + key, login or invite id
 *                'K' key id             nil          account id
 *                'k' key id             -            KeyRow of a living key
 *                'r' key id             -            AuthEvent: its key_revoked
 *                's' key id             -            Receipt of its revoke
 *                'u' key id             -            last use, wall ms (8), raeh.Origin
 *                'c' key id+key id      -            nothing: the first has minted the second
 *                'x' hash(16)+key id    -            nothing: has, or had, this external_id
 *                'n' notice number(8)   nil          Notice
 *                'e' slot(4)+inc(16)    nil          EdgeRow: may hold a lease
 *     router     'm' model id           -            DeviceModel
 *                'N' hash of the name   -            model id (names are unique)
 *                'v' model id+device id -            Device
 *                's' session id         -            Session
 *                'o' model+device id    -            the session that a device opened last
 *                'w' session id         -            nothing: this session is open
 *                'c' session id         -            nothing: this session is closed
 *                'd' device+0+session id -           nothing: a device's sessions
 *                'D' session id         -            device id: devices by their last session
 *                'X' account+device     nil          id of the removal that goes on
 *                'e' slot(4)+inc+session nil         account: open sessions by edge
 *     publisher  'S' session id         -            StoredOpening
 *                's' session id         -            StoredSession: the counters, or: erased
 *                'f' session id+n(8)    -            one item: a frame as it came
 *                'a' session id+n(8)    -            wall ms: all items below n came before
 *                'c' session id         -            analysis checkpoint
 *                'g' session id         -            StoredLedger: its gaps, when there are any
 *                'k' session id         -            StoredTiming: how its clocks run
 *                'x' session id+number(8)-           type(1)+ts(8)+Insight, oldest first
 *                't' session id+type(1)+t(8) -       nothing: this (session, type, t) is out
 *     of the     'i' type(1)+insight id -            partition(2)+session(16)+device tag(8)
 *     process    'O' number(8)          nil          NumberedInsight
 *     auth and   '1' name               -            KeptRow: of an Idempotency-Key
 *     router     '2' ms(8)+account+name nil          nothing: the same by time
 *                'h' hour(8)+key id     -            UsageRow: what was done in that hour
 *                'R' slot(4)+inc(16)    nil          number(8)+wall ms(8) of its last report
 *                'Q' slot(4)+inc(16)    nil          the same, of its last report of reads
 *     auth,      'A' journal seq(8)     -            AuditRow: the account's part of the journal
 *     router     'A'                    nil          '2': the rows above are whole
 *     auth,      'V'                    nil          layout(1): which indexes are whole
 *     router
 *     all        'j' seq(8)             nil          journal record
 *                'p'                    nil          journal position
 */
#ifndef COMMON_KEYS_H
#define COMMON_KEYS_H

#include "common/mem.h"
#include "common/uuid.h"

#define PARTITIONS    64 /* fixed at installation */
#define KEY_MAX       512
#define PARTITION_OWN 0xfffe /* rows of the process itself; 0xffff: of the store itself */

/* What rows share that come mostly one behind the other (store_open()): the table, where they are
 * numbered by time; or the session; and the first byte of a number: rows of which a session has
 * but one, and the key of a whole table or session, are shorter and have no part in it. */
#define KEY_RUN_TABLE   (2 + 16 + 1 + 1)
#define KEY_RUN_SESSION (KEY_RUN_TABLE + 16)

struct key {
	uint8_t data[KEY_MAX];
	size_t len;
};

/* Starts a key; the row follows with key_add*(). account NULL = nil. */
void key_start(struct key *key, uint16_t partition, const struct uuid *account, char table);
void key_add(struct key *key, const void *data, size_t len);
void key_add_uuid(struct key *key, const struct uuid *id);
void key_add_u64(struct key *key, uint64_t number);
void key_add_u32(struct key *key, uint32_t number);
struct bytes key_bytes(const struct key *key);

/* The first key behind every key that begins with this one. */
void key_end_of(const struct key *prefix, struct key *ret);

/* What follows the table byte; len 0 when the key is too short. */
struct bytes key_row(struct bytes key);
/* The account in a key. False when the key is too short. */
bool key_account(struct bytes key, struct uuid *ret);
uint64_t key_read_u64(const void *data);

/* hash(account, model, device) mod PARTITIONS; BLAKE2b, so the same everywhere for ever. */
uint16_t partition_of(const struct uuid *account, const struct uuid *model, const char *device_id);

#endif
