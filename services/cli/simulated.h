/*
 * simulated - the device model that stands for a recording.
 *
 * Its name is made of the recording's channels, so that recordings of one layout share one
 * model and a recording never meets a model that does not fit.
 */
#ifndef CLI_SIMULATED_H
#define CLI_SIMULATED_H

#include "cli.pb-c.h"
#include "common/recording.h"
#include "common/uuid.h"
#include "services/cli/client_options.h"
#include "services/cli/web.h"

#define SIMULATED_NAME 129 /* a name's 128 characters and the zero */

void simulated_name(const struct recording *recording, char ret[SIMULATED_NAME]);

/* Finds it by its name or registers it. False: why says what the server said. */
bool simulated_register(struct web *web, const struct client_options *options,
                        const struct recording *recording, char ret[UUID_TEXT], char why[256]);

/* Whether a session's slots are the recording's, in order; else why. */
bool simulated_fits(const struct recording *recording, const Cli__Handshake *handshake,
                    char why[256]);

#endif
