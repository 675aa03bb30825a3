"""Tests that the tasks of the tutorials run from start to end."""

import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scenes import cluster
from walking import commands_of, snippets_of, walk

from gridlens.cutouts import CutoutSet, write_npz

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8")
N, KNOWN = 120, 20


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    home = tmp_path_factory.mktemp("tutorials")
    (home / "triplets").mkdir()
    for path in (ROOT / "examples" / "cutouts").glob("*.fits"):
        shutil.copy(path, home / "triplets")
    names = {re.split(r"_[gri](_sci)?\.fits", path.name)[0] for path in (home / "triplets").iterdir()}
    ids = [f"c{k:03d}" for k in range(N)]
    rows = [*sorted(names), *ids]
    positions = {"ra": np.linspace(10.0, 350.0, len(rows)), "dec": np.linspace(-60.0, 60.0, len(rows))}
    pd.DataFrame({"id": rows, **positions}).to_csv(home / "clusters.csv", index=False)
    rng = np.random.default_rng(3)
    pixels = [cluster(rng, 80, arc_px=20 if k < 2 * KNOWN else None, n_galaxies=8)[0] for k in range(N)]
    (home / "cutouts").mkdir()
    write_npz(home / "cutouts" / "0.npz", CutoutSet(np.stack(pixels).astype(np.float32), ids=ids, pixel_scale=0.5))
    pd.DataFrame({"id": ids[:KNOWN], "label": 1}).to_csv(home / "known.csv", index=False)
    done = walk(commands_of(PAGE), home, "pipe")
    for one in done:
        assert one["status"] == 0, f"{' '.join(one['words'])}\n{one['output']}"
    return home


def test_the_tutorial_of_the_best_twenty_runs(walked, monkeypatch):
    table = pd.read_csv(walked / "scores.csv")
    assert table["status"].eq("ok").all()
    assert (walked / "best-20" / "index.html").stat().st_size > 100_000
    assert (walked / "sheets" / "J014656-092952.png").is_file()
    monkeypatch.chdir(walked)
    for code in snippets_of(PAGE):
        exec(compile(code, "tutorials.md", "exec"), {})
    assert (walked / "best-20.png").is_file()


def test_the_tutorial_of_known_lenses_runs(walked):
    ranking = pd.read_csv(walked / "my-model.ranking.csv")
    assert sorted(ranking["id"][ranking["known_lens"] == 1]) == [f"c{k:03d}" for k in range(KNOWN)]
    unlabelled = ranking["id"][ranking["known_lens"] == 0]
    assert unlabelled.head(KNOWN).isin([f"c{k:03d}" for k in range(KNOWN, 2 * KNOWN)]).mean() > 0.7
    ranked = pd.read_csv(walked / "ranked.csv")
    assert len(ranked) == N
    # The other lenses resemble the known ones, so they rank high as well.
    assert ranked["id"].head(2 * KNOWN).isin([f"c{k:03d}" for k in range(2 * KNOWN)]).mean() > 0.8


def test_the_script_of_known_lenses_runs(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("known_lenses", ROOT / "examples" / "known_lenses.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(str(tmp_path), n=128, n_lenses=32, n_known=12, members=("linear",))
    assert "unknown lenses are among the best 32" in capsys.readouterr().out
