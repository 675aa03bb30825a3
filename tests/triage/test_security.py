"""Tests of each rule of the guard; each test fails without its rule."""

import json

import pytest
from triage_page import OWN, PORT, opened

from gridlens.triage._guard import host_and_port

BODY = {"object_id": "c000", "grade": "A"}


@pytest.mark.parametrize(
    "host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}", f"[0:0::1]:{PORT}"]
)
def test_the_server_answers_to_its_own_hosts(page, host):
    cookies = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    assert page.get("/api/session", headers={"host": host, "cookie": cookies}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.org",
        f"evil.org:{PORT}",
        f"127.0.0.1.evil.org:{PORT}",
        f"127.0.0.1:{PORT + 1}",
        "127.0.0.1",
        "localhost",
        f"localhost:{PORT}@evil.org",
        f"[::1].evil.org:{PORT}",
        f"[::2]:{PORT}",
        f"::1:{PORT}",
        f"[::1:{PORT}",
        "",
    ],
)
def test_the_server_answers_to_no_other_host(page, host):
    cookies = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    answer = page.get("/api/session", headers={"host": host, "cookie": cookies})
    assert answer.status_code == 403 and "own address" in answer.json()["error"]
    # A token is not accepted under another host either.
    assert page.get("/?token=x", headers={"host": host}).status_code == 403


def test_a_request_with_several_hosts_is_refused(page):
    cookies = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    own = ("host", f"127.0.0.1:{PORT}")
    for hosts in ([own, ("host", "evil.org")], [own, own]):
        assert page.get("/api/session", headers=[*hosts, ("cookie", cookies)]).status_code == 403


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", ("localhost", None)),
        ("a:80", ("a", 80)),
        ("[::1]", ("::1", None)),
        ("[::ffff:127.0.0.1]:1", ("::ffff:7f00:1", 1)),
        ("a:80:90", (None, None)),
        ("a:", (None, None)),
        ("a:-1", (None, None)),
        ("a:８０", (None, None)),
        ("[]:80", (None, None)),
    ],
)
def test_hosts_are_parsed_as_in_browsers(text, expected):
    assert host_and_port(text) == expected


def test_an_address_is_allowed_in_any_spelling(folder):
    from gridlens.triage._guard import Guard

    assert Guard(None, None, ["FE80:0::1", "Clusters.example.org"], PORT)._hosts == {"fe80::1", "clusters.example.org"}


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/session", "/api/queue", "/api/image/c000", "/nothing"])
def test_nothing_is_shown_without_a_cookie(folder, path):
    with opened() as browser:
        answer = browser().get(path)
        assert answer.status_code == 401 and "not logged in" in answer.text
        wrong = browser()
        wrong.cookies.set(f"gridlens-triage-{PORT}", "guessed")
        assert wrong.get(path).status_code == 401


def test_a_token_works_once(folder):
    with opened(("ada", "bob")) as browser:
        client = browser()
        token = client.sessions.tokens["ada"]
        assert client.get("/?token=wrong").status_code == 403
        answer = client.get("/", params={"token": token}, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        said = answer.headers["set-cookie"].lower()
        assert "httponly" in said and "samesite=strict" in said and "path=/" in said
        assert token not in said
        again = browser().get("/", params={"token": token}, follow_redirects=False)
        assert again.status_code == 403 and "has been used" in again.text and "set-cookie" not in again.headers
        # The browser that used the token is already logged in.
        assert client.get("/", params={"token": token}, follow_redirects=False).status_code == 303
        assert client.get("/api/session").json()["grader"] == "ada"
        assert browser("bob").get("/api/session").json()["grader"] == "bob"


def test_tokens_are_compared_in_constant_time(page, monkeypatch):
    import secrets

    compared = []
    real = secrets.compare_digest
    monkeypatch.setattr(secrets, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    with opened(("ada", "bob")) as browser:
        browser().get("/?token=wrong")
    assert len(compared) == 2


def test_a_link_from_another_site_reloads_the_page(folder):
    with opened() as browser:
        answer = browser().get("/", headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 200 and answer.headers["refresh"] == "0; url=/"


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"sec-fetch-site": "same-origin", "origin": f"http://127.0.0.1:{PORT}"},
        {"origin": f"http://127.0.0.1:{PORT}"},
    ],
)
def test_the_page_itself_may_change_the_state(page, headers):
    assert page.post("/api/grade", json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": f"http://127.0.0.1:{PORT}"},
        {"origin": "null"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": f"http://localhost:{PORT}"},
        {"origin": "http://evil.org"},
    ],
)
def test_no_other_page_may_change_the_state(page, headers):
    answer = page.post("/api/grade", json=BODY, headers=headers)
    assert answer.status_code == 403 and "another page" in answer.json()["error"]
    assert page.get("/api/history").json() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_a_form_may_not_change_the_state(page, kind):
    headers = OWN if kind is None else {**OWN, "content-type": kind}
    answer = page.post("/api/grade", content=json.dumps(BODY), headers=headers)
    assert answer.status_code == 415 and page.get("/api/history").json() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_state_is_changed_only_by_post(page, method):
    answer = page.request(method, "/api/grade", headers=OWN)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/", "/static/app.js", "/api/session", "/api/image/c000", "/?token=wrong", "/nothing"]
)
def test_every_answer_has_the_headers(page, path):
    headers = page.get(path, headers={"origin": "http://evil.org"}).headers
    policy = headers["content-security-policy"]
    for rule in ("default-src 'self'", "img-src 'self' blob: data:", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_large_request_is_refused(page):
    answer = page.post_json("/api/grade", **BODY, note="x" * 70_000)
    assert answer.status_code == 413 and "64 kB" in answer.json()["error"]

    def parts():
        yield b'{"note": "'
        for _ in range(70):
            yield b"x" * 1000
        yield b'"}'

    answer = page.post("/api/grade", content=parts(), headers={**OWN, "content-type": "application/json"})
    assert answer.status_code == 413 and page.get("/api/history").json() == []


@pytest.mark.parametrize("body", ["", "[1]", "{", '"x"', "[" * 30_000, "\xff"])
def test_a_request_must_be_a_json_object(page, body):
    answer = page.post("/api/grade", content=body, headers={**OWN, "content-type": "application/json"})
    assert answer.status_code == 422 and "JSON object" in answer.json()["error"]


def test_a_note_is_sent_as_text(page):
    note = "<script>alert(1)</script>"
    page.post_json("/api/grade", **BODY, note=note)
    answer = page.get("/api/history")
    assert answer.json()[0]["note"] == note and answer.headers["content-type"] == "application/json"


def test_static_files_stay_in_their_folder(page):
    for path in ("/static/../_app.py", "/static/%2e%2e/_app.py", "/static/..%2f_app.py", "/static//etc/passwd"):
        assert page.get(path).status_code == 404
