"""Fixtures: a folder with a table of scores and its cutouts, and a page that shows them."""

import importlib.util

import pytest

if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "httpx")):
    # The page is an optional extra, and most of these tests import it.
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from triage_page import N, pixels_of, table_of

    from gridlens.cutouts import CutoutSet, write_npz

    monkeypatch.chdir(tmp_path)
    table = table_of(N)
    table.to_parquet("scores.parquet")
    write_npz("shard.npz", CutoutSet(pixels_of(N), ids=table["id"]))
    return tmp_path


@pytest.fixture
def page(folder):
    from triage_page import opened

    with opened() as browser:
        yield browser("ada")


@pytest.fixture(autouse=True)
def without_a_process(monkeypatch, request):
    """Measure in this process, which takes milliseconds; a new process takes seconds."""
    from gridlens.triage._measuring import Measuring

    async def here(self, function, *values):
        return function(*values)

    if "slow" not in request.keywords:
        monkeypatch.setattr(Measuring, "_run", here)
        monkeypatch.setattr(Measuring, "start", lambda self, scores: None)
