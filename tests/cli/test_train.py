"""Tests of training on your own cutouts and on feature caches of them."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from skies import gnomonic, write_image

from gridlens import CutoutSet, LensDetector
from gridlens.cli import main
from gridlens.cutouts import write_npz
from gridlens.errors import GridlensError
from gridlens.features import FEATURE_NAMES, FeatureCacheWriter, GridPatchExtractor, Measured
from gridlens.training import RECIPES

pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")
MEMBERS = ("--members", "linear(turns=False)", "--jobs", "1")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def measured(n, first=0):
    """Return rows with alternating labels that depend on one feature, and the labels."""
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


@pytest.mark.slow
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


def test_invalid_combinations_are_refused(cache, labels):
    for arguments, words in (
        (("--data", cache, "--labels", labels, "--recipe", "quick"), "give only one of them"),
        ((), "Training data are missing. Give --data and --labels for your own cutouts, or --recipe"),
        (("--data", cache), "--data and --labels"),
        (("--labels", labels), "must be given together"),
        ((), "--data and --labels for your own cutouts, or --recipe for simulated scenes"),
        (("--mine", cache), "--data and --labels for your own cutouts, or --recipe for simulated scenes"),
        (("--groups", "cluster"), "add --data"),
        (("--catalog", labels), "add --data"),
        (("--from", "default", "--recipe", "quick"), "add --data"),
        (
            ("--data", cache, "--image", "g=a.fits", "--labels", labels),
            "Name either cutouts with PATHS or survey images",
        ),
        (("--inject-into", cache, "--data", cache), "--inject-into and --data are mutually exclusive"),
        (("--inject-into", cache, "--recipe", "quick"), "--inject-into and --recipe are mutually exclusive"),
        (("--inject-into", cache, "--mine", cache), "--inject-into and --mine are mutually exclusive"),
        (("--data", cache, "--labels", labels, "--known-lenses", labels), "--known-lenses needs --inject-into."),
    ):
        result = run("train", *arguments)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())


def test_a_training_on_cutouts_is_resumed_and_its_model_replaced(labels, tmp_path, noise, monkeypatch):
    write_npz(tmp_path / "cutouts.npz", CutoutSet(noise(40, 64), ids=[f"c{k}" for k in range(40)]))
    command = ("train", "--data", tmp_path / "cutouts.npz", "--labels", labels, "--out", tmp_path / "m", *MEMBERS)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LensDetector, "fit", interrupt)
        result = run(*command)
    assert result.exit_code == 1
    assert "Interrupted. The finished parts are kept in" in result.stderr
    assert "m.parts; resume the command with --resume" in result.stderr
    measured_again = []
    monkeypatch.setattr(GridPatchExtractor, "extract", lambda *_: measured_again.append(1))
    result = run(*command, "--resume")
    assert result.exit_code == 0, result.stderr
    assert not measured_again
    assert "260 labels have no cutout" in result.stderr
    result = run(*command, "--resume", "--overwrite")
    assert result.exit_code == 1
    assert "--resume and --overwrite are mutually exclusive" in result.stderr
    monkeypatch.undo()
    assert run(*command).exit_code == 1
    assert run(*command, "--overwrite").exit_code == 0


def test_clusters_are_cut_out_of_survey_images(tmp_path):
    size, n = 600, 16
    rng = np.random.default_rng(3)
    wcs = gnomonic(0.5, size)
    places = wcs.pixel_to_world(*(100.0 + 130.0 * np.indices((4, 4)).reshape(2, n)))
    for band in "gri":
        write_image(tmp_path / f"{band}.fits", rng.normal(size=(size, size)).astype(np.float32), wcs, MAGZERO=27.0)
    ids = [f"k{k}" for k in range(n)]
    pd.DataFrame({"id": ids, "ra": places.ra.deg, "dec": places.dec.deg}).to_csv(tmp_path / "c.csv", index=False)
    pd.DataFrame({"id": ids, "label": np.arange(n) % 2}).to_csv(tmp_path / "labels.csv", index=False)
    images = [word for band in "gri" for word in ("--image", f"{band}={tmp_path / band}.fits")]
    members = ("--members", "linear(turns=False),polar(n_estimators=5)", "--jobs", "1")
    result = run(
        *("train", "--catalog", tmp_path / "c.csv", *images, "--npix", 96, "--size", "48arcsec"),
        *("--labels", tmp_path / "labels.csv", "--out", tmp_path / "model.zip", *members),
    )
    assert result.exit_code == 0, result.stderr
    assert "16 cutouts, 8 of them lenses" in result.stdout
    assert [path.name for path in tmp_path.iterdir() if "parts" in path.name] == []


@pytest.mark.slow
def test_known_lenses_with_a_base_model(cache, labels, tmp_path):
    known = pd.read_csv(labels).query("label == 1")[:60]
    known.to_csv(tmp_path / "known.csv", index=False)
    command = ("train", "--data", cache, "--labels", tmp_path / "known.csv", "--out", tmp_path / "new.zip", *MEMBERS)
    result = run(*command)
    assert result.exit_code == 1
    assert "treat cutouts without a label as unlabelled with --positive-unlabelled" in result.stderr
    result = run(*command, "--positive-unlabelled", "--from", "default")
    assert result.exit_code == 0, result.stderr
    first = result.stdout.splitlines()[0]
    assert "the bundled model" in first
    assert first in result.stderr
    assert str(tmp_path / "new.ranking.csv") in result.stderr
    assert pd.read_csv(tmp_path / "new.ranking.csv")["known_lens"].sum() == 60
    assert "pretrained" in run("info", tmp_path / "new.zip").stdout
    scored = run("score", cache, "--model", tmp_path / "new.zip", "--out", tmp_path / "scores.csv")
    assert scored.exit_code == 0, scored.stderr
    assert "pretrained" in pd.read_csv(tmp_path / "scores.csv")


def test_labels_of_known_lenses_suggest_the_option(cache, labels, tmp_path):
    pd.read_csv(labels).rename(columns={"label": "s"}).to_csv(tmp_path / "s.csv", index=False)
    result = run("train", "--data", cache, "--labels", tmp_path / "s.csv", "--out", tmp_path / "x", *MEMBERS)
    assert result.exit_code == 1
    assert "use --positive-unlabelled to learn from it" in result.stderr


def test_arcs_are_injected_into_the_cutouts_that_are_named(tmp_path, noise, monkeypatch):
    write_npz(tmp_path / "pool.npz", CutoutSet(noise(3, 64), ids=["a", "b", "c"]))
    seen = {}

    def train(source, labels, **arguments):
        seen.update(arguments, source=source, labels=labels)
        raise GridlensError("The trial ends here; state seeing=.")

    monkeypatch.setattr("gridlens.training.train", train)
    arguments = ("--known-lenses", tmp_path / "lenses.csv", "--seeing", "g=1.1,r=0.9,i=0.8", "--prevalence", "0.01")
    result = run("train", "--inject-into", tmp_path / "pool.npz", "--survey", "hsc", *arguments, "--from", "default")
    assert result.exit_code == 1
    assert "state --seeing" in result.stderr
    assert seen["source"] is seen["labels"] is None
    assert seen["inject_into"].arguments["survey"] == "hsc"
    assert seen["seeing"] == {"g": 1.1, "r": 0.9, "i": 0.8}
    assert seen["known_lenses"] == str(tmp_path / "lenses.csv")
    assert seen["prevalence"] == 0.01
    assert seen["init_model"] == "default"


def test_a_pool_that_is_too_small_is_refused(tmp_path, noise):
    write_npz(tmp_path / "pool.npz", CutoutSet(noise(3, 64), ids=["a", "b", "c"]))
    result = run("train", "--inject-into", tmp_path / "pool.npz", "--seeing", "0.8", "--out", tmp_path / "m", *MEMBERS)
    assert result.exit_code == 1
    assert "at least 200 usable cutouts" in " ".join(result.stderr.split())
    assert not (tmp_path / "m").exists()


def test_every_recipe_can_be_named():
    (choice,) = (option for option in main.commands["train"].params if option.name == "recipe")
    assert set(choice.type.choices) == set(RECIPES)
