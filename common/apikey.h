/*
 * apikey - the form of API keys and tokens, as text.
 *
 *     raeh_ + 30 random base62 characters + 6 characters checksum = 41
 *
 * The checksum is zlib's CRC-32 of the first 35 characters, written in base 62 with the
 * digits 0-9A-Za-z, most significant first, padded with '0' to 6.
 * Vector: raeh_ABCDEFGHIJKLMNOPQRSTUVWXYZ01230mAEUE
 *
 * Form only: whether a key was ever made, auth alone knows.
 */
#ifndef COMMON_APIKEY_H
#define COMMON_APIKEY_H

#include <stdbool.h>
#include <stddef.h>

#define APIKEY_LEN  41
#define APIKEY_TEXT (APIKEY_LEN + 1)
#define APIKEY_HINT 4   /* characters after the prefix, for display */
#define TOKEN_MAX   512 /* bytes of a raeht_… token */

enum apikey_fault {
	APIKEY_GOOD,
	APIKEY_MISSING,  /* empty                                        */
	APIKEY_PREFIX,   /* does not begin with raeh_                    */
	APIKEY_LENGTH,   /* not 41 characters                            */
	APIKEY_ALPHABET, /* a character outside 0-9A-Za-z after raeh_    */
	APIKEY_CHECKSUM, /* mistyped                                     */
};

/* text need not end with a zero. */
enum apikey_fault apikey_check(const char *text, size_t len);
/* A sentence without any part of the key. */
const char *apikey_fault_text(enum apikey_fault fault);

/* A new key from 30 random characters (178 bits). The owner wipes it. */
void apikey_make(char ret[APIKEY_TEXT]);

/* Of the dashboard: raehs_ (a login, in a cookie) or raehi_ (an invitation, in a link) + 32
 * random base62 characters. Never an API key. */
#define SECRET_LOGIN  's'
#define SECRET_INVITE 'i'
#define SECRET_LEN    38
#define SECRET_TEXT   (SECRET_LEN + 1)
/* 190 bits. The owner wipes it. */
void apikey_make_secret(char kind, char ret[SECRET_TEXT]);
bool apikey_is_secret(char kind, const char *text, size_t len);

/* raeht_ + characters of base64url and '.', at most TOKEN_MAX. */
bool apikey_is_token_form(const char *text, size_t len);

/* A key, token, login or invitation stands somewhere in it, whole or nearly so (mistyped, without
 * its checksum): such a text is not stored. */
bool text_has_secret(const char *text);

#endif
