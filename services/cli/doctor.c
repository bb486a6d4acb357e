/*
 * raeh doctor - what is wrong with this installation, and what to do.
 */
#include "services/cli/doctor.h"

#include "common/json.h"

#include <stdarg.h>
#include <stdio.h>

void doctor_add(struct doctor *doctor, const char *name, const char *advice, const char *format,
                ...)
{
	Cli__Check *check = &doctor->check[doctor->n];
	char found[512];
	va_list args;

	MUST(doctor->n < DOCTOR_MAX_CHECKS);
	doctor->n++;
	va_start(args, format);
	(void)vsnprintf(found, sizeof found, format, args); /* cut is fine */
	va_end(args);
	cli__check__init(check);
	check->name = xstrdup(name);
	check->good = advice == NULL;
	check->found = xstrdup(found);
	check->advice = advice ? xstrdup(advice) : NULL;
}

static void check_settings(struct doctor *doctor)
{
	char why[256];

	if (up_settings_check(&doctor->settings, why))
		doctor_add(doctor, "settings", NULL, "flags, environment and raeh.conf agree");
	else
		doctor_add(doctor, "settings",
		           "change the flag, the RAEH_ variable or the line in raeh.conf", "%s",
		           why);
}

static void print_words(const struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->n; i++) {
		const Cli__Check *check = &doctor->check[i];

		(void)printf("%-5s %-14s %s\n", check->good ? "good" : "WRONG", check->name,
		             check->found);
		if (check->advice)
			(void)printf("%20s do: %s\n", "", check->advice);
	}
}

static void print_json(struct doctor *doctor, bool good)
{
	Cli__DoctorReport report = CLI__DOCTOR_REPORT__INIT;
	Cli__Check *checks[DOCTOR_MAX_CHECKS];
	AUTO_MEM char *text = NULL;

	for (size_t i = 0; i < doctor->n; i++)
		checks[i] = &doctor->check[i];
	report.good = good;
	report.n_checks = doctor->n;
	report.checks = checks;
	text = json_of_message(&report.base);
	(void)printf("%s\n", text);
}

static void forget(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->n; i++) {
		mem_free(doctor->check[i].name);
		mem_free(doctor->check[i].found);
		mem_free(doctor->check[i].advice);
	}
	mem_free(doctor);
}

int doctor_run(const struct command *self, int argc, char **argv)
{
	struct doctor *doctor = xcalloc(1, sizeof *doctor);
	bool json = false, good = true;
	const struct config_item extra = { "json", CONFIG_FLAG,        &json, NULL, 0,
		                           0,      "one JSON document" };
	int status = up_settings_load(self, argc, argv, &extra, &doctor->settings);

	if (status >= 0) {
		mem_free(doctor);
		return status;
	}
	doctor->state = installation_look(doctor->settings.data);
	check_settings(doctor);
	doctor_host(doctor);
	doctor_data(doctor);
	doctor_tls(doctor);
	doctor_stack(doctor);
	for (size_t i = 0; i < doctor->n; i++)
		good = good && doctor->check[i].good;
	if (json)
		print_json(doctor, good);
	else
		print_words(doctor);
	forget(doctor);
	return good ? CLI_DONE : CLI_FAILED;
}
