#include "services/auth/fixture.h"

#include "common/principal.h"
#include "common/token.h"

static const char *account;
static Auth__Key *parent;

static void given_keys(void)
{
	given_an_auth();
	account = account_id("owner@example.org");
	parent = new_key(account, "subscribe,read,keys");
}

TestSuite(token_mint, .init = given_keys, .fini = done);

static struct fake_call *ask_token(Raeh__Principal *principal, Auth__MintToken *mint)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;

	request.principal = principal;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_MINT_TOKEN;
	request.mint_token = mint;
	return ask("auth", &request.base);
}

static const char *made(const char *of, const char *scope)
{
	Auth__MintToken mint = AUTH__MINT_TOKEN__INIT;
	char *scopes[] = { (char *)scope };

	mint.n_scopes = scope ? 1 : 0;
	mint.scopes = scopes;
	return reply_of(ask_token(principal_of(of), &mint))->token->token;
}

Test(token_mint, gives_what_the_key_has_but_keys)
{
	const Raeh__Principal *rights = principal_of(made(parent->key, NULL));

	cr_assert_eq(rights->scopes, SCOPE_SUBSCRIBE | SCOPE_READ);
	cr_assert(rights->is_token);
	cr_assert_eq(rights->expires_ms, clock_wall_ms() + 600000);
}

Test(token_mint, tells_edges_the_rights_of_the_key_too_and_signs_both)
{
	struct fake_call *call = ask_verify(made(parent->key, "read"));
	const Auth__Verdict *verdict = reply_of(call)->verdict;
	uint8_t secret[SECRET_BYTES];
	struct uuid who;

	memset(secret, 2, sizeof secret);
	cr_assert_eq(principal_check(verdict->principal, secret, &who), OK);
	cr_assert_eq(principal_check(verdict->parent, secret, &who), OK);
	cr_assert_eq(verdict->principal->scopes, SCOPE_READ);
	cr_assert_eq(verdict->parent->scopes, SCOPE_SUBSCRIBE | SCOPE_READ | SCOPE_KEYS);
	cr_assert_not(verdict->parent->is_token);
}

Test(token_mint, is_not_for_tokens_and_dies_with_its_key)
{
	const char *token = made(parent->key, NULL);
	Auth__MintToken mint = AUTH__MINT_TOKEN__INIT;

	cr_assert_eq(status_of(ask_token(principal_of(token), &mint)), 403);
	cr_assert_eq(status_of(ask_list(principal_of(token), -1)), 403, "though its key may");
	cr_assert_eq(status_of(ask_mint(principal_of(token), "read")), 403);
	(void)admin_revoke(parent->id);
	run_for(100);
	cr_assert_eq(status_of(ask_verify(token)), 401);
	cr_assert_eq(status_of(ask_verify("raeht_a.b")), 401);
}

Test(token_mint, verifies_for_no_more_than_the_key_has_now)
{
	const char *token = made(parent->key, NULL);
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__PatchKey patch = AUTH__PATCH_KEY__INIT;
	Auth__PatchLimits limits = AUTH__PATCH_LIMITS__INIT;
	char *scopes[] = { (char *)"read" };

	patch.id = parent->id;
	patch.scopes = scopes;
	patch.n_scopes = 1;
	patch.device_id = (char *)"watch";
	patch.has_expires_at = true;
	patch.expires_at = clock_wall_ms() + 5000;
	patch.limits = &limits;
	limits.has_requests_per_s = true;
	limits.requests_per_s = 3;
	request.has_op_id = true;
	request.op_id = new_op();
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_PATCH_KEY;
	request.patch_key = &patch;
	(void)ask("auth.admin", &request.base);
	run_for(100);

	cr_assert_eq(principal_of(token)->scopes, SCOPE_READ);
	cr_assert_str_eq(principal_of(token)->device_id, "watch");
	cr_assert_eq(principal_of(token)->expires_ms, patch.expires_at);
	cr_assert_eq(principal_of(token)->limits->requests_per_s, 3);
	run_for(6000);
	cr_assert_eq(status_of(ask_verify(token)), 401);
}

Test(token_mint, hands_the_public_key_out_with_each_lease)
{
	struct fake_edge *edge = new_edge(0);
	struct fake_call *call = ask_register(edge, true);
	Auth__LeaseReply *reply;
	Raeh__Principal *opened;

	run_for(100);
	reply = lease_reply_of(call);
	cr_assert_eq(reply->token_key.len, TOKEN_KEY_BYTES);
	opened = token_open(made(parent->key, NULL), reply->token_key.data);
	cr_assert(opened != NULL);
	wire_free(&opened->base);
	wire_free(&reply->base);
}
