"""The dashboard's files, as a browser gets them from the edge."""
import gzip
import re

import httpx
import pytest


@pytest.fixture(scope="module")
def http(stack):
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=20) as client:
        yield client


def page(http, path="/", **headers):
    return http.get(path, headers={"Accept": "text/html,application/xhtml+xml"} | headers)


def test_the_page_may_do_nothing_but_what_it_must(http, stack):
    answer = page(http)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    policy = dict(part.strip().split(" ", 1)
                  for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    host = stack.url.removeprefix("http://")
    assert policy["connect-src"] == f"'self' ws://{host} wss://{host}"
    assert "unsafe" not in str(policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", answer.text), \
        "nothing inline"
    assert not re.search(r"(src|href)=\"(https?:)?//", answer.text), "of no other host"


def test_every_file_that_the_page_names_is_there_and_kept_for_ever(http):
    names = re.findall(r"(?:src|href)=\"(/[^\"]+)\"", page(http).text)
    assert any(name.endswith(".js") for name in names)
    for name in names:
        answer = http.get(name)
        assert answer.status_code == 200, name
        assert name.startswith("/assets/")
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_a_file_comes_compressed_to_who_can_read_that(http, stack):
    script = next(name for name in re.findall(r"src=\"(/[^\"]+\.js)\"", page(http).text)
                  if "index" in name)
    plain = http.get(script, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    with http.stream("GET", script, headers={"Accept-Encoding": "gzip"}) as answer:
        small = b"".join(answer.iter_raw())
        assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small) == plain.content
    with http.stream("GET", script, headers={"Accept-Encoding": "gzip, br"}) as answer:
        smaller = b"".join(answer.iter_raw())
        assert answer.headers["Content-Encoding"] == "br"
    assert len(smaller) < len(small) < len(plain.content)
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_all_of_it_is_small(http):
    total = 0
    for name in {"/", *re.findall(r"(?:src|href)=\"(/[^\"]+)\"", page(http).text)}:
        with http.stream("GET", name, headers={"Accept-Encoding": "gzip"}) as answer:
            total += len(b"".join(answer.iter_raw()))
    assert total < 150_000


def test_who_has_the_page_is_told_so(http):
    tag = page(http).headers["ETag"]
    again = page(http, **{"If-None-Match": tag})
    assert again.status_code == 304 and again.content == b""
    assert page(http, **{"If-None-Match": 'W/"other"'}).status_code == 200


def test_a_page_s_own_address_leads_to_it_and_nothing_else_does(http):
    for path in ("/keys", "/devices/0192f0c0-0000-7000-8000-00000000abcd", "/invite/raehi_x"):
        assert page(http, path).text == page(http).text
        assert http.get(path, headers={"Accept": "*/*"}).status_code == 404
    for path in ("/v1/nothing", "/robots.txt", "/assets/index-gone.js", "/..%2f..%2fetc/passwd.x"):
        answer = page(http, path)
        assert answer.status_code == 404, path
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert http.post("/", content=b"").status_code == 405
    assert http.head("/").status_code == 200 and http.head("/").content == b""
