"""Training on one's own cutouts, and on what was measured of them before."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from gridlens.cli import main
from gridlens.features import FEATURE_NAMES, FeatureCacheWriter, Measured

MEMBERS = ("--members", "linear(turns=False)", "--jobs", "1")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def measured(n, first=0):
    """Rows whose labels one feature tells, in turn."""
    X = np.random.default_rng(first).normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)
    y = np.arange(n) % 2
    X[:, FEATURE_NAMES.index("patch0_arc_snr")] += 4.0 * y
    ids = np.array([f"c{first + k}" for k in range(n)], dtype=object)
    nothing = np.full(n, "", dtype=object)
    return Measured(ids, nothing, X, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), nothing, np.ones(n)), y


def write(path, rows):
    with FeatureCacheWriter(path, "a test") as writer:
        writer.add(rows)
    return path


@pytest.fixture
def cache(tmp_path):
    return write(tmp_path / "features.parquet", measured(300)[0])


@pytest.fixture
def labels(tmp_path):
    rows, y = measured(300)
    pd.DataFrame({"id": rows.ids, "label": y}).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv"


@pytest.fixture
def model(cache, labels, tmp_path):
    result = run("train", "--data", cache, "--labels", labels, "--out", tmp_path / "mine", *MEMBERS)
    assert result.exit_code == 0, result.stderr
    assert "# A model of labelled cutouts" in result.stdout
    assert "## Scores out of fold, 300 rows" in result.stdout
    return tmp_path / "mine"


def test_a_model_of_a_cache_scores_another(model, tmp_path):
    rows, y = measured(100, first=1000)
    write(tmp_path / "new.parquet", rows)
    result = run("score", tmp_path / "new.parquet", "--model", model, "--out", tmp_path / "scores.csv")
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(tmp_path / "scores.csv").set_index("id").loc[rows.ids]
    assert table["score"][y == 1].mean() - table["score"][y == 0].mean() > 0.1


def test_a_cache_is_evaluated_like_its_scores(model, tmp_path):
    pytest.importorskip("matplotlib")
    rows, y = measured(200, first=2000)
    write(tmp_path / "new.parquet", rows)
    pd.DataFrame({"id": rows.ids, "label": y}).to_csv(tmp_path / "truth.csv", index=False)
    assert run("score", tmp_path / "new.parquet", "--model", model, "--out", tmp_path / "scores.csv").exit_code == 0
    found = []
    for name, what in (("one", tmp_path / "scores.csv"), ("two", tmp_path / "new.parquet")):
        out = tmp_path / name
        options = ("--model", model) if name == "two" else ()
        result = run("evaluate", what, tmp_path / "truth.csv", "--draws", 20, "--out", out, *options)
        assert result.exit_code == 0, result.stderr
        found.append(pd.read_json(out / "metrics.json", typ="series")["metrics"])
    assert found[0] == found[1]


def test_a_cache_of_another_contract_is_refused(cache, labels, tmp_path):
    table = pq.read_table(cache)
    old = table.replace_schema_metadata({**table.schema.metadata, b"gridlens.contract_version": b"0"})
    pq.write_table(old, tmp_path / "old.parquet")
    for arguments in (
        ("train", "--data", tmp_path / "old.parquet", "--labels", labels, "--out", tmp_path / "x", *MEMBERS),
        ("evaluate", tmp_path / "old.parquet", labels, "--out", tmp_path / "y"),
        ("train", "--recipe", "quick", "--mine", tmp_path / "old.parquet", "--out", tmp_path / "z"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "contract version 0" in result.stderr
        assert "Measure the cutouts again with `gridlens features`" in result.stderr


def test_what_does_not_go_together(cache, labels):
    for arguments, words in (
        (("--data", cache, "--labels", labels, "--recipe", "quick"), "name one of the two"),
        (("--data", cache), "--data needs --labels"),
        (("--labels", labels), "--labels needs --data"),
        (("--groups", "cluster"), "need --data"),
    ):
        result = run("train", *arguments)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
