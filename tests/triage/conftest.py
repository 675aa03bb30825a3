"""A folder with a table of scores and its cutouts, and a page that shows them."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from triage_page import N, opened, pixels_of, table_of

from gridlens.cutouts import CutoutSet, write_npz
from gridlens.triage._measuring import Measuring


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = table_of(N)
    table.to_parquet("scores.parquet")
    write_npz("shard.npz", CutoutSet(pixels_of(N), ids=table["id"]))
    return tmp_path


@pytest.fixture
def page(folder):
    with opened() as browser:
        yield browser("ada")


@pytest.fixture(autouse=True)
def without_a_process(monkeypatch, request):
    """Measure in this process, which takes milliseconds where a new one takes seconds."""

    async def here(self, function, *values):
        return function(*values)

    if "slow" not in request.keywords:
        monkeypatch.setattr(Measuring, "_run", here)
        monkeypatch.setattr(Measuring, "start", lambda self: None)
