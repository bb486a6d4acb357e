#include "services/edge/assets.h"
#include "services/edge/fake_net.h"

static const struct asset files[] = {
	{"/index.html",
         "text/html; charset=utf-8", "\"one\"",
         false, { "plain page", 10 },
         { "small", 5 },
         { "tiny", 4 }},
	{ "/assets/index-abc.js",
         "text/javascript",	  "\"two\"",
         true,  { "plain script", 12 },
         { 0 },
         { 0 }        },
};

static void open_edge(void)
{
	edge_open(1);
}

TestSuite(assets, .init = open_edge, .fini = edge_close);

static struct conn *asked_for(struct net_request request, bool *ret_is_one)
{
	struct conn *conn = conn_new(NET_HTTP);

	if (!request.method)
		request.method = "GET";
	request.host = request.host ? request.host : "raeh.example:8443";
	*ret_is_one = assets_answer(files, ARRAY_LEN(files), conn, &request) ||
	              assets_answer_page(files, ARRAY_LEN(files), conn, &request);
	return conn;
}

static struct conn *get(struct net_request request)
{
	bool is_one;
	struct conn *conn = asked_for(request, &is_one);

	cr_assert(is_one, "%s", request.path);
	return conn;
}

static void assert_header(const struct conn *conn, const char *line)
{
	cr_assert(strstr((char *)conn->headers.data, line) != NULL, "%s in %s", line,
	          (char *)conn->headers.data);
}

static void assert_body(const struct conn *conn, const char *text)
{
	cr_assert_eq(conn->body.len, strlen(text) + 1, "%s", (char *)conn->body.data);
	cr_assert_str_eq((char *)conn->body.data, text);
}

Test(assets, lets_a_browser_keep_what_is_named_by_its_content_and_ask_about_the_page)
{
	struct conn *page = get((struct net_request){ .path = "/" });
	struct conn *script = get((struct net_request){ .path = "/assets/index-abc.js" });

	cr_assert_eq(page->status, 200);
	assert_body(page, "plain page");
	assert_header(page, "Content-Type: text/html; charset=utf-8\r\n");
	assert_header(page, "Cache-Control: no-cache\r\n");
	assert_body(script, "plain script");
	assert_header(script, "Cache-Control: public, max-age=31536000, immutable\r\n");
}

Test(assets, sends_the_smallest_form_that_the_client_reads)
{
	const struct {
		const char *accepted, *body;
	} cases[] = {
		{"gzip, deflate, br", "tiny"      },
                { "gzip",             "small"     },
		{ "br;q=0, gzip",     "small"     },
                { "identity",         "plain page"},
		{ "gzip;q=0, br;q=0", "plain page"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_body(get((struct net_request){ .path = "/",
		                                      .accept_encoding = cases[i].accepted }),
		            cases[i].body);
	assert_header(get((struct net_request){ .path = "/", .accept_encoding = "br" }),
	              "Content-Encoding: br\r\n");
	assert_body(get((struct net_request){ .path = "/assets/index-abc.js",
	                                      .accept_encoding = "br" }),
	            "plain script");
}

Test(assets, says_304_to_who_has_the_page_already)
{
	struct conn *conn = get((struct net_request){ .path = "/", .if_none_match = "W/\"one\"" });

	cr_assert_eq(conn->status, 304);
	assert_header(conn, "ETag: W/\"one\"\r\n");
	cr_assert_eq(get((struct net_request){ .path = "/", .if_none_match = "W/\"old\"" })->status,
	             200);
}

Test(assets, has_a_policy_that_names_this_host_and_no_other)
{
	struct conn *conn = get((struct net_request){ .path = "/" });

	assert_header(conn, "default-src 'self'; connect-src 'self' ws://raeh.example:8443 "
	                    "wss://raeh.example:8443;");
	assert_header(conn, "frame-ancestors 'none'");
	assert_header(conn, "X-Content-Type-Options: nosniff\r\n");
	assert_header(conn, "Referrer-Policy: no-referrer\r\n");
	cr_assert_null(strstr((char *)conn->headers.data, "unsafe"));
	conn = get((struct net_request){ .path = "/", .host = "x; script-src *" });
	assert_header(conn, "connect-src 'self';");
	cr_assert_null(strstr((char *)conn->headers.data, "script-src *"));
}

Test(assets, answers_a_page_s_address_with_the_page_and_nothing_else_with_it)
{
	const char *no_page[] = { "/v1/nothing", "/v1", "/stream/ingest", "/robots.txt",
		                  "/assets/gone-abc.js" };
	bool is_one;

	assert_body(
	        get((struct net_request){ .path = "/keys/new", .accept = "text/html,*/*;q=0.8" }),
	        "plain page");
	for (size_t i = 0; i < ARRAY_LEN(no_page); i++) {
		(void)asked_for((struct net_request){ .path = no_page[i], .accept = "text/html" },
		                &is_one);
		cr_assert_not(is_one, "%s", no_page[i]);
	}
	(void)asked_for((struct net_request){ .path = "/keys", .accept = "*/*" }, &is_one);
	cr_assert_not(is_one, "a program asks for no page");
	(void)asked_for(
	        (struct net_request){ .path = "/keys", .method = "POST", .accept = "text/html" },
	        &is_one);
	cr_assert_not(is_one);
	cr_assert_eq(get((struct net_request){ .path = "/", .method = "POST" })->status, 405);
}
