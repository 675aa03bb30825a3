"""Tests of the command, the server's address, unusable tables, and the page in one file."""

import base64
import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from triage_page import N, opened, table_of

from gridlens.cli import main
from gridlens.errors import GridlensError
from gridlens.grading import GradeBook
from gridlens.grading import _connection as connection
from gridlens.triage import export_page, serve
from gridlens.triage._export import STATIC, png
from gridlens.triage._keys import KEYS, read_criteria, read_keys
from gridlens.triage._scores import ScoreTable


def run(*arguments):
    return CliRunner().invoke(main, ["triage", *map(str, arguments)])


@contextlib.contextmanager
def running(*arguments):
    """Run the command in a separate process; yield the process and the first line that it prints."""
    command = [sys.executable, "-m", "gridlens", "triage", *map(str, arguments), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def command_of(pid):
    """Return the command of a running process, or "" without one."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def children_of(pid):
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="requires the list of processes in /proc")
def test_the_command_serves_until_interrupted_and_stores_every_grade(folder):
    with running("scores.parquet", "--grader", "ada") as (process, link):
        base, _, token = link.partition("/?token=")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", base) and len(token) > 40
        cookies = urllib.request.HTTPCookieProcessor()
        browser = urllib.request.build_opener(cookies)
        with contextlib.suppress(urllib.error.HTTPError):  # the page itself may be missing
            browser.open(link)
        assert json.load(browser.open(f"{base}/api/session"))["n_pool"] == N
        body = json.dumps({"object_id": "c000", "grade": "A"}).encode()
        headers = {"content-type": "application/json", "origin": base}
        browser.open(urllib.request.Request(f"{base}/api/grade", body, headers))
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(f"{base}/api/session", headers={"host": "evil.org"}))
        browser.open(f"{base}/api/image/c000?views=blue")
        (worker,) = [child for child in children_of(process.pid) if "spawn_main" in command_of(child)]
        process.kill()
        process.wait()
        for _ in range(300):
            if not command_of(worker):
                break
            time.sleep(0.1)
        assert not command_of(worker), "the measuring process is still running after the server"
    with GradeBook.open("grades.sqlite") as book:
        assert book.current()[["object_id", "grader", "grade"]].to_numpy().tolist() == [["c000", "ada", "A"]]
    with running("scores.parquet", "--graders", "ada,bob") as (process, line):
        assert line.startswith("ada: http://127.0.0.1:")
        assert process.stdout.readline().startswith("bob: ")
        process.send_signal(2)
        assert process.wait(20) == 0


def test_a_port_in_use_has_a_clear_message(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run("scores.parquet", "--port", port, "--no-browser")
    assert result.exit_code == 1
    assert f"The port {port} is in use" in result.stderr and "--port 0" in result.stderr
    assert not (folder / "grades.sqlite").exists()


def test_another_host_requires_consent_and_warns(folder, monkeypatch):
    hosts = []
    monkeypatch.setattr("gridlens.triage.serve", lambda scores, **options: hosts.append(options["allow_host"]))
    result = run("scores.parquet", "--no-browser")
    assert result.exit_code == 0 and "not encrypted" not in result.stderr
    result = run("scores.parquet", "--no-browser", "--allow-host", "clusters.example.org")
    assert result.exit_code == 0 and "not encrypted" in result.stderr and "ssh -L" in result.stderr
    assert hosts == [None, "clusters.example.org"]


@pytest.mark.parametrize(
    ("host", "said"),
    [("0.0.0.0", "not an address that a browser can open"), ("192.0.2.1", "cannot answer at 192.0.2.1")],
)
def test_a_host_of_another_machine_is_refused(folder, host, said):
    with pytest.raises(GridlensError, match=said):
        serve("scores.parquet", announce=print, graders=["ada"], allow_host=host)


def test_the_server_listens_on_loopback_unless_a_host_is_allowed(folder, monkeypatch):
    """The server listens at 127.0.0.1, and at all addresses only for an allowed host that is not local."""
    import uvicorn

    seen = {}

    def recording_run(self, sockets):
        seen["address"], seen["hosts"] = sockets[0].getsockname()[0], self.config.app._hosts

    monkeypatch.setattr(uvicorn.Server, "run", recording_run)
    serve("scores.parquet", announce=seen.update, graders=["ada"])
    assert seen["address"] == "127.0.0.1" and seen["hosts"] == {"127.0.0.1", "localhost", "::1"}
    assert seen["ada"].startswith("http://127.0.0.1:")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))])
    serve("scores.parquet", announce=seen.update, graders=["ada"], allow_host="clusters.example.org")
    assert "clusters.example.org" in seen["hosts"] and seen["ada"].startswith("http://clusters.example.org:")
    assert seen["address"] == "0.0.0.0"
    serve("scores.parquet", announce=seen.update, graders=["ada"], allow_host="localhost")
    assert seen["address"] == "127.0.0.1"


def test_usage_errors(folder):
    assert run("scores.parquet", "--grader", "ada", "--graders", "ada,bob").exit_code == 2
    result = run("scores.parquet", "--graders", "ada,ada")
    assert result.exit_code == 2 and "different names" in result.stderr
    with pytest.raises(ValueError, match="'graders' parameter"), opened(()):
        pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="id"), "must have the columns id, and score or p_lens"),
        (lambda table: table.drop(columns=["score", "p_lens"]), "must have the columns id, and score or p_lens"),
        (lambda table: table.head(0), "is empty"),
        (lambda table: pd.concat([table, table.head(2)]), "2 ids twice"),
        (lambda table: table.assign(id=table["id"].replace("c003", "")), "a blank id"),
    ],
)
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_an_unusable_table_has_a_clear_message(folder, change, said, suffix):
    table = change(table_of(N))
    table.to_parquet("other.parquet") if suffix == "parquet" else table.to_csv("other.csv", index=False)
    result = run(f"other.{suffix}", "--no-browser")
    assert result.exit_code == 1 and said in result.stderr


def test_a_missing_or_damaged_table_has_a_clear_message(folder):
    assert "There is no table" in run("none.parquet").stderr
    (folder / "bad.parquet").write_bytes(b"PAR1 and no more")
    assert "cannot be read" in run("bad.parquet").stderr


def test_a_table_of_a_later_version_is_read_by_its_columns(folder):
    table_of(N).assign(new_column=[{"a": 1}] * N, other=pd.Timestamp("2026-01-01")).to_parquet("later.parquet")
    table = ScoreTable("later.parquet")
    assert table.values(["c001", "nobody"])["c001"]["p_low"] == pytest.approx(table_of(N)["p_low"][1])
    assert table.best(2) == ["c000", "c001"] and len(table) == N
    assert set(table.candidates()) == {"object_id", "p_lens", "score", "status"}


@pytest.mark.parametrize("suffix", ["csv", "fits", "votable"])
def test_other_table_formats_give_the_same_objects(folder, suffix):
    from gridlens._tables import write_table

    table = table_of(N).assign(id=[f"{k:04d}" for k in range(N)], p_low=np.nan)
    write_table(table, f"other.{suffix}")
    read = ScoreTable(f"other.{suffix}")
    assert read.ids[:2] == ["0000", "0001"] and read.paths == ["shard.npz"]
    assert read.values(["0001"])["0001"]["p_low"] is None
    assert read.positions(["0001"])["ra"].tolist() == pytest.approx([table["ra"][1]])


def test_ids_are_normalised(folder):
    table_of(3).assign(id=[7, 8, 9]).to_parquet("numbers.parquet")
    assert ScoreTable("numbers.parquet").ids == ["7", "8", "9"]
    table_of(3).assign(id=[" a", "b\n", "c"]).to_parquet("blanks.parquet")
    assert ScoreTable("blanks.parquet").ids == ["a", "b", "c"]


def test_rejected_rows_are_never_among_the_best(folder):
    table_of(5).assign(status=["rejected", "ok", "ok", "ok", "ok"]).to_parquet("some.parquet")
    assert ScoreTable("some.parquet").best(2) == ["c001", "c002"]


def test_a_locked_book_has_a_clear_message_and_can_be_retried(page):
    page.post_json("/api/grade", object_id="c000", grade="A")
    page.triage.books.wait(lambda book: book._connection.execute("PRAGMA busy_timeout = 50"))
    with contextlib.closing(sqlite3.connect("grades.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = page.post_json("/api/grade", object_id="c001", grade="A")
        assert answer.status_code == 503 and "locked by another process" in answer.json()["error"]
        other.execute("ROLLBACK")
    assert page.post_json("/api/grade", object_id="c001", grade="A").status_code == 200
    assert connection.BUSY_SECONDS == 10.0


def test_a_table_with_other_objects_is_refused(folder):
    with opened() as browser:
        assert browser("ada").post_json("/api/queue", batch=3).status_code == 200
    table_of(N - 1).to_parquet("scores.parquet")
    with opened() as browser:
        page = browser("ada")
        for item in page.get("/api/queue").json()["items"]:
            place = {"queue_id": page.get("/api/queue").json()["queue_id"], "position": item["position"]}
            page.post_json("/api/grade", object_id=item["object_id"], grade="X", **place)
        answer = page.post_json("/api/queue", batch=3)
        assert answer.status_code == 409 and "differ from those" in answer.json()["error"]


def test_concurrent_graders_lose_no_grade(folder):
    names = [f"c{k:03d}" for k in range(N)]
    with opened(("ada", "bob")) as browser:
        pages = [browser("ada"), browser("bob")]
        failed = []

        def grade(page):
            failed.extend(
                name for name in names if page.post_json("/api/grade", object_id=name, grade="C").status_code != 200
            )

        threads = [threading.Thread(target=grade, args=(page,)) for page in pages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed
    with GradeBook.open("grades.sqlite") as book:
        assert book.current()["grader"].value_counts().to_dict() == {"ada": N, "bob": N}


def test_no_key_has_two_actions():
    codes = [code for listed in KEYS.values() for code in listed]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"undo": "KeyX"}, "gives KeyX to both grade_x and undo"),
        ({"jump": "KeyJ"}, "unknown action 'jump'"),
        ({"undo": []}, "must be a code"),
        ({"undo": 7}, "must be a code"),
        ([], "must hold one JSON object"),
    ],
)
def test_invalid_keys_have_a_clear_message(tmp_path, stated, said):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(stated))
    with pytest.raises(GridlensError, match=said):
        read_keys(path)


def test_keys_and_criteria_are_read(tmp_path):
    (tmp_path / "keys.json").write_text('{"undo": "Backspace", "grade_x": ["KeyJ"]}')
    keys = read_keys(tmp_path / "keys.json")
    assert keys["undo"] == ["Backspace"] and keys["grade_x"] == ["KeyJ"] and keys["grade_a"] == KEYS["grade_a"]
    (tmp_path / "criteria.json").write_text('[{"grade": "A", "meaning": "an arc", "object_id": 7}]')
    assert read_criteria(tmp_path / "criteria.json") == [{"grade": "A", "meaning": "an arc", "object_id": "7"}]
    (tmp_path / "criteria.json").write_text('[{"grade": "Z", "meaning": "an arc"}]')
    with pytest.raises(GridlensError, match="JSON list of objects with grade"):
        read_criteria(tmp_path / "criteria.json")
    with pytest.raises(GridlensError, match="cannot be read as JSON"):
        read_keys(tmp_path / "none.json")


@pytest.fixture
def template():
    if not (STATIC / "export.html").exists():
        pytest.skip("the files of the page are missing")


def test_a_page_in_one_file(folder, template):
    result = run("scores.parquet", "--export", "out", "--batch", 4, "--grader", "bob")
    assert result.exit_code == 0, result.output
    text = (folder / "out" / "index.html").read_text()
    assert result.stdout.strip() == os.path.join("out", "index.html")
    assert not re.search(r"""(src|href)=["'](?!data:)""", text) and "{{" not in text
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))
    assert len(data["items"]) == 4 and set(data["items"][0]) == {"object_id", "position", "image"}
    assert base64.b64decode(data["items"][0]["image"].partition(",")[2])[:4] == b"\x89PNG"
    assert "score" not in json.dumps([{**item, "image": ""} for item in data["items"]])
    with GradeBook.open("grades.sqlite") as book:
        assert (book.objects()["pixels_sha256"] != "").sum() >= 4
    # The same queue is exported again to another folder until it is graded.
    assert run("scores.parquet", "--export", "out", "--grader", "bob").exit_code == 1
    made = export_page("scores.parquet", "again", graders=["bob"])
    again = json.loads(re.search(r'id="data">(.*?)</script>', made.path.read_text(), re.S).group(1))
    assert again["queue_id"] == data["queue_id"] and made.missing == []


def test_a_page_without_cutouts_is_not_written(folder, template):
    (folder / "shard.npz").unlink()
    with pytest.raises(GridlensError, match="No cutout of the 3 objects"):
        export_page("scores.parquet", "out", graders=["bob"], batch=3)
    assert not (folder / "out" / "index.html").exists()


def test_a_png_has_the_pixels():
    image = pytest.importorskip("PIL.Image")
    import io

    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert (np.asarray(image.open(io.BytesIO(png(rgb)))) == rgb).all()


def test_help_lists_the_command_without_its_libraries():
    code = "import sys; from gridlens.cli import main; print({'starlette', 'pandas', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
