"""Who is answered: only this machine's own names, only with the token."""

from __future__ import annotations

import pytest

from mindlift.ui import gate

TOKEN = "aB-_3"


@pytest.mark.parametrize("host", ["127.0.0.1:8800", "localhost", "LOCALHOST:1", "[::1]:65535"])
def test_own_names_are_answered(host):
    assert gate.refusal(host, None) == ""
    assert gate.refusal(host, f"http://{host}") == ""


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8800",
        "127.0.0.1.evil.example",
        "evil.example#127.0.0.1",
        "localhost.evil.example:80",
        "localhost:",
        "127.0.0.1:8800 evil.example",
        "192.168.0.7:8800",
        "0.0.0.0:8800",
    ],
)
def test_a_name_that_was_turned_here_is_refused(host):
    """DNS rebinding: the browser sends the name of the page that asks."""
    assert gate.refusal(host, None) == gate.STRANGER


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1.evil.example"])
def test_a_page_of_another_site_is_refused(origin):
    assert gate.refusal("127.0.0.1:8800", origin) == gate.STRANGER


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/aB-_3/", ""),
        ("/aB-_3/show", "show"),
        ("/aB-_3/list.json", "list.json"),
        ("/aB-_3", None),
        ("/", None),
        ("/ab-_3/", None),
        ("/aB-_33/", None),
        ("/x/../aB-_3/", None),
        ("/aB-_3/../../etc/passwd", None),
        ("/aB-_3/%2e%2e/", None),
        ("//aB-_3/", None),
    ],
)
def test_the_token_comes_first(path, page):
    assert gate.page_of(path, TOKEN) == page
