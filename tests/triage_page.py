"""A table of scores, its cutouts, and clients of the triage page."""

import contextlib
import json
import struct
import warnings

import numpy as np
import pandas as pd

with warnings.catch_warnings():
    # Older versions of starlette support only httpx, and newer ones prefer its successor.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from gridlens.triage._app import make_app
from gridlens.triage._guard import LOOPBACK, Guard
from gridlens.triage._serve import open_triage
from gridlens.triage._sessions import Sessions

N, SIDE = 40, 48
PORT = 8123
OWN = {"sec-fetch-site": "same-origin"}


def table_of(n):
    p = np.linspace(0.9, 0.01, n)
    return pd.DataFrame(
        {
            "id": [f"c{k:03d}" for k in range(n)],
            "path": "shard.npz",
            "ra": np.linspace(10.0, 20.0, n),
            "dec": -5.0,
            "rank": np.arange(n) + 1,
            "score": p,
            "p_lens": p,
            "p_low": p / 2,
            "p_high": np.minimum(2 * p, 1.0),
            "status": "ok",
        }
    )


def pixels_of(n, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    galaxy = 200.0 * np.exp(-np.hypot(x, y) / 4.0)
    return (rng.normal(size=(n, SIDE, SIDE, 3)) + galaxy[None, :, :, None] * [0.4, 1.0, 1.5]).astype(np.float32)


class Page(TestClient):
    """A client that can log in as a grader."""

    def log_in(self, grader):
        answer = self.get("/", params={"token": self.sessions.tokens[grader]}, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return self

    def post_json(self, path, **values):
        return self.post(path, json=values, headers=OWN)

    def send_queue(self, **values):
        return self.post_json("/api/queue", **values).json()

    def image(self, name, **query):
        answer = self.get(f"/api/image/{name}", params=query)
        assert answer.status_code == 200, answer.text
        return image_of(answer.content)


def image_of(content):
    """Return the header and the arrays of an image response."""
    (length,) = struct.unpack_from("<I", content)
    header = json.loads(content[4 : 4 + length])
    shape = (len(header["views"]), 3, header["height"], header["width"])
    values = np.frombuffer(content, "<u2", int(np.prod(shape)), 4 + length).reshape(shape)
    return header, values


@contextlib.contextmanager
def opened(graders=("ada",), **options):
    """Yield a function that returns a new client, logged in if it is given a grader."""
    triage = open_triage("scores.parquet", graders=graders, **options)
    sessions = Sessions(graders, triage.books)
    app = Guard(make_app(triage), sessions, LOOPBACK, PORT)

    def browser(grader=None):
        client = Page(app, f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
        client.sessions, client.triage = sessions, triage
        return client if grader is None else client.log_in(grader)

    try:
        yield browser
    finally:
        triage.close()
