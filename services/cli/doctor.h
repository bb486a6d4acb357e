/*
 * doctor - checks of an installation: what is wrong, and what to do.
 *
 * Each check adds one line or several to the report; advice goes only with what is not
 * good. Nothing is changed by a check.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli.pb-c.h"
#include "services/cli/installation.h"
#include "services/cli/up_settings.h"

#define DOCTOR_MAX_CHECKS 160

struct doctor {
	struct up_settings settings;
	struct installation_state state; /* of the stack that runs there; holder 0: none does */
	Cli__Check check[DOCTOR_MAX_CHECKS];
	size_t n;
};

/* Copies the texts. advice NULL: it is good. */
void doctor_add(struct doctor *doctor, const char *name, const char *advice, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

/* The machine: programs, limits, clock, libraries. */
void doctor_host(struct doctor *doctor);
/* The directory: who may enter it, secrets, free space. */
void doctor_data(struct doctor *doctor);
/* Certificate and key. */
void doctor_tls(struct doctor *doctor);
/* The running stack: every service on the bus, /readyz; or whether the address is free. */
void doctor_stack(struct doctor *doctor);

#endif
