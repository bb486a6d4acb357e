/*
 * insights_csv - insights as CSV (RFC 4180, but lines end with \n): the fields of the JSON
 * objects under the same names. Pure.
 */
#ifndef EDGE_INSIGHTS_CSV_H
#define EDGE_INSIGHTS_CSV_H

#include "common/mem.h"
#include "publisher.pb-c.h"

#define INSIGHTS_CSV_TYPE "text/csv; charset=utf-8"

void insights_csv_header(struct buf *ret);
void insights_csv_rows(const Publisher__InsightList *list, struct buf *ret);

#endif
