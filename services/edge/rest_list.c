/* The part of rest that makes lists of pages, and of the lists of several publishers. */
#include "services/edge/rest_internal.h"

#include "common/json.h"
#include "services/edge/insights_csv.h"
#include "services/edge/page_link.h"

#include <stdlib.h>
#include <string.h>

#define LIST_DEFAULT 50

/* behind: NULL, or of a list of insights the id of its last one. */
static char *link_behind(struct rest *rest, const char *param, const char *cursor)
{
	const ProtobufCMessage *command = rest_chosen(rest->request, rest->route->command);

	if (!cursor || !rest->path)
		return xstrdup("");
	return page_link(rest->path, rest->query, command->descriptor, param, cursor);
}

char *rest_next_page(struct rest *rest)
{
	const char *const *next = rest_member(rest->replies[0], "next");

	return link_behind(rest, "cursor", next ? *next : NULL);
}

/* For insights the id of the last one is the cursor. */
static char *link_behind_insights(struct rest *rest, const char *param,
                                  const Publisher__InsightList *list)
{
	bool more = list->n_items > 0 && rest->is_cut;

	return link_behind(rest, param, more ? list->items[list->n_items - 1]->id : NULL);
}

static int newer_insight(const void *a, const void *b)
{
	const Publisher__Insight *const *left = a, *const *right = b;

	return strcmp((*right)->id, (*left)->id); /* ids sort by time */
}

/* New; the insights are borrowed from the replies. */
static Publisher__Insight **gathered(struct rest *rest, size_t *ret_n)
{
	size_t n = 0, room = 0;
	Publisher__Insight **items;

	for (unsigned i = 0; i < rest->n_replies; i++) {
		const Publisher__PublisherReply *reply =
		        (const Publisher__PublisherReply *)rest->replies[i];

		room += reply->insights->n_items;
		rest->is_cut = rest->is_cut || reply->more;
	}
	items = xcalloc(room, sizeof *items);
	for (unsigned i = 0; i < rest->n_replies; i++) {
		const Publisher__InsightList *list =
		        ((Publisher__PublisherReply *)rest->replies[i])->insights;

		for (size_t k = 0; k < list->n_items; k++)
			items[n++] = list->items[k];
	}
	*ret_n = n;
	return items;
}

static bool is_csv(struct rest *rest)
{
	const char *const *format = rest_member(rest_command(rest), "format");

	return *format && strcmp(*format, "csv") == 0;
}

/* Ended by its zero. */
static void answer_csv(struct rest *rest, struct buf *text, const char *link)
{
	buf_append(text, "", 1);
	rest_answer_get(rest, INSIGHTS_CSV_TYPE, (const char *)text->data, link);
	rest_hand_over(rest);
}

static void answer_list(struct rest *rest, const Publisher__InsightList *list, const char *link)
{
	struct buf text = { 0 };

	if (!is_csv(rest)) {
		rest_answer_message(rest, &list->base, link);
		return;
	}
	insights_csv_header(&text);
	insights_csv_rows(list, &text);
	answer_csv(rest, &text, link);
	buf_free(&text);
}

void rest_merge_insights(struct rest *rest)
{
	const Publisher__ListInsights *command =
	        ((const Publisher__PublisherRequest *)rest->request)->list_insights;
	size_t limit = command->has_limit ? command->limit : LIST_DEFAULT;
	Publisher__InsightList merged = PUBLISHER__INSIGHT_LIST__INIT;
	Publisher__Insight **items = gathered(rest, &merged.n_items);
	char *link;

	qsort(items, merged.n_items, sizeof(Publisher__Insight *), newer_insight);
	if (merged.n_items > limit) {
		merged.n_items = limit;
		rest->is_cut = true;
	}
	merged.items = items;
	link = link_behind_insights(rest, "cursor", &merged);
	answer_list(rest, &merged, link);
	mem_free(link);
	mem_free(items);
}

/* The elements of a list behind those of the pages before. */
static void append_page(struct rest *rest, const Publisher__InsightList *list)
{
	struct buf *pages = &rest->pages;
	char *json;
	size_t len;

	if (is_csv(rest)) {
		if (pages->len == 0)
			insights_csv_header(pages);
		insights_csv_rows(list, pages);
		return;
	}
	json = json_of_message(&list->base);
	len = strlen(json);
	if (pages->len == 0)
		buf_append(pages, "[", 1);
	else if (len > 2)
		buf_append(pages, ",", 1);
	buf_append(pages, json + 1, len - 2);
	mem_free(json);
}

static void answer_pages(struct rest *rest, const Publisher__InsightList *last)
{
	char *link = link_behind_insights(rest, "after", last);

	if (is_csv(rest)) {
		answer_csv(rest, &rest->pages, link);
	} else {
		buf_append(&rest->pages, "]", 2); /* with its zero */
		rest_answer(rest, rest->route->status, (const char *)rest->pages.data, link);
	}
	mem_free(link);
}

void rest_take_page(struct rest *rest)
{
	Publisher__SessionInsights *command =
	        ((Publisher__PublisherRequest *)rest->request)->session_insights;
	const Publisher__PublisherReply *reply =
	        (const Publisher__PublisherReply *)rest->replies[0];
	const Publisher__InsightList *list = reply->insights;

	append_page(rest, list);
	rest_hold(rest, rest->pages.len);
	if (!rest_has_room(rest)) {
		rest_refuse(rest, 503, REST_NO_ROOM, "Retry-After: 10\r\n");
		return;
	}
	if (list->n_items == 0 || command->has_limit) {
		rest->is_cut = command->has_limit && reply->more;
		answer_pages(rest, list);
		return;
	}
	if (rest->pages.len > REST_LIST_BYTES) {
		rest_refuse(rest, 413,
		            "the list is too long for one answer: ask with limit and after", "");
		return;
	}
	mem_free(command->after);
	command->after = xstrdup(list->items[list->n_items - 1]->id);
	rest_ask_service(rest);
}
