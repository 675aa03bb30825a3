"""Tests of known lenses among unlabelled cutouts: their ranks, and probabilities with their uncertainty."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from gridlens import load_model, train
from gridlens.calibration import shift_prior
from gridlens.errors import GridlensError
from gridlens.features import FEATURE_NAMES, FeatureCacheWriter, Measured
from gridlens.models import read_manifest
from gridlens.stacking import MemberStack
from gridlens.training._examples import Examples
from gridlens.training._labels import read_labels
from gridlens.training._positive_unlabelled import calibrate_unlabelled

pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")
MEMBERS = ("linear(turns=False, C=1e-3)",)
N, KNOWN = 1200, 60


class Detector:
    """A detector with the attributes that `calibrate_unlabelled` needs."""

    def __init__(self, X, s, seed):
        self.stack_ = MemberStack(())
        self.stack_.folds_, out_of_fold = np.empty(len(s), dtype=int), np.empty((len(s), 1))
        for fold, (rest, held) in enumerate(StratifiedKFold(5, shuffle=True, random_state=seed).split(X, s)):
            out_of_fold[held, 0] = LogisticRegression().fit(X[rest], s[rest]).decision_function(X[held])
            self.stack_.folds_[held] = fold
        self.stack_.out_of_fold_ = out_of_fold
        self.stack_.meta_, self.stack_.weights_, self.stack_.intercept_ = None, np.ones(1), 0.0
        self.model = LogisticRegression().fit(X, s)


def population(rng, n, prevalence, separation):
    y = (rng.random(n) < prevalence).astype(int)
    return rng.normal(size=(n, 3)) + separation * np.c_[y, 0 * y, 0 * y], y


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "prevalence", "c", "separation"), [(5000, 0.03, 0.5, 4.0), (2000, 0.3, 0.5, 3.0), (20_000, 0.02, 0.3, 4.0)]
)
def test_probabilities_are_accurate_if_labels_are_missing_at_random(n, prevalence, c, separation):
    frequencies, inside, bins = [], 0, 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, y = population(rng, n, prevalence, separation)
        s = y * (rng.random(n) < c)
        detector = Detector(X, s, seed)
        frequency = calibrate_unlabelled(detector, Examples(None, s))
        frequencies.append(frequency.low <= c <= frequency.high)
        assert detector.calibration_prevalence_ == pytest.approx(s.mean() / frequency.value)
        new, truth = population(rng, 100_000, prevalence, separation)
        log_odds = detector.model.decision_function(new)
        low, high = (
            shift_prior(end, detector.calibration_prevalence_, prevalence)
            for end in detector.calibrator_.predict_interval(log_odds)
        )
        edges = [*np.quantile(log_odds[truth == 1], [0.0, 0.2, 0.4, 0.6, 0.8]), np.inf]
        for start, end in pairwise(edges):
            chosen = (log_odds >= start) & (log_odds < end)
            inside += low[chosen].mean() <= truth[chosen].mean() <= high[chosen].mean()
            bins += 1
    assert np.mean(frequencies) >= 0.7
    assert inside / bins >= 0.9


def test_vetted_non_lenses_improve_the_label_frequency_and_are_counted():
    rng = np.random.default_rng(0)
    X, y = population(rng, 4000, 0.05, 2.0)
    s = y * (rng.random(4000) < 0.5)
    detector = Detector(X, s, 0)
    overlapping = calibrate_unlabelled(detector, Examples(None, s))
    vetted = calibrate_unlabelled(detector, Examples(None, s, vetted=(y == 0) & (X[:, 0] > 1.0)))
    assert overlapping.value < 0.4
    assert abs(vetted.value - 0.5) < abs(overlapping.value - 0.5)
    assert (vetted.n, vetted.known) == (4000, s.sum())


def rows(first=0):
    """Return cutouts of which one in ten is a lens, as one column shows, with the ids of the known lenses."""
    rng = np.random.default_rng(first)
    X = rng.normal(size=(N, len(FEATURE_NAMES))).astype(np.float32)
    y = np.arange(N) % 10 == 0
    X[:, FEATURE_NAMES.index("patch0_arc_snr")] += 8.0 * y
    ids = np.array([f"c{first + k:05d}" for k in range(N)], dtype=object)
    nothing = np.full(N, "", dtype=object)
    measured = Measured(ids, nothing, X, np.zeros(N, dtype=np.int64), np.zeros(N, dtype=bool), nothing, np.ones(N))
    return measured, ids[y][::2], y


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    path = tmp_path_factory.mktemp("caches") / "features.parquet"
    with FeatureCacheWriter(path, "a test") as writer:
        writer.add(rows()[0])
    return path


def test_a_list_of_known_lenses_suffices(cache, tmp_path):
    known = rows()[1]
    trained = train(
        cache,
        pd.DataFrame({"id": known, "label": 1}),
        out=tmp_path / "model.zip",
        members=MEMBERS,
        positive_unlabelled=True,
        n_jobs=1,
    )
    assert trained.notes == ["1140 cutouts are not in the table of labels and count as unlabelled."]
    assert trained.card.splitlines()[0] == trained.comparison
    assert "than the bundled model on these rows: AUROC" in trained.comparison
    assert "1,200 cutouts from feature caches, 60 of them known lenses; the others are unlabelled." in trained.card
    for said in (
        "out-of-fold scores of the same rows and the estimated label frequency",
        "60 of 1,200 cutouts are known lenses",
        "known lenses are a random sample of the lenses",
        "These metrics compare known lenses\nwith unlabelled cutouts",
        "are in the top 5% (60 cutouts)",
    ):
        assert said in trained.card
    ranking = pd.read_csv(tmp_path / "model.ranking.csv", float_precision="round_trip")
    assert ranking.columns.tolist() == ["id", "known_lens", "score", "rank", "top_fraction", "fold"]
    pd.testing.assert_frame_equal(ranking, trained.ranking, check_dtype=False)
    assert ranking["id"].is_unique and len(ranking) == 1200
    assert ranking["rank"].is_monotonic_increasing
    table = ranking[ranking["known_lens"] == 1]
    assert sorted(table["id"]) == sorted(known)
    assert (table["top_fraction"] == table["rank"] / 1200).all()
    # Half of the lenses are unlabelled, and rank among the known lenses.
    assert (table["rank"] <= 130).mean() > 0.9
    assert (table["rank"] > 60).any()
    detector = load_model(tmp_path / "model.zip")
    assert detector.training_prevalence_ == 0.05
    assert detector.calibration_prevalence_ == pytest.approx(0.1, abs=0.03)
    measured, _, y = rows(50_000)
    p = detector.predict_proba(measured)[:, 1]
    assert np.mean(p[y]) > 0.5
    assert np.mean(p[~y]) < 0.15
    recorded = read_manifest_of(tmp_path / "model.zip")["training"]["label_frequency"]
    assert recorded["low"] <= 0.5 <= recorded["high"]
    with pytest.raises(GridlensError, match=r"ranking.csv exists. Name another output"):
        train(
            cache,
            pd.DataFrame({"id": known, "label": 1}),
            out=tmp_path / "model",
            members=MEMBERS,
            positive_unlabelled=True,
        )


def read_manifest_of(path):
    import zipfile

    folder = path.with_suffix(".unpacked")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return read_manifest(folder)


def test_vetted_non_lenses_are_learned_as_negatives(cache):
    measured, known, y = rows()
    table = pd.DataFrame({"id": measured.ids[~y][:100], "label": 0})
    trained = train(
        cache,
        pd.concat([table, pd.DataFrame({"id": known, "label": 1})]),
        members=MEMBERS,
        positive_unlabelled=True,
        n_jobs=1,
    )
    assert "the others are unlabelled or vetted non-lenses (100), which are used as negatives" in trained.card
    assert trained.notes == ["1040 cutouts are not in the table of labels and count as unlabelled."]


def test_columns_that_name_known_lenses():
    table = pd.DataFrame({"id": ["a", "b", "c", "d"], "known_lens": [1, 0, None, 0], "label": [1, "?", "?", 0]})
    found = read_labels(table.assign(calibration=[0, 0, 0, 1]), positive_unlabelled=True)
    assert found.label.tolist() == [1, 0, 0, 0]
    assert found.calibration.tolist() == [False, False, False, True]
    assert not found.vetted.any()
    old = read_labels(table.rename(columns={"known_lens": "s"}), positive_unlabelled=True)
    assert old.label.tolist() == [1, 0, 0, 0]
    alone = pd.DataFrame({"id": ["a", "b", "c", "d"], "label": [1, 0, None, None], "calibration": [0, 0, 0, 1]})
    found = read_labels(alone, positive_unlabelled=True)
    assert found.label.tolist() == [1, 0, 0]
    assert found.vetted.tolist() == [False, True, False]
    assert found.left_out == {"d"}
    labels, groups, vetted = found.at(np.array([1, -1, 0, -1]))
    assert labels.tolist() == [0, 0, 1, 0]
    assert len(set(groups)) == 4
    assert vetted.tolist() == [True, False, False, False]
    with pytest.raises(GridlensError, match=r"a column 'known_lens', .* or a column 'label'. Got id, y instead"):
        read_labels(pd.DataFrame({"id": ["a"], "y": [1]}), positive_unlabelled=True)
    with pytest.raises(GridlensError, match=r"must have the column label.* Calibration rows need a clean 'label'"):
        read_labels(pd.DataFrame({"id": ["a"], "known_lens": [1], "calibration": [1]}), positive_unlabelled=True)


def test_labels_of_lenses_only_suggest_positive_unlabelled(cache):
    with pytest.raises(GridlensError, match=r"Got 60 lenses and 0 others.*unlabelled with positive_unlabelled=True"):
        train(cache, pd.DataFrame({"id": rows()[1], "label": 1}), members=MEMBERS)
