"""Tests of online look-ups against a local server."""

import datetime
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pandas as pd
import pytest
from astropy.table import Table
from click.testing import CliRunner

from gridlens.cli import main
from gridlens.context import _online, look_up, match_known_lenses
from gridlens.errors import GridlensError


def votable(columns):
    text = io.BytesIO()
    Table(columns).write(text, format="votable")
    return text.getvalue()


LENSES = votable({"name": ["A lens"], "ra": [10.001], "dec": [5.0], "z": [0.3], "kind": ["LeI"], "ref": ["2020A"]})


@pytest.fixture
def server(monkeypatch):
    """Serve the statuses and bodies in a list, the last of them repeatedly, and record the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    answers, requests = [(200, LENSES)], []
    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{served.server_port}/sync"
        monkeypatch.setattr(_online, "_URLS", {"simbad": url, "vizier": url})
        monkeypatch.setattr(_online, "_FIRST_WAIT", 0.001)
        yield answers, requests
        served.shutdown()
        thread.join()


def test_answers_are_read_as_known_lenses_and_cached_with_a_date(server, tmp_path):
    _, requests = server
    found = look_up([10.0, float("nan"), 400.0], [5.0, 5.0, 5.0], cache=tmp_path)
    assert found.attrs["date"] == datetime.date.today().isoformat()
    assert match_known_lenses([10.0], [5.0], found)["known_lens"].tolist() == ["A lens"]
    assert found["type"].tolist() == ["cluster"]
    assert "TAP_UPLOAD.mine" in requests[0]
    assert "mine,param:mine" in requests[0]
    assert requests[0].count("<TR>") == 1
    pd.testing.assert_frame_equal(look_up([10.0], [5.0], cache=tmp_path), found)
    assert len(requests) == 1
    # An old answer is requested again.
    path = next(tmp_path.glob("simbad-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"date": "2020-01-01"}))
    look_up([10.0], [5.0], cache=tmp_path)
    assert len(requests) == 2


def test_failures_are_retried_and_then_reported(server, tmp_path):
    answers, requests = server
    answers[:] = [(503, b""), (429, b""), (200, LENSES)]
    assert len(look_up([10.0], [5.0], cache=tmp_path)) == 1
    assert len(requests) == 3
    for given, said, times in (
        ([(500, b"")], "did not answer .HTTP status 500", 4),
        ([(400, b"")], "did not answer .HTTP status 400", 1),
        ([(200, b"<html>")], "not a VOTable", 1),
    ):
        answers[:] = given
        requests.clear()
        with pytest.raises(GridlensError, match=said):
            look_up([11.0], [5.0], cache=tmp_path)
        assert len(requests) == times


def test_vizier_empty_answers_and_unknown_services(server, tmp_path):
    answers, requests = server
    answers[:] = [(200, votable({"Name": ["V"], "RAJ2000": [10.0], "DEJ2000": [5.0], "zph": [0.4]}))]
    found = look_up([10.0], [5.0], "vizier:J/A+A/1/1/lenses", cache=tmp_path)
    assert found["name"].tolist() == ["V"]
    assert 'FROM "J/A+A/1/1/lenses"' in requests[0]
    answers[:] = [(200, votable({"name": [], "ra": [], "dec": [], "z": [], "kind": [], "ref": []}))]
    assert len(look_up([12.0], [5.0], cache=tmp_path)) == 0
    assert len(look_up([], [], cache=tmp_path)) == 0
    for service in ("ned", "vizier", "simbad:basic"):
        with pytest.raises(ValueError, match="must be 'simbad' or 'vizier:TABLE'"):
            look_up([10.0], [5.0], service)


def test_command(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pd.DataFrame({"id": ["a"], "ra": [10.0], "dec": [5.0]}).to_csv(tmp_path / "scores.csv", index=False)
    arguments = ["context", str(tmp_path / "scores.csv"), "--out", str(tmp_path / "out.csv"), "--online", "simbad"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "simbad: 1 known lenses, as of 20" in done.stderr
    assert pd.read_csv(tmp_path / "out.csv")["context_known_lens"].tolist() == ["A lens"]
    assert CliRunner().invoke(main, [*arguments[:-1], "ned"]).exit_code == 2
