"""Tests of screening: slow members score the cutouts that the other members pass, and both branches are calibrated."""

import json
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import feature_rows
from scipy.special import expit, logit
from sklearn.base import BaseEstimator

from gridlens import CutoutSet, LensDetector, load_model, score
from gridlens.calibration import shift_prior
from gridlens.cli import main
from gridlens.cutouts import write_npz
from gridlens.detector._screen import SCREEN_ROWS, Screen
from gridlens.engine import score_files
from gridlens.engine._score import ScoreWork
from gridlens.errors import GridlensError, ModelError
from gridlens.evaluation import calibration_error
from gridlens.features import Measured
from gridlens.members import LinearMember
from gridlens.sources import FileSource
from gridlens.stacking._registry import member_class
from gridlens.training._screened import completeness_lost, lenses_that_pass

PRIOR, CLASSIC, SLOW = 0.1, 1.5, 2.0
pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")


class Corner(BaseEstimator):
    """A slow member that recognises lenses by one pixel and records the number of cutouts in each call."""

    name, consumes, screened = "corner", "cutouts", True
    seen: list = []  # noqa: RUF012

    def fit(self, X, y, sample_weight=None, groups=None):
        return self

    def predict_proba(self, X):
        self.seen.append(len(X))
        p = expit(2.0 * X.pixels[:, 0, 0, 0].astype(np.float64) - 1.5)
        return np.column_stack([1.0 - p, p])

    def predict_with_spread(self, X):
        return self.predict_proba(X), np.ones(len(X))

    def save(self, folder):
        (folder / "parameters.json").write_text("{}\n")

    @classmethod
    def load(cls, folder):
        return cls()


def rows_with_pixels(n, seed):
    """Return measured cutouts and their labels; features and the first pixel are independent indicators of a lens."""
    X, y = feature_rows(n, seed)
    pixels = np.zeros((n, 48, 48, 3), dtype=np.float32)
    pixels[:, 0, 0, 0] = 1.5 * y + np.random.default_rng(seed).normal(size=n)
    ids = np.array([f"c{k}" for k in range(n)], dtype=object)
    texts = np.full(n, "", dtype=object)
    flags, rejected = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    return Measured(ids, texts, X, flags, rejected, texts, np.ones(n), cutouts=CutoutSet(pixels, ids=ids)), y


@pytest.fixture(scope="module")
def cascading():
    members = (Corner(), LinearMember(turns=False))
    return LensDetector(members=members, random_state=0).fit(
        *rows_with_pixels(600, 1), calibration=rows_with_pixels(1000, 2)
    )


@pytest.fixture(scope="module")
def scored():
    return rows_with_pixels(300, 3)[0]


@pytest.fixture
def known(monkeypatch):
    """Register the member with the reader of bundles."""
    monkeypatch.setattr(
        "gridlens.models._state.member_class", lambda name: Corner if name == "corner" else member_class(name)
    )
    monkeypatch.setattr("gridlens.models._bundle._is_own", lambda _: True)


@pytest.fixture
def bundle(cascading, known, tmp_path):
    cascading.save(tmp_path / "model")
    return tmp_path / "model"


def drawn(n, seed, prior=PRIOR):
    """Draw log-odds of a classic and of a full stack that are correct at prevalence `PRIOR`, and labels at `prior`."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < prior).astype(np.int64)
    classic = CLASSIC * (rng.normal(size=n) + CLASSIC * y) - CLASSIC**2 / 2 + logit(PRIOR)
    full = classic + SLOW * (rng.normal(size=n) + SLOW * y) - SLOW**2 / 2
    return classic, full, y


def simulated_screen(n=40_000, seed=0, groups=None):
    """Make a screen of stacks that return the log-odds of their member."""
    rows = np.empty(n, dtype=SCREEN_ROWS)
    rows["classic"], rows["full"], rows["label"] = drawn(n, seed)
    rows["group"] = np.arange(n) if groups is None else groups
    names = [SimpleNamespace(name=name, screened=name == "full") for name in ("classic", "full")]
    stack = SimpleNamespace(members_=names, combine=lambda log_odds: log_odds[:, 1])
    classic = SimpleNamespace(members_=names[:1], combine=lambda log_odds: log_odds[:, 0])
    return Screen(stack, classic, rows)


@pytest.mark.parametrize("fraction", [0.02, 0.2])
def test_either_branch_is_calibrated_to_the_true_probability(fraction):
    cascade = simulated_screen().at(fraction)
    classic, full, y = drawn(40_000, 1)
    passed = cascade.passes(classic)
    assert passed[y == 0].mean() == pytest.approx(fraction, rel=0.15)
    p = cascade.calibrated(np.column_stack([classic, full]))
    truth = expit(np.where(passed, full, classic))
    for branch, calibrator, values in (
        (passed, cascade.full.calibrator, full),
        (~passed, cascade.classic.calibrator, classic),
    ):
        assert np.abs(p[branch] - truth[branch]).mean() < 0.02
        low, high = calibrator.predict_interval(values[branch])
        assert np.mean((low <= truth[branch]) & (truth[branch] <= high)) > 0.9
        # The error includes the uncertainty of a fit to few rows: 2,300 pass at 0.02.
        assert calibration_error(y[branch], p[branch], n_boot=200).low < 0.01
        assert p[branch].sum() == pytest.approx(y[branch].sum(), abs=5 * np.sqrt((p * (1 - p))[branch].sum()))
        order = np.argsort(values[branch])
        assert (np.diff(p[branch][order]) > 0).all()


def test_probabilities_move_to_another_prevalence_in_both_branches():
    cascade = simulated_screen().at(0.1)
    classic, full, y = drawn(100_000, 2, prior=0.01)
    passed = cascade.passes(classic)
    p = shift_prior(cascade.calibrated(np.column_stack([classic, full])), PRIOR, 0.01)
    for branch in (passed, ~passed):
        error = 4 * np.sqrt((p * (1 - p))[branch].sum())
        assert p[branch].sum() == pytest.approx(y[branch].sum(), abs=error + 0.05 * y[branch].sum())


def test_a_fraction_that_separates_nothing_is_refused():
    screen = simulated_screen(300)
    screen.rows["label"] = screen.rows["classic"] < np.quantile(screen.rows["classic"], 0.1)
    with pytest.raises(GridlensError, match=r"Got 0\.1 instead, at which 0 lenses pass and 243 non-lenses do not\."):
        screen.at(0.1)
    screen.rows["label"] = np.arange(300) < 20
    screen.rows["classic"] = 0.0
    with pytest.raises(GridlensError, match=r"at which 20 lenses pass and 0 non-lenses do not\. Choose another"):
        Screen(screen.stack, screen.classic, screen.rows).at(0.5)


def test_probabilities_stay_small_without_lenses_below_the_threshold():
    screen = simulated_screen(3000)
    screen.rows["label"] = screen.rows["classic"] > np.quantile(screen.rows["classic"], 0.95)
    cascade = screen.at(0.1)
    classic = np.sort(screen.rows["classic"][screen.rows["classic"] < cascade.threshold])
    p = cascade.calibrated(np.column_stack([classic, classic]))
    assert (np.diff(p) > 0).all()
    assert p.max() == pytest.approx(0.5 / (len(classic) + 1), rel=0.01)
    low, high = cascade.classic.calibrator.predict_interval(classic)
    assert (low == 0).all()
    # At this probability, the chance that no lens is among as many rows is one in twenty.
    np.testing.assert_allclose(high, 1 - 0.05 ** (1 / len(classic)), rtol=0.5)


def test_a_screen_of_one_changes_nothing(cascading, scored):
    rows = cascading.score_rows(scored)
    pd.testing.assert_frame_equal(cascading.score_rows(scored, screen=1), rows)
    assert "branch" not in rows
    members = cascading.member_probabilities(scored)
    even = shift_prior(cascading.calibrated(members), cascading.calibration_prevalence_, 0.5)
    np.testing.assert_array_equal(rows["score"], even)
    np.testing.assert_array_equal(rows[["corner", "linear"]], members)


def test_slow_members_get_only_the_rows_that_pass(cascading, scored):
    whole = cascading.score_rows(scored)
    Corner.seen.clear()
    rows = cascading.score_rows(scored, screen=0.2)
    full = (rows["branch"] == "full").to_numpy()
    assert sum(Corner.seen) == full.sum()
    assert 0.1 < full.mean() < 0.6
    assert rows["branch"].isin(["full", "classic"]).all()
    pd.testing.assert_series_equal(rows["linear"], whole["linear"])
    pd.testing.assert_series_equal(rows["corner"][full], whole["corner"][full])
    assert rows["corner"][~full].isna().all()
    assert rows["corner_spread"][~full].isna().all()
    assert rows[["score", "score_low", "score_high"]].notna().all(axis=None)
    # A single member cannot disagree.
    assert (rows["disagreement"][~full] == 0).all()
    assert rows["members_in_favour"][~full].max() <= 1
    pd.testing.assert_series_equal(rows["disagreement"][full], whole["disagreement"][full])
    # The classic member scores every row that passes above all rows that do not.
    assert rows["linear"][full].min() > rows["linear"][~full].max()


def test_a_score_does_not_depend_on_other_cutouts(cascading, scored):
    whole = cascading.score_rows(scored, screen=0.1)
    for rows in (slice(5, 6), slice(0, 40)):
        alone = cascading.score_rows(scored[rows], screen=0.1)
        pd.testing.assert_frame_equal(alone, whole.iloc[rows].reset_index(drop=True), rtol=1e-12)


def test_rejected_and_empty_rows_are_not_scored(cascading, scored):
    Corner.seen.clear()
    features = np.full_like(scored.features, np.nan)
    rejected = Measured(
        scored.ids, scored.paths, features, scored.flags, ~scored.rejected, scored.messages, scored.valid_fraction
    )
    rows = cascading.score_rows(rejected, screen=0.1)
    assert (rows["branch"] == "").all()
    assert rows["score"].isna().all()
    assert (rows["members_in_favour"] == 0).all()
    assert cascading.score_rows(scored[:0], screen=0.1).columns.tolist() == rows.columns.tolist()
    assert not Corner.seen


def test_a_member_without_a_probability_is_named(cascading, scored, monkeypatch):
    linear = cascading.stack_.members_[1]
    original = linear.predict_proba

    def muted(X):
        p = original(X)
        p[(scored.features[3] == X).sum(axis=1) > 300] = np.nan
        return p

    monkeypatch.setattr(linear, "predict_proba", muted)
    row = cascading.score_rows(scored, screen=0.1).iloc[3]
    assert (row["status"], row["branch"]) == ("rejected", "")
    assert row["message"] == "The member 'linear' gave no finite probability for this cutout."


def test_the_table_is_ranked_across_branches(cascading, scored):
    table = cascading.score_cutouts(scored, 0.01, screen=0.2)
    assert table["p_lens"].is_monotonic_decreasing
    assert table.columns.tolist()[-4:] == ["branch", "corner", "linear", "corner_spread"]
    assert set(table["branch"]) == {"full", "classic"}


@pytest.mark.parametrize("screen", [0, -0.1, 1.5, np.nan, "0.1", True, None])
def test_an_invalid_screen_is_refused(cascading, scored, screen):
    with pytest.raises(ValueError, match=r"'screen' parameter must be above 0 and at most 1\. Got"):
        cascading.score_rows(scored, screen=screen)


def test_models_that_cannot_screen_have_a_clear_message(detector, scored):
    with pytest.raises(GridlensError, match=r"None of its members \(lightgbm\) is a slow one"):
        detector.score_rows(scored, screen=0.1)
    alone = LensDetector(members=(Corner(),)).fit(*rows_with_pixels(60, 1))
    with pytest.raises(GridlensError, match="It has no members besides corner that could screen"):
        alone.score_rows(scored, screen=0.1)


def test_out_of_fold_scores_calibrate_a_screen_too(scored):
    detector = LensDetector(members=(Corner(), LinearMember(turns=False)), random_state=0)
    detector.fit(*rows_with_pixels(600, 1), groups=np.arange(600) // 2)
    assert len(detector.screen_.rows) == 600
    assert detector.screen_.rows["group"].max() == 299
    assert set(detector.score_rows(scored, screen=0.3)["branch"]) == {"full", "classic"}


def test_a_bundle_keeps_its_screen(cascading, scored, bundle):
    loaded = load_model(bundle)
    pd.testing.assert_frame_equal(loaded.score_rows(scored, screen=0.1), cascading.score_rows(scored, screen=0.1))
    loaded.screen_ = None
    loaded.save(bundle.parent / "old")
    with pytest.raises(GridlensError, match="It contains no calibration of a screen: it was saved by an"):
        load_model(bundle.parent / "old").score_rows(scored, screen=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": ["corner", "linear"]}, "classic must name some of its members"),
        ({"members": ["other"]}, "classic must name some of its members"),
        ({"weights": [1.0, 2.0]}, "weights must be a number for each of 1 members"),
        ({"intercept": None}, "intercept must be finite"),
        (None, "screen.npy"),
        ("label", "its labels 0 or 1"),
        ("classic", "its log-odds must be finite"),
    ],
)
def test_a_damaged_screen_is_refused(bundle, change, message):
    from bundles import restate, vouch

    if isinstance(change, dict):
        state = json.loads((bundle / "detector.json").read_text())
        restate(bundle, classic=state["classic"] | change)
    elif change is None:
        (bundle / "screen.npy").unlink()
        vouch(bundle)
    else:
        rows = np.load(bundle / "screen.npy")
        rows[change][0] = 7 if change == "label" else np.nan
        np.save(bundle / "screen.npy", rows)
        vouch(bundle)
    with pytest.raises(ModelError, match=message):
        load_model(bundle)


@pytest.fixture
def shard(tmp_path, noise):
    pixels = np.concatenate([noise(6, size=48, seed=seed) * 0.5**seed for seed in range(4)])
    write_npz(tmp_path / "shard.npz", CutoutSet(pixels, pixel_scale=1.0, ids=[f"s{k}" for k in range(24)]))
    return tmp_path / "shard.npz"


def test_files_are_screened_and_the_passed_rows_are_counted(bundle, shard, tmp_path):
    out = tmp_path / "scores.csv"
    arguments = ["score", str(shard), "--model", str(bundle), "--jobs", "1", "--out", str(out)]
    result = CliRunner().invoke(main, [*arguments, "--screen", "0.5"])
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out)
    passed = int((table["branch"] == "full").sum())
    assert f"{passed} of 24 cutouts ({passed / 24:.2g} of them) passed the screen of 0.5" in result.stderr
    expected = score(shard, model=bundle, screen=0.5, n_jobs=1)
    np.testing.assert_allclose(table["score"], expected["score"], rtol=1e-9)
    again = CliRunner().invoke(main, [*arguments, "--screen", "0.2", "--resume"])
    assert again.exit_code == 1
    assert "with other values of screen" in again.stderr
    assert CliRunner().invoke(main, [*arguments, "--screen", "0.5", "--resume"]).exit_code == 0


def test_worker_processes_screen_like_their_parent(bundle, scored):
    work = ScoreWork((str(bundle),), 0.2)
    sent = pickle.loads(pickle.dumps(work))
    assert sent.identity() == work.identity()
    assert sent.table(scored).equals(work.table(scored))
    assert "branch" in sent.failed([]).column_names


def test_unscreenable_runs_are_refused_immediately(bundle, shard, tmp_path):
    source = FileSource(shard)
    with pytest.raises(ValueError, match="'screen' parameter must be 1 if two models score"):
        score_files(source, tmp_path / "a.csv", models=(str(bundle), "cluster-cluster"), screen=0.1)
    with pytest.raises(GridlensError, match=r"None of its members \(lightgbm, patch\)"):
        score_files(source, tmp_path / "a.csv", screen=0.1)
    joint = CliRunner().invoke(main, ["score", str(shard), "--target", "joint", "--screen", "0.1"])
    assert (joint.exit_code, "--screen supports a single model" in joint.stderr) == (2, True)
    assert CliRunner().invoke(main, ["score", str(shard), "--screen", "0"]).exit_code == 2
    said = CliRunner().invoke(main, ["score", str(shard), "--screen", "0.1"])
    assert said.exit_code == 1
    assert "None of its members (lightgbm, patch)" in said.stderr
    assert said.stderr.rstrip().endswith("Score all cutouts with --screen 1.")
    odd = CliRunner().invoke(main, ["score", str(shard), "--screen", "nan"])
    assert (odd.exit_code, "Traceback" in odd.output) == (2, False)


def test_the_card_lists_the_completeness_by_fraction(cascading):
    measured, y = rows_with_pixels(400, 4)
    members = cascading.member_probabilities(measured)
    text = completeness_lost(cascading.screen_, y, cascading.calibrated(members), members)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert [row[0] for row in rows[2:]] == ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    lenses = [float(row[1].split()[0]) for row in rows[3:-1]]
    assert lenses == sorted(lenses)
    assert "corner scores only cutouts that the other members (linear) rank" in text
    passing = lenses_that_pass(cascading.screen_)
    assert [line.split(" | ")[0] for line in passing.splitlines() if line.startswith("| 0")] == [
        f"| {fraction}" for fraction in (0.02, 0.05, 0.1, 0.2, 0.5)
    ]
