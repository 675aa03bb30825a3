"""Tests of `check_member`: it accepts members that keep the contract and names each violation."""

import json
import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from gridlens.members import ElkanNotoMember, LightGBMMember, NNPUMember
from gridlens.testing import check_member

pytestmark = pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")


class Good(BaseEstimator):
    """Minimal member that keeps the contract: its probabilities depend on one column."""

    name = "good"
    consumes = "features"

    def __init__(self, slope=1.0):
        self.slope = slope

    def fit(self, X, y, sample_weight=None, groups=None):
        if len(np.unique(y)) < 2:
            raise ValueError("both classes must occur")
        self.offset_ = float(np.nanmean(self.values(X)))
        return self

    def values(self, X):
        return np.asarray(X)[:, 10]

    def predict_proba(self, X):
        values = self.values(X)
        filled = np.where(np.isfinite(values), values, self.offset_)
        p = 1 / (1 + np.exp(-self.slope * (filled - self.offset_)))
        p[self.rejected(X)] = np.nan
        return np.column_stack([1 - p, p])

    def rejected(self, X):
        return ~np.isfinite(X).any(axis=1)

    def save(self, folder):
        (folder / "state.json").write_text(json.dumps({"slope": self.slope, "offset": self.offset_}))

    @classmethod
    def load(cls, folder):
        state = json.loads((folder / "state.json").read_text())
        member = cls(state["slope"])
        member.offset_ = state["offset"]
        return member


class Looking(Good):
    """The same member for cutouts: its probabilities depend on the mean of the central pixels."""

    name = "looking"
    consumes = "cutouts"

    def values(self, X):
        return X.pixels[:, 20:44, 20:44].mean(axis=(1, 2, 3), dtype=np.float64)

    def rejected(self, X):
        return ~np.isfinite(X.pixels).any(axis=(1, 2, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "member",
    [
        Good(),
        Looking(),
        LightGBMMember(n_estimators=5, min_child_samples=5),
        ElkanNotoMember(n_estimators=5, min_child_samples=5, cv=2, turns=False),
        NNPUMember(class_prior=0.5, n_estimators=5, min_child_samples=5, turns=False),
    ],
    ids=lambda member: member.name,
)
def test_valid_members_pass(member):
    check_member(member)


class Nameless(Good):
    name = None


class Foreign(Good):
    consumes = "spectra"


class Misplaced(Good):
    screened = True


class Bare(Good):
    def __init__(self, slope):
        self.slope = slope


class Forgetful(Good):
    def fit(self, X, y, sample_weight=None, groups=None):
        super().fit(X, y)


class Narrow(Good):
    def fit(self, X, y):
        return super().fit(X, y)


class Writing(Good):
    def fit(self, X, y, sample_weight=None, groups=None):
        X[:, 0] = 0.0
        return super().fit(X, y)


class Flat(Good):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, 1]


class Beyond(Good):
    def predict_proba(self, X):
        return 2.0 * super().predict_proba(X)


class Relative(Good):
    def predict_proba(self, X):
        p = super().predict_proba(X)
        return p / np.nanmax(p[:, 1]) if len(p) else p


class Restless(Good):
    def fit(self, X, y, sample_weight=None, groups=None):
        super().fit(X, y)
        self.offset_ += np.random.default_rng().normal()
        return self


class Guessing(Good):
    def rejected(self, X):
        return np.zeros(len(X), dtype=bool)


class Boasting(Good):
    def contributions(self, X):
        return np.zeros((len(X), 300)), [0.0]


class Short(Good):
    def contributions(self, X):
        values = np.zeros(X.shape)
        values[self.rejected(X)] = np.nan
        return values, 0.3


class Pointing(Looking):
    def attribution(self, X):
        return np.zeros((len(X), 8, 8))


class Lenient(Good):
    def fit(self, X, y, sample_weight=None, groups=None):
        self.offset_ = 0.0
        return self


class Pickling(Good):
    def save(self, folder):
        (folder / "state.pkl").write_bytes(pickle.dumps(self))

    @classmethod
    def load(cls, folder):
        return pickle.loads((folder / "state.pkl").read_bytes())


class Losing(Good):
    @classmethod
    def load(cls, folder):
        member = super().load(folder)
        member.offset_ += 0.5
        return member


@pytest.mark.parametrize(
    ("member", "finding"),
    [
        (Nameless(), "its 'name' is not a string"),
        (Foreign(), "its 'consumes' is 'spectra'"),
        (Misplaced(), "it is 'screened', but does not consume cutouts"),
        (Bare(1.0), "parameters without defaults: slope"),
        (Good(np.ones(2)), "cannot be written as JSON"),
        (Forgetful(), "fit does not return it"),
        (Narrow(), "fits: TypeError: .*sample_weight"),
        (Writing(), "fit changes its arguments"),
        (Flat(), r"returns ndarray of shape \(240,\), not floats \(240, 2\)"),
        (Beyond(), "probabilities are not from 0 to 1"),
        (Relative(), "rows depend on other rows"),
        (Boasting(), "contributions are not one for each row and feature"),
        (Short(), "contributions do not add up to its log-odds within 1e-4"),
        (Pointing(), "attribution is not a map of each cutout's shape"),
        (Restless(), "two fits with one random_state differ"),
        (Guessing(), "a rejected row .* gets a probability, not NaN"),
        (Lenient(), "fit accepts labels of a single class, 0; it must raise ValueError"),
        (Pickling(), "save writes a pickle, state.pkl"),
        (Losing(), "its probabilities change when it is saved and loaded"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Good) else "",
)
def test_violations_are_named(member, finding):
    with pytest.raises(AssertionError, match=f"breaks its contract:[^§]*{finding}"):
        check_member(member)
