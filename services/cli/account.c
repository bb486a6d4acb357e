/*
 * raeh account - accounts of a running stack.
 */
#include "cli.pb-c.h"
#include "common/wire.h"
#include "services/cli/admin.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PASSWORD_MOST 1024
#define MADE_UP_CHARS 20

/* One line from standard input, without its end. */
static bool read_password(char ret[PASSWORD_MOST])
{
	if (isatty(STDIN_FILENO))
		cli_say("type the password and press Enter");
	if (!fgets(ret, PASSWORD_MOST, stdin))
		return false;
	ret[strcspn(ret, "\r\n")] = '\0';
	return ret[0] != '\0';
}

/* 20 characters of base62: 119 bits. */
static void made_up(char ret[PASSWORD_MOST])
{
	static const char digits[] =
	        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	MUST(sodium_init() >= 0);
	for (int i = 0; i < MADE_UP_CHARS; i++)
		ret[i] = digits[randombytes_uniform(sizeof digits - 1)];
	ret[MADE_UP_CHARS] = '\0';
}

/* What create and reset-password are told. */
struct user_options {
	struct admin_place place;
	const char *email;
	bool password_stdin;
	char password[PASSWORD_MOST]; /* "" without password_stdin */
};

/* whose: what --help says of the address. -1 to go on, else the exit status. */
static int user_options_read(const struct command *self, int argc, char **argv, const char *whose,
                             struct user_options *ret)
{
	/* clang-format off */
	const struct config_item items[] = {
		{ "email", CONFIG_TEXT, &ret->email, NULL, 0, 0, whose },
		{ "password-stdin", CONFIG_FLAG, &ret->password_stdin, NULL, 0, 0,
		  "read the password as a line from standard input" },
		ADMIN_ITEMS(ret->place),
		{ 0 },
	};
	/* clang-format on */
	int status;

	memset(ret, 0, sizeof *ret);
	status = cli_options(self, items, NULL, argc, argv, NULL, NULL);
	if (status >= 0)
		return status;
	if (!ret->email)
		return cli_misused(self, "--email: expected an e-mail address, got nothing");
	if (ret->password_stdin && !read_password(ret->password))
		return cli_misused(self, "--password-stdin: expected a line, got nothing");
	return -1;
}

/* ---- create ---- */

static int create(const struct admin_place *place, const char *email, const char *password)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__CreateAccount create_account = AUTH__CREATE_ACCOUNT__INIT;
	Auth__AuthReply *reply;
	int status;

	create_account.email = (char *)email;
	create_account.password = (char *)password;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT;
	request.create_account = &create_account;
	reply = admin_ask(place, &request, ADMIN_ANSWER_MS, &status);
	if (!reply)
		return status;
	if (reply->result_case == AUTH__AUTH_REPLY__RESULT_ACCOUNT)
		admin_print(&reply->account->base);
	else
		status = cli_fail("auth gave an answer of another kind");
	wire_free(&reply->base);
	return status;
}

int account_create_run(const struct command *self, int argc, char **argv)
{
	struct user_options options;
	int status = user_options_read(self, argc, argv, "its first user", &options);

	if (status < 0)
		status = create(&options.place, options.email,
		                options.password_stdin ? options.password : NULL);
	sodium_memzero(options.password, sizeof options.password);
	return status;
}

/* ---- reset-password ---- */

static int reset(const struct admin_place *place, const char *email, const char *password,
                 bool show)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__ResetPassword reset_password = AUTH__RESET_PASSWORD__INIT;
	Cli__PasswordReset done = CLI__PASSWORD_RESET__INIT;
	Auth__AuthReply *reply;
	int status;

	reset_password.password = (char *)password;
	request.account = (char *)email;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_RESET_PASSWORD;
	request.reset_password = &reset_password;
	/* Logins end on every edge before it is answered. */
	reply = admin_ask(place, &request, ADMIN_REVOKE_MS, &status);
	if (!reply)
		return status;
	wire_free(&reply->base);
	done.email = (char *)email;
	done.password = show ? (char *)password : NULL;
	admin_print(&done.base);
	return status;
}

int account_reset_password_run(const struct command *self, int argc, char **argv)
{
	struct user_options options;
	int status = user_options_read(self, argc, argv, "of the user", &options);

	if (status < 0) {
		if (!options.password_stdin)
			made_up(options.password);
		status = reset(&options.place, options.email, options.password,
		               !options.password_stdin);
	}
	sodium_memzero(options.password, sizeof options.password);
	return status;
}

/* ---- delete ---- */

int account_delete_run(const struct command *self, int argc, char **argv)
{
	struct admin_place place = { 0 };
	bool yes = false;
	/* clang-format off */
	const struct config_item items[] = {
		{ "yes", CONFIG_FLAG, &yes, NULL, 0, 0, "really: nothing brings it back" },
		ADMIN_ITEMS(place),
		{ 0 },
	};
	/* clang-format on */
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Auth__AuthReply *reply;
	const char *account[1];
	int n = 1, status = cli_options(self, items, NULL, argc, argv, account, &n);

	if (status >= 0)
		return status;
	if (n != 1)
		return cli_misused(self, "expected an account, by its id or an e-mail address");
	if (!yes)
		return cli_misused(self, "--yes: without it nothing is deleted");
	request.account = (char *)account[0];
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_DELETE_ACCOUNT;
	request.delete_account = &empty;
	/* Every edge hears of its keys, and every publisher erases its part. */
	reply = admin_ask(&place, &request, ADMIN_REVOKE_MS, &status);
	if (!reply)
		return status;
	if (reply->result_case == AUTH__AUTH_REPLY__RESULT_ACCOUNT_DELETED)
		admin_print(&reply->account_deleted->base);
	else
		status = cli_fail("auth gave an answer of another kind");
	wire_free(&reply->base);
	return status;
}
