/*
 * publisher_count - the number of publishers that a data directory was made for.
 *
 * A partition lives in the store of publisher (partition mod count), so another count
 * would look for sessions where they are not. The count is written to DATA/publishers
 * at the first start; another one is refused.
 */
#ifndef PUBLISHER_COUNT_H
#define PUBLISHER_COUNT_H

#include <stdbool.h>

/* False: logged. */
bool publisher_count_agrees(const char *data, unsigned publishers);

#endif
