"""Tests of recalibration on a pool by its false-alarm rates: in memory, in bundles, in runs and on the command line."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from bundles import restate
from click.testing import CliRunner
from conftest import feature_rows
from scipy.special import logit

from gridlens import CutoutSet, LensDetector, load_model, score
from gridlens.cli import main
from gridlens.cutouts import write_npz
from gridlens.engine import score_files
from gridlens.engine._score import ScoreWork, calibrate_on_pool
from gridlens.errors import GridlensError, ModelError
from gridlens.features import FEATURE_NAMES, measure
from gridlens.members import LinearMember
from gridlens.models import describe_model
from gridlens.sources import FileSource
from gridlens.training._examples import Examples

ARC = FEATURE_NAMES.index("patch0_arc_snr")


def non_lenses(n, seed, louder=0.0):
    """Return features of non-lenses; `louder` makes them resemble lenses."""
    X, y = feature_rows(3 * n, seed)
    X = X[y == 0][:n]
    X[:, ARC] += louder
    return X


@pytest.fixture(scope="module")
def fitted():
    member = LinearMember(turns=False)
    return LensDetector(members=(member,), random_state=0).fit(*feature_rows(600, 1), calibration=feature_rows(4000, 2))


@pytest.fixture(scope="module")
def louder(fitted):
    return fitted.recalibrated(non_lenses(2000, 3, louder=0.7), prevalence=1e-3)


@pytest.fixture(scope="module")
def rows():
    return feature_rows(400, 5)[0]


def even_log_odds(detector, X):
    return logit(detector.predict_proba(X, prevalence=0.5)[:, 1])


def test_a_louder_sky_lowers_the_probabilities_but_changes_no_rank(fitted, louder, rows):
    before, after = even_log_odds(fitted, rows), even_log_odds(louder, rows)
    assert (after < before).all()
    np.testing.assert_array_equal(np.argsort(before), np.argsort(after))
    assert len(np.unique(after)) == len(np.unique(before))
    assert louder.recalibration_.n_pool == 2000
    assert 1.3 < louder.recalibration_.ratio < 2.5
    np.testing.assert_array_equal(fitted.decision_function(rows), louder.decision_function(rows))
    assert fitted.recalibration_ is None


def test_a_quieter_sky_raises_the_probabilities(fitted, rows):
    quieter = fitted.recalibrated(non_lenses(2000, 3, louder=-0.7))
    assert (even_log_odds(quieter, rows) > even_log_odds(fitted, rows)).all()
    assert quieter.recalibration_.ratio < 0.7


def test_the_same_sky_leaves_the_probabilities_unchanged(fitted, rows):
    same = fitted.recalibrated(non_lenses(5000, 8), prevalence=0)
    assert np.abs(even_log_odds(same, rows) - even_log_odds(fitted, rows)).max() < 0.35
    assert same.recalibration_.ratio == pytest.approx(1.0, abs=0.12)


def test_the_table_records_the_recalibration_and_shifts_its_intervals(fitted, louder, noise):
    cutouts = CutoutSet(noise(6), pixel_scale=1.0)
    plain, table = fitted.score_cutouts(cutouts), louder.score_cutouts(cutouts)
    assert table["id"].tolist() == plain["id"].tolist()
    assert (table["recalibrated_on"] == 2000).all() and "recalibrated_on" not in plain
    assert (table["p_lens"] < plain["p_lens"]).all()
    assert table[["p_low", "p_lens", "p_high"]].apply(np.diff, axis=1).map(min).min() >= 0
    assert table.attrs["recalibration"].startswith(
        "recalibrated on 2,000 cutouts, presumed lens-free up to 0.001: at even odds it has 1."
    )


def test_a_bundle_keeps_and_describes_the_recalibration(louder, fitted, rows, tmp_path):
    louder.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(rows), louder.predict_proba(rows))
    assert loaded.recalibration_ == louder.recalibration_
    described = describe_model(tmp_path / "model")
    assert "- Then recalibrated on 2,000 cutouts" in described.card
    assert described.detector["recalibration"] == str(louder.recalibration_)
    with pytest.raises(GridlensError, match=r"recalibrated before.*Recalibrate the original model"):
        loaded.recalibrated(rows)
    fitted.save(tmp_path / "plain")
    pool = non_lenses(300, 9)
    one, other = (model.recalibrated(pool).predict_proba(rows) for model in (load_model(tmp_path / "plain"), fitted))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class_scores": {"negative": 1}}, "its class_scores are invalid"),
        ({"recalibration": 1}, "recalibration must describe a pool"),
        ({"recalibration": {"n_pool": 200, "prevalence": "x", "ratio": 1.0}}, "prevalence of the pool must be finite"),
    ],
)
def test_damaged_entries_of_a_bundle_are_named(fitted, tmp_path, change, said):
    fitted.save(tmp_path / "model")
    restate(tmp_path / "model", **change)
    with pytest.raises(ModelError, match=said):
        load_model(tmp_path / "model")


@pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")
def test_a_model_without_calibration_scores_has_a_clear_message(fitted, rows, tmp_path):
    fitted.save(tmp_path / "model")
    state = json.loads((tmp_path / "model" / "detector.json").read_text())
    restate(tmp_path / "model", class_scores=None)
    assert state["class_scores"] is not None
    with pytest.raises(GridlensError, match=r"contains no scores of its calibration rows.*Train the model again"):
        load_model(tmp_path / "model").recalibrated(rows)
    few = LensDetector(members=(LinearMember(turns=False),)).fit(*feature_rows(100, 1))
    with pytest.raises(GridlensError, match="fewer than 100 non-lenses"):
        few.recalibrated(rows)


@pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")
def test_unlabelled_rows_are_not_stored_as_non_lenses():
    from gridlens.training._positive_unlabelled import calibrate_unlabelled

    X, y = feature_rows(600, 4)
    detector = LensDetector(members=(LinearMember(turns=False),), random_state=0).fit(X, y)
    assert detector.class_scores_ is not None
    calibrate_unlabelled(detector, Examples(None, y, np.arange(600)))
    assert detector.class_scores_ is None


def test_small_pools_and_training_rows_are_refused(fitted):
    pool = non_lenses(250, 6)
    pool[199:] = np.nan
    with pytest.raises(
        GridlensError,
        match=r"at least 200 usable cutouts, without training cutouts of the model: .* Got 199 \(of 250\) instead",
    ):
        fitted.recalibrated(pool)
    # The model was trained on these rows and scores them too well, so they do not count.
    with pytest.raises(GridlensError, match=r"Got 0 \(of 600\)"):
        fitted.recalibrated(feature_rows(600, 1)[0])
    with pytest.raises(GridlensError, match="must be a CutoutSet"):
        fitted.recalibrated(pool[:, :10])


@pytest.mark.parametrize("prevalence", [-0.1, 0.2, np.nan, "estimate", True, None])
def test_a_large_prevalence_of_the_pool_is_refused(fitted, rows, prevalence):
    with pytest.raises(ValueError, match=r"'prevalence' parameter must be a number from 0 to 0\.1"):
        fitted.recalibrated(rows, prevalence)


def test_bundled_models_can_be_recalibrated(rows):
    for name in ("default", "cluster-cluster"):
        scores = load_model(name).class_scores_
        assert scores.negative.n >= 488, name
    for name in ("default", "deep", "cluster-cluster"):
        assert describe_model(name)


@pytest.fixture(scope="module")
def run(tmp_path_factory, fitted):
    """Write a model, a few cutouts and two pools to disk."""
    folder = tmp_path_factory.mktemp("run")
    fitted.save(folder / "model")
    pixels = np.random.default_rng(0).normal(size=(230, 48, 48, 3)).astype(np.float32)
    pixels[5] = np.nan
    for name, chosen in (("few", slice(0, 9)), ("pool", slice(0, 230)), ("other", slice(10, 230))):
        write_npz(folder / f"{name}.npz", CutoutSet(pixels[chosen], pixel_scale=1.0))
    return folder


def command(run, *arguments):
    given = ["score", run / "few.npz", "--model", run / "model", "--jobs", 1, *arguments]
    return CliRunner().invoke(main, [str(argument) for argument in given])


def test_the_command_reports_and_writes_the_same_table_as_python(run, fitted, tmp_path):
    out = tmp_path / "scores.parquet"
    made = command(run, "--recalibrate", run / "pool.npz", "--out", out)
    assert made.exit_code == 0, made.stderr
    said = f"recalibrated on 229 cutouts of {run / 'pool.npz'}, presumed lens-free up to 0.001: at even odds it has "
    assert said in made.stderr
    table = pd.read_parquet(out)
    assert table.attrs["recalibration"].startswith(said)
    assert (table["recalibrated_on"] == 229).all()
    record = json.loads((tmp_path / ".scores.parquet.run.json").read_text())
    assert record["options"]["recalibration"] == [table.attrs["recalibration"]]
    expected = score(run / "few.npz", model=run / "model", recalibrate=run / "pool.npz", n_jobs=1)
    pd.testing.assert_frame_equal(table, expected, check_exact=False, rtol=1e-9)
    assert expected.attrs == table.attrs
    with np.load(run / "pool.npz") as pool:
        alone = fitted.recalibrated(CutoutSet(pool["pixels"], pixel_scale=1.0))
    with np.load(run / "few.npz") as few:
        rows = alone.score_rows(measure(CutoutSet(few["pixels"], pixel_scale=1.0)))
    np.testing.assert_allclose(np.sort(rows["score"]), np.sort(table["score"]), rtol=1e-9)
    plain = score(run / "few.npz", model=run / "model", n_jobs=1)
    assert plain["id"].tolist() == table["id"].tolist()
    assert not np.allclose(plain["score"], table["score"], equal_nan=True)


def test_a_run_is_not_resumed_with_another_pool(run, tmp_path):
    out = tmp_path / "scores.csv"
    given = {"models": (str(run / "model"),), "n_jobs": 1}
    score_files(FileSource(run / "few.npz"), out, recalibrate=FileSource(run / "pool.npz"), **given)
    assert (pd.read_csv(out)["recalibrated_on"] == 229).all()
    again = {"resume": True, **given}
    assert score_files(FileSource(run / "few.npz"), out, recalibrate=FileSource(run / "pool.npz"), **again) is None
    for pool in (None, FileSource(run / "other.npz")):
        with pytest.raises(GridlensError, match="with other values of recalibrate"):
            score_files(FileSource(run / "few.npz"), out, recalibrate=pool, **again)


def test_worker_processes_have_the_same_calibration(run, noise):
    models = (str(run / "model"),)
    work = ScoreWork(models)
    work.recalibrate(calibrate_on_pool(FileSource(run / "pool.npz"), models=models, n_jobs=1))
    sent = pickle.loads(pickle.dumps(work))
    assert sent.identity() == work.identity()
    measured = measure(CutoutSet(noise(3), pixel_scale=1.0))
    assert sent.table(measured).equals(work.table(measured))


def test_two_models_are_calibrated_separately(run):
    models = (str(run / "model"),) * 2
    pool = calibrate_on_pool(FileSource(run / "pool.npz"), models=models, n_jobs=1)
    assert len(pool.models) == 2
    work = ScoreWork(models)
    work.recalibrate(pool)
    assert work.scorer.attrs["recalibration"].count("recalibrated on 229 cutouts") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--recalibrate", "few.npz"), 1, "at least 200 usable cutouts"),
        (("--recalibrate", "pool.npz", "--prevalence", "estimate"), 2, "--recalibrate needs a numeric --prevalence"),
        (("--recalibrate", "pool.npz", "--prevalence", "0.3"), 1, "must be at most 0.1 for a recalibration"),
        (("--recalibrate", "pool.npz", "--screen", "0.1"), 2, "a screen has its own calibrations"),
        (("--recalibrate", "nothing.npz"), 1, "nothing.npz"),
    ],
)
def test_unsupported_options_have_a_clear_message(run, arguments, code, said):
    result = command(run, *(run / word if word.endswith(".npz") else word for word in arguments))
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_unsupported_parameters_are_refused_in_python(run):
    given = {"model": run / "model", "recalibrate": run / "pool.npz", "n_jobs": 1}
    with pytest.raises(GridlensError, match="requires a declared prevalence"):
        score(run / "few.npz", prevalence="estimate", **given)
    with pytest.raises(GridlensError, match=r"'screen' parameter must be 1 for a recalibration\. Got 0\.1"):
        score(run / "few.npz", screen=0.1, **given)
