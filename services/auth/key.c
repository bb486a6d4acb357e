#include "services/auth/key.h"

#include "common/apikey.h"
#include "common/clock.h"
#include "common/wire.h"

#include <sodium.h>
#include <string.h>

#define LABEL_CHARS      128
#define EXTERNAL_BYTES   128
#define METADATA_BYTES   2048
#define RATE_MOST        1000000
#define BYTES_MOST       1000000000 /* a second */
#define DEVICE_ID_BYTES  128
#define ECHO_BYTES       40 /* of a client's words in a refusal */
#define SCOPES_OF_DEVICE (SCOPE_INGEST | SCOPE_SUBSCRIBE | SCOPE_READ)

void key_digest(const char *credential, const uint8_t secret[SECRET_BYTES],
                uint8_t ret[DIGEST_BYTES])
{
	(void)crypto_generichash(ret, DIGEST_BYTES, (const uint8_t *)credential, strlen(credential),
	                         secret, SECRET_BYTES);
}

size_t text_chars(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((uint8_t)*text & 0xc0) != 0x80;
	return n;
}

/* At most ECHO_BYTES of a text, cut between characters. */
static int echo_len(const char *text)
{
	size_t len = strnlen(text, ECHO_BYTES + 1);

	if (len <= ECHO_BYTES)
		return (int)len;
	for (len = ECHO_BYTES; len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80;)
		len--;
	return (int)len;
}

static bool text_allowed(const char *field, const char *text, struct refusal *ret_why)
{
	if (text_has_control(text))
		*ret_why = refusal(400, "%s: expected no control characters", field);
	else if (text_has_secret(text))
		*ret_why = refusal(400, "%s: an API key or token is never stored, not even here",
		                   field);
	else
		return true;
	return false;
}

static bool scopes_of(const Auth__MintKey *mint, uint32_t *ret, struct refusal *ret_why)
{
	uint32_t scopes = 0;

	for (size_t i = 0; i < mint->n_scopes; i++) {
		uint32_t bit = scope_bit(mint->scopes[i]);

		if (bit == 0) {
			*ret_why = refusal(
			        400,
			        "scopes[%zu]: expected ingest, subscribe, read, write or keys, "
			        "got \"%.*s\"",
			        i, echo_len(mint->scopes[i]), mint->scopes[i]);
			return false;
		}
		if (mint->device_id && !(bit & SCOPES_OF_DEVICE)) {
			*ret_why = refusal(400,
			                   "scopes[%zu]: a key bound to a device cannot have "
			                   "%s",
			                   i, scope_name(bit));
			return false;
		}
		scopes |= bit;
	}
	if (mint->n_scopes == 0)
		scopes = mint->device_id ? SCOPES_OF_DEVICE : SCOPES_DEFAULT;
	*ret = scopes;
	return true;
}

static bool bytes_allowed(const char *field, const char *text, size_t most, struct refusal *ret_why)
{
	size_t len = strlen(text);

	if (len >= 1 && len <= most)
		return text_allowed(field, text, ret_why);
	*ret_why = refusal(400, "%s: expected 1 to %zu bytes, got %zu", field, most, len);
	return false;
}

static bool limits_of(const Auth__MintKey *mint, struct key_limits *ret, struct refusal *ret_why)
{
	for (unsigned i = 0; mint->limits && i < KEY_LIMIT_KINDS; i++) {
		enum key_limit kind = (enum key_limit)i;
		uint32_t most = kind == KEY_LIMIT_BYTES ? BYTES_MOST : RATE_MOST, value;

		if (!key_limit_given(&mint->limits->base, kind, &value))
			continue;
		if (value < 1 || value > most) {
			*ret_why = refusal(400, "limits.%s: expected 1 to %u, got %u",
			                   key_limit_name(kind), most, value);
			return false;
		}
		ret->of[i] = value;
	}
	return true;
}

static bool extras_of(const Auth__MintKey *mint, struct key_wish *ret, struct refusal *ret_why)
{
	if (mint->external_id &&
	    !bytes_allowed("external_id", mint->external_id, EXTERNAL_BYTES, ret_why))
		return false;
	if (mint->metadata && !bytes_allowed("metadata", mint->metadata, METADATA_BYTES, ret_why))
		return false;
	if (mint->has_rate_limit && (mint->rate_limit < 1 || mint->rate_limit > RATE_MOST)) {
		*ret_why = refusal(400, "rate_limit: expected 1 to %d frames a second, got %u",
		                   RATE_MOST, mint->rate_limit);
		return false;
	}
	if (mint->has_expires_at && mint->expires_at <= clock_wall_ms()) {
		*ret_why = refusal(400, "expires_at: expected a time to come");
		return false;
	}
	if (!limits_of(mint, &ret->limits, ret_why))
		return false;
	ret->external_id = mint->external_id;
	ret->metadata = mint->metadata;
	ret->has_rate_limit = mint->has_rate_limit;
	ret->rate_limit = mint->rate_limit;
	ret->has_expires_at = mint->has_expires_at;
	ret->expires_at = mint->expires_at;
	return true;
}

bool key_is_off(const Auth__Key *key)
{
	int64_t now_ms = clock_wall_ms();

	return key->disabled || (key->has_expires_at && key->expires_at <= now_ms) ||
	       (key->has_rotates_out_at && key->rotates_out_at <= now_ms);
}

Raeh__Principal key_rights(const Events__KeyRow *row, const struct uuid *id)
{
	Raeh__Principal rights = RAEH__PRINCIPAL__INIT;

	rights.account = row->account;
	rights.key = wire_bytes_of(id);
	rights.scopes = row->scopes;
	rights.device_id = row->key->device_id;
	rights.has_expires_ms = row->key->has_expires_at;
	rights.expires_ms = row->key->expires_at;
	if (row->key->has_rotates_out_at &&
	    (!rights.has_expires_ms || row->key->rotates_out_at < rights.expires_ms)) {
		rights.has_expires_ms = true;
		rights.expires_ms = row->key->rotates_out_at;
	}
	rights.has_frames_per_s = row->key->has_rate_limit;
	rights.frames_per_s = row->key->rate_limit;
	rights.limits = row->key->limits;
	rights.has_user = row->has_user;
	rights.user = row->user;
	return rights;
}

bool key_wish_of(const Auth__MintKey *mint, struct key_wish *ret, struct refusal *ret_why)
{
	struct key_wish wish = { .label = mint->label, .device_id = mint->device_id };
	size_t chars = text_chars(mint->label);

	if (chars < 1 || chars > LABEL_CHARS) {
		*ret_why = refusal(400, "label: expected 1 to %d characters, got %zu", LABEL_CHARS,
		                   chars);
		return false;
	}
	if (mint->device_id &&
	    !bytes_allowed("device_id", mint->device_id, DEVICE_ID_BYTES, ret_why))
		return false;
	if (!text_allowed("label", mint->label, ret_why) ||
	    !scopes_of(mint, &wish.scopes, ret_why) || !extras_of(mint, &wish, ret_why))
		return false;
	*ret = wish;
	return true;
}

struct key_wish key_wish_from(const Events__KeyRow *row)
{
	const Auth__Key *key = row->key;

	return (struct key_wish){
		.scopes = row->scopes,
		.label = key->label,
		.device_id = key->device_id,
		.external_id = key->external_id,
		.metadata = key->metadata,
		.has_rate_limit = key->has_rate_limit,
		.rate_limit = key->rate_limit,
		.has_expires_at = key->has_expires_at,
		.expires_at = key->expires_at,
		.limits = key_limits_of(key->limits),
	};
}

static bool is_among(char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static bool is_cleared(const Auth__PatchKey *patch, const char *name)
{
	return is_among(patch->cleared, patch->n_cleared, name);
}

/* Each limit by itself is given, cleared, or stays. */
static Raeh__KeyLimits patched_limits(const Auth__PatchKey *patch, const Auth__Key *key)
{
	const struct key_limits was =
	        key_limits_of(is_cleared(patch, "limits") ? NULL : key->limits);
	const Auth__PatchLimits *new = patch->limits;
	Raeh__KeyLimits ret = RAEH__KEY_LIMITS__INIT;

	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++) {
		enum key_limit kind = (enum key_limit)i;
		bool is_kept = was.of[i] != 0 && !(new &&is_among(new->cleared, new->n_cleared,
		                                                  key_limit_name(kind)));
		uint32_t value = was.of[i];

		if (key_limit_given(new ? &new->base : NULL, kind, &value) || is_kept)
			key_limit_give(&ret, kind, value);
	}
	return ret;
}

static char *patched_text(const Auth__PatchKey *patch, const char *name, char *given, char *was)
{
	return given ? given : is_cleared(patch, name) ? NULL : was;
}

static bool cleared_allowed(const Auth__PatchKey *patch, struct refusal *ret_why)
{
	static const char *const kept[] = { "label", "scopes", "disabled" };

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (is_cleared(patch, kept[i])) {
			*ret_why = refusal(400, "%s: a key cannot be without it", kept[i]);
			return false;
		}
	return true;
}

bool key_wish_patched(const Events__KeyRow *row, const Auth__PatchKey *patch, struct key_wish *ret,
                      struct refusal *ret_why)
{
	const Auth__Key *key = row->key;
	Auth__MintKey mint = AUTH__MINT_KEY__INIT;
	Raeh__KeyLimits limits = patched_limits(patch, key);

	if (!cleared_allowed(patch, ret_why))
		return false;
	mint.label = patch->label ? patch->label : key->label;
	mint.n_scopes = patch->n_scopes > 0 ? patch->n_scopes : key->n_scopes;
	mint.scopes = patch->n_scopes > 0 ? patch->scopes : key->scopes;
	mint.device_id = patched_text(patch, "device_id", patch->device_id, key->device_id);
	mint.external_id = patched_text(patch, "external_id", patch->external_id, key->external_id);
	mint.metadata = patched_text(patch, "metadata", patch->metadata, key->metadata);
	mint.has_rate_limit =
	        patch->has_rate_limit || (key->has_rate_limit && !is_cleared(patch, "rate_limit"));
	mint.rate_limit = patch->has_rate_limit ? patch->rate_limit : key->rate_limit;
	mint.has_expires_at = patch->has_expires_at;
	mint.expires_at = patch->expires_at;
	mint.limits = &limits;
	if (!key_wish_of(&mint, ret, ret_why))
		return false;
	if (!patch->has_expires_at && !is_cleared(patch, "expires_at")) { /* it may be over */
		ret->has_expires_at = key->has_expires_at;
		ret->expires_at = key->expires_at;
	}
	return true;
}

static bool limits_allowed(const struct key_wish *wish, const struct caller *caller,
                           struct refusal *ret_why)
{
	for (unsigned i = 0; i < KEY_LIMIT_KINDS; i++) {
		uint32_t his = caller->limits.of[i], wanted = wish->limits.of[i];

		if (his == 0 || (wanted != 0 && wanted <= his))
			continue;
		*ret_why = refusal(403, "limits.%s: more than that of the key that asks",
		                   key_limit_name((enum key_limit)i));
		return false;
	}
	return true;
}

/* A key that ends, or is held to a rate, makes none that lives longer or may do more. */
static bool bounds_allowed(const struct key_wish *wish, const struct caller *caller,
                           struct refusal *ret_why)
{
	if (caller->expires_at != 0 &&
	    (!wish->has_expires_at || wish->expires_at > caller->expires_at))
		*ret_why = refusal(403, "expires_at: later than that of the key that asks");
	else if (caller->rate_limit != 0 &&
	         (!wish->has_rate_limit || wish->rate_limit > caller->rate_limit))
		*ret_why = refusal(403, "rate_limit: more than that of the key that asks");
	else
		return limits_allowed(wish, caller, ret_why);
	return false;
}

bool key_wish_allowed(const struct key_wish *wish, const struct caller *caller,
                      struct refusal *ret_why)
{
	uint32_t beyond = wish->scopes & ~caller->scopes;

	if (caller->is_operator)
		return true;
	if (!(caller->scopes & SCOPE_KEYS)) {
		*ret_why = refusal(403, "the API key lacks the scope keys");
		return false;
	}
	if (beyond != 0) {
		*ret_why = refusal(403, "scopes: %s is not a right of the key that asks",
		                   scope_name(beyond & -beyond));
		return false;
	}
	if (caller->device_id[0] &&
	    (!wish->device_id || strcmp(wish->device_id, caller->device_id) != 0)) {
		*ret_why = refusal(403, "device_id: the key that asks is bound to another device");
		return false;
	}
	return bounds_allowed(wish, caller, ret_why);
}

size_t key_scope_names(uint32_t scopes, char *ret[KEY_SCOPES_SHOWN])
{
	size_t n = 0;

	for (unsigned i = 0; i < SCOPE_COUNT; i++)
		if (scopes & 1u << i)
			ret[n++] = (char *)scope_name(1u << i);
	return n;
}
