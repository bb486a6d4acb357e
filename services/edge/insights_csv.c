#include "services/edge/insights_csv.h"

#include <stdio.h>
#include <string.h>

static void append(struct buf *ret, const char *text)
{
	buf_append(ret, text, strlen(text));
}

void insights_csv_header(struct buf *ret)
{
	append(ret, "type,value,unit,ts,session_id,device_id,confidence,sqi_class,id,t,"
	            "uncalibrated\n");
}

/* In quotes when it must be: the one field that is the client's own. */
static void append_field(struct buf *ret, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		append(ret, text);
		return;
	}
	append(ret, "\"");
	for (const char *p = text; *p; p++)
		buf_append(ret, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
	append(ret, "\"");
}

static void append_row(const Publisher__Insight *insight, struct buf *ret)
{
	char text[192];

	(void)snprintf(text, sizeof text, "%s,%.10g,%s,%lld,%s,", insight->type, insight->value,
	               insight->unit, (long long)insight->ts, insight->session_id);
	append(ret, text);
	append_field(ret, insight->device_id);
	(void)snprintf(text, sizeof text, ",%.10g,%s,%s,%lld,%s\n", insight->confidence,
	               insight->sqi_class, insight->id, (long long)insight->t,
	               insight->uncalibrated ? "true" : "");
	append(ret, text);
}

void insights_csv_rows(const Publisher__InsightList *list, struct buf *ret)
{
	for (size_t i = 0; i < list->n_items; i++)
		append_row(list->items[i], ret);
}
