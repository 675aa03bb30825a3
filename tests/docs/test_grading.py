"""Test of the guide to grading: its commands lead from a ranked list to a better model."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from walking import commands_of, snippets_of, walk

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "grading.md").read_text(encoding="utf-8")


def graded(path, truth, wrong, seed):
    """Grade a queue as a person would who is wrong about a fraction of the objects."""
    queue = pd.read_csv(path)
    rng = np.random.default_rng(seed)
    lens = queue["object_id"].map(truth).to_numpy().astype(bool) ^ (rng.random(len(queue)) < wrong)
    return queue.assign(grade=np.where(lens, rng.choice(["A", "B"], len(queue)), rng.choice(["X", "C"], len(queue))))


def test_the_steps_of_the_guide_give_a_better_model(tmp_path, monkeypatch):
    # `walk` would reduce "--n 400" to eight scenes, which are too few for a pool.
    commands = [
        [re.sub("^400$", "--n=240", re.sub("^100$", "60", word)) for word in words if word != "--n"]
        for words in commands_of(PAGE)
    ]
    first = [words for words in commands if words[1] in ("simulate", "score") or words[2] == "queue"][:3]
    for one in walk(first, tmp_path, "pipe"):
        assert one["status"] == 0, f"{' '.join(one['words'])}\n{one['output']}"
    truth = pd.read_csv(tmp_path / "pool" / "truth.csv").set_index("id")["label"]
    queue = pd.read_csv(tmp_path / "queue.csv")
    assert len(queue) == 60
    assert queue["grade"].isna().all()
    assert not {"score", "p_lens", "kind"} & set(queue.columns)
    assert len(list((tmp_path / "sheets").glob("*.png"))) == 60
    graded(tmp_path / "queue.csv", truth, 0.1, 1).to_csv(tmp_path / "bobs-queue.csv", index=False)
    graded(tmp_path / "queue.csv", truth, 0.05, 0).to_csv(tmp_path / "queue.csv", index=False)
    rest = [words for words in commands if words not in first]
    done = walk(rest, tmp_path, "terminal")
    for one in done:
        assert one["status"] == 0, f"{' '.join(one['words'])}\n{one['output']}"
    assert any("kappa" in one["output"] for one in done)
    card = (tmp_path / "better-model" / "card.md").read_text(encoding="utf-8")
    assert card.startswith("This model is accepted")
    assert len(pd.read_parquet(tmp_path / "better.parquet")) == 240
    assert set(pd.read_csv(tmp_path / "replay" / "replay.csv")["strategy"]) == {"top, no retraining", "mix"}
    assert (tmp_path / "replay" / "replay.png").stat().st_size > 20_000
    monkeypatch.chdir(tmp_path)
    for code in snippets_of(PAGE):
        names = {}
        exec(compile(code, "grading.md", "exec"), names)
        assert names["found"].objects["q_grades"].between(0.0, 1.0).all()
