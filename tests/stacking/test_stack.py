from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from gridlens.errors import GridlensError
from gridlens.features import FEATURE_NAMES
from gridlens.members import ElkanNotoMember, LightGBMMember
from gridlens.stacking import AveragedMember, MemberStack
from gridlens.stacking._meta import fit_meta
from gridlens.stacking._stack import scored_with_spreads


class Column(BaseEstimator):
    """A member that scores by one column and records what it was fitted on."""

    name = "column"
    consumes = "features"
    seen: ClassVar[list] = []

    def __init__(self, column=0):
        self.column = column

    def fit(self, X, y, sample_weight=None, groups=None):
        Column.seen.append((set(map(int, X[:, -1])), set(groups.tolist()) if groups is not None else None))
        return self

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-X[:, self.column]))
        return np.column_stack([1 - p, p])


class Other(Column):
    name = "other"


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    informed = 2.0 * y - 1.0 + rng.normal(size=2000)
    return np.column_stack([informed, rng.normal(size=2000), np.arange(2000)]), y


def test_weights_reflect_the_information_of_a_member(rows):
    X, y = rows
    stack = MemberStack([Column(0), Other(1)], random_state=0).fit({"features": X}, y)
    # Classes of unit variance lie two apart, so the log-odds are twice the column.
    assert stack.weights_[0] == pytest.approx(2.0, abs=0.25)
    assert stack.weights_[1] == pytest.approx(0.0, abs=0.15)


def test_groups_stay_in_one_fold(rows):
    X, y = rows
    groups = np.arange(2000) // 4
    Column.seen.clear()
    MemberStack([Column(0)], random_state=0).out_of_fold({"features": X}, y, groups)
    assert len(Column.seen) == 5
    for indices, seen_groups in Column.seen:
        left_out = set(range(2000)) - indices
        assert not {k // 4 for k in left_out} & seen_groups


def test_a_stack_of_one_member_equals_the_member(rows):
    X, y = rows
    stack = MemberStack([Column(0)]).fit({"features": X}, y)
    scores = stack.decision_function(stack.member_probabilities({"features": X}))
    np.testing.assert_allclose(scores, X[:, 0], rtol=1e-6, atol=1e-9)


def test_nan_stays_nan(rows):
    X, y = rows
    stack = MemberStack([Column(0), Other(1)], random_state=0).fit({"features": X}, y)
    assert np.isnan(stack.decision_function(np.array([[0.5, np.nan]]))).all()


class Memory(Column):
    """A member that memorizes the rows of its fit and knows nothing about others."""

    name = "memory"

    def fit(self, X, y, sample_weight=None, groups=None):
        self.known_ = dict(zip(X[:, -1].tolist(), y.tolist(), strict=True))
        return self

    def predict_proba(self, X):
        p = np.array([0.02 + 0.96 * self.known_.get(key, 0.5) for key in X[:, -1].tolist()])
        return np.column_stack([1 - p, p])


def test_a_memorising_member_gets_no_weight(rows):
    X, y = rows
    stack = MemberStack([Column(0), Memory()], random_state=0).fit({"features": X}, y)
    assert roc_auc_score(y, stack.member_probabilities({"features": X})[:, 1]) == 1.0
    assert roc_auc_score(y, stack.out_of_fold_[:, 1]) == 0.5
    # Its out-of-fold scores are constant, so it gets no weight and changes no score.
    assert stack.meta_ == "logistic" and abs(stack.weights_[1]) < 1e-6


def test_out_of_fold_scores_come_from_fits_without_the_group(rows):
    X, y = rows
    groups = np.arange(2000) // 4

    class ByGroup(Memory):
        def fit(self, X, y, sample_weight=None, groups=None):
            return super().fit(np.column_stack([X[:, :-1], groups]), y)

        def predict_proba(self, X):
            return super().predict_proba(np.column_stack([X[:, :-1], X[:, -1] // 4]))

    stack = MemberStack([Column(0), ByGroup()], random_state=0).fit({"features": X}, y, groups)
    assert np.ptp(stack.out_of_fold_[:, 1]) == 0.0
    assert all(len(set(stack.folds_[groups == group])) == 1 for group in range(500))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_give_no_skill(rows, seed):
    X, y = rows
    shuffled = np.random.default_rng(seed).permutation(y)
    stack = MemberStack([Column(0), Other(1)], random_state=seed).fit({"features": X}, shuffled)
    assert roc_auc_score(shuffled, stack.combine(stack.out_of_fold_)) == pytest.approx(0.5, abs=0.05)


def test_convex_weights_minimise_the_loss(rows):
    rng = np.random.default_rng(1)
    y = rows[1]
    log_odds = np.column_stack(
        [2 * y - 1 + rng.normal(size=2000), y - 0.5 + rng.normal(size=2000), -y + rng.normal(size=2000)]
    )
    weights, intercept = fit_meta("convex", log_odds, y)
    assert intercept == 0.0
    assert weights.sum() == pytest.approx(1.0)
    assert weights[2] == pytest.approx(0.0, abs=1e-6)

    def loss(a):
        return log_loss(y, 1 / (1 + np.exp(-log_odds @ a)))

    grid = [loss(np.array([a, 1 - a, 0.0])) for a in np.linspace(0, 1, 201)]
    assert loss(weights) <= min(grid) + 1e-6


def test_the_meta_learner_is_chosen_by_its_held_out_loss(rows):
    X, y = rows
    # The best weights of the two columns add up to far more than one, which only the logistic meta-learner allows.
    stack = MemberStack([Column(0), Other(1)], random_state=0).fit({"features": X}, y)
    assert stack.meta_ == "logistic"
    assert stack.meta_losses_["logistic"] < stack.meta_losses_["convex"]
    # With a dozen positives and many members that agree, a weighted mean is better.
    rng = np.random.default_rng(0)
    few = np.arange(300) < 12
    truth = rng.normal(size=300) + 2.0 * few
    many = {"features": np.column_stack([*(truth * 2 - 5 + rng.normal(size=(8, 300))), np.arange(300)])}
    members = [type(f"C{k}", (Column,), {"name": f"c{k}"})(k) for k in range(8)]
    stack = MemberStack(members, random_state=0).fit(many, few.astype(int))
    assert stack.meta_losses_["convex"] < stack.meta_losses_["logistic"]
    assert stack.meta_ == "convex"
    chosen = MemberStack(members, meta="logistic", random_state=0)
    chosen.fit(many, few.astype(int))
    assert chosen.meta_ == "logistic" and chosen.meta_losses_ == {}


def test_members_of_the_folds_are_averaged(rows, tmp_path):
    X, y = rows

    class Offset(Column):
        name = "offset"

        def fit(self, X, y, sample_weight=None, groups=None):
            self.offset_ = float(X[:, -1].mean())
            return self

        def predict_proba(self, X):
            p = 1 / (1 + np.exp(-X[:, 0] - self.offset_ / 1000))
            return np.column_stack([1 - p, p])

        def save(self, folder):
            (folder / "offset.txt").write_text(repr(self.offset_))

        @classmethod
        def load(cls, folder):
            member = cls()
            member.offset_ = float((folder / "offset.txt").read_text())
            return member

    stack = MemberStack([Offset()], final="average", random_state=0).fit({"features": X}, y)
    assert stack.n_fits == 5
    (averaged,) = stack.members_
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(X, y, np.arange(2000))
    expected = X[:, 0] + np.mean([X[train, -1].mean() for train, _ in folds]) / 1000
    p = averaged.predict_proba(X)[:, 1]
    np.testing.assert_allclose(np.log(p / (1 - p)), expected, rtol=1e-9)
    assert np.isfinite(stack.out_of_fold_).all()
    averaged.save(tmp_path)
    assert AveragedMember.is_saved_in(tmp_path)
    np.testing.assert_array_equal(AveragedMember.load(tmp_path, Offset).predict_proba(X)[:, 1], p)
    spread = scored_with_spreads(stack.members_, {"features": X})[1]["offset"]
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(X, y, np.arange(2000))
    np.testing.assert_allclose(spread, np.std([X[train, -1].mean() for train, _ in folds]) / 1000, rtol=1e-6)


def test_given_out_of_fold_predictions_are_used(rows):
    X, y = rows
    p = 1 / (1 + np.exp(-X[:, 0]))
    Column.seen.clear()
    elsewhere = Column(0).fit(X, y)
    elsewhere.fitted_ = True
    Column.seen.clear()
    stack = MemberStack([elsewhere, Other(1)], random_state=0).fit({"features": X}, y, out_of_fold={"column": p})
    assert len(Column.seen) == 6
    assert stack.members_[0] is elsewhere
    own = MemberStack([Column(0), Other(1)], random_state=0).fit({"features": X}, y)
    np.testing.assert_allclose(stack.weights_, own.weights_, rtol=1e-6)


@pytest.mark.slow
def test_processes_give_the_same_stack_and_progress_counts_fits(rows):
    X, y = rows
    X = np.pad(X, ((0, 0), (0, len(FEATURE_NAMES) - X.shape[1])))
    done, steps = [], []

    def progress(count, step):
        done.append(count)
        steps.append(step)

    def stack(n_jobs=None):
        # Other processes cannot import members defined in a test, so use members of the package.
        trees = LightGBMMember(n_estimators=5, turns=False), ElkanNotoMember(n_estimators=5, turns=False)
        return MemberStack(trees, n_jobs=n_jobs, random_state=0)

    one = stack().fit({"features": X}, y, progress=progress)
    assert sum(done) == one.n_fits == 12
    assert steps[:3] == ["lightgbm, fold 1 of 5", "elkan-noto, fold 1 of 5", "lightgbm, fold 2 of 5"]
    assert steps[-3:] == ["lightgbm, all rows", "elkan-noto, all rows", ""]
    two = stack(2).fit({"features": X}, y)
    np.testing.assert_array_equal(one.out_of_fold_, two.out_of_fold_)
    # Two folds of equal size are reported as separate folds.
    steps.clear()
    MemberStack((LightGBMMember(n_estimators=5, turns=False),), cv=2).out_of_fold({"features": X}, y, progress=progress)
    assert steps == ["lightgbm, fold 1 of 2", "lightgbm, fold 2 of 2", ""]


def test_input_is_prepared_once_for_all_folds(rows):
    X, y = rows
    made = []

    class Slow(Column):
        name = "slow"

        def prepare(self, X):
            made.append(len(X))
            return X[:, ::-1]

        def fit(self, X, y, sample_weight=None, groups=None):
            assert (X[:, 0] == X[:, 0].astype(int)).all()  # the row number, last before `prepare` reverses the columns
            return self

        def predict_proba(self, X):
            return super().predict_proba(X if float(X[0, 0]).is_integer() else self.prepare(X))

    stack = MemberStack([Slow(2), Other(1)], random_state=0).fit({"features": X}, y)
    assert made == [2000]
    assert stack.weights_[0] == pytest.approx(2.0, abs=0.25)
    stack.member_probabilities({"features": X[:5]})
    assert made == [2000, 5]


def test_a_member_that_fails_is_named(rows):
    class Failing(Column):
        name = "failing"

        def fit(self, X, y, sample_weight=None, groups=None):
            raise RuntimeError("no memory on device")

    with pytest.raises(GridlensError, match="The member 'failing' failed: RuntimeError: no memory on device"):
        MemberStack([Failing()]).fit({"features": rows[0]}, rows[1])


@pytest.mark.parametrize(
    ("parameters", "options", "words"),
    [
        ({"meta": "mean"}, {}, "'meta' parameter must be one of 'auto', 'logistic', 'convex'. Got 'mean'"),
        ({"final": "best"}, {}, "'final' parameter must be one of 'refit', 'average'. Got 'best'"),
        ({"cv": 1001}, {}, "'cv' parameter must not be larger than the number of .* Got 1001 folds for"),
        ({}, {"groups": np.arange(2000) % 3}, "than the number of groups with positives. Got 5 folds for 3"),
        ({}, {"out_of_fold": {"vit": []}}, "must name members of the stack. Got 'vit'"),
        (
            {},
            {"out_of_fold": {"column": np.full(2000, 1.5)}},
            "must contain a probability, not NaN, for each of the 2000 rows",
        ),
        ({}, {"out_of_fold": {"column": np.full(7, 0.5)}}, r"Got shape \(7,\) instead"),
    ],
)
def test_invalid_input_is_refused(rows, parameters, options, words):
    with pytest.raises(ValueError, match=words):
        MemberStack([Column(0), Other(1)], **parameters).fit({"features": rows[0]}, rows[1], **options)


def test_names_are_unique(rows):
    with pytest.raises(ValueError, match=r"must name each member once. Got column twice"):
        MemberStack([Column(0), Column(1)]).fit({"features": rows[0]}, rows[1])
