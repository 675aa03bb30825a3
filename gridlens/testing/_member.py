"""Check of a classifier against the contract of `gridlens.stacking.Member`."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.base import clone

from gridlens.cutouts import CutoutSet
from gridlens.features import FEATURE_NAMES
from gridlens.stacking import Member

__all__ = ["check_member"]

_SIZE = 64
_SCALE = 1.0
"""pixel scale, arcsec per pixel"""
_ROWS = 240


def check_member(member: Any, *, random_state: int = 0) -> None:
    """Raise AssertionError if a member of the stack breaks its contract.

    This function is for authors of plugins. Give it the member with settings for a fit in seconds: it is fitted up to
    ten times to 240 small synthetic inputs, half of which contain a signal that it need not find. It reports all of the
    following at once:

    - a missing attribute or method, parameters without defaults, or a constructor or `clone` that changes them;
    - a `fit` that does not return the member, does not accept `sample_weight` and `groups`, or changes its arguments;
    - probabilities that are not a float array of shape (n, 2), are outside 0 to 1 or do not add up to 1;
    - rows that depend on other rows, or an empty input that fails;
    - rows from its `prepare`, if it has one, that lead to another fit or other scores than the inputs themselves;
    - `contributions`, if it has them, that do not add up to its log-odds within 1e-4 for each row, or an `attribution`
      whose maps do not have the shape of the cutouts;
    - a rejected row (NaN features, a NaN cutout) that gets a probability, or affects other rows;
    - labels of a single class that are accepted;
    - two fits with equal `random_state` that differ;
    - a member that changes through `save` and `load` in another place, or files that are pickles.

    Parameters
    ----------
    member : Member
        Unfitted member; it is cloned.
    random_state : int, default=0
        Random seed of the inputs.

    Raises
    ------
    AssertionError
        With one line for each broken rule.

    Examples
    --------
    >>> from gridlens.members import LightGBMMember
    >>> from gridlens.testing import check_member
    >>> check_member(LightGBMMember(n_estimators=5, turns=False))
    """
    _Check(member, random_state).run()


class _Check:
    X: Any
    y: np.ndarray

    def __init__(self, member: Any, random_state: int) -> None:
        self.member = member
        self.findings: list[str] = []
        self.rng = np.random.default_rng(random_state)

    def run(self) -> None:
        """Check every rule; the others cannot be checked if the first ones are broken."""
        self._form()
        if not self.findings:
            self.X, self.y = _features(self.rng) if self.member.consumes == "features" else _cutouts(self.rng)
            for rule in (
                self._fits,
                self._scores,
                self._prepares,
                self._explains,
                self._repeats,
                self._rejects,
                self._refuses,
                self._saves,
            ):
                self._tried(rule)
        if self.findings:
            name = getattr(self.member, "name", type(self.member).__name__)
            raise AssertionError(f"The member {name!r} breaks its contract:\n- " + "\n- ".join(self.findings))

    def _tried(self, rule: Callable[[], None]) -> None:
        try:
            rule()
        except Exception as exc:
            self.findings.append(f"{rule.__name__.strip('_')}: {type(exc).__name__}: {exc}")

    def _expect(self, holds: Any, finding: str) -> None:
        if not holds:
            self.findings.append(finding)

    def _fitted(self, **options: Any) -> Any:
        return clone(self.member).fit(self.X, self.y, **options)

    def _form(self) -> None:
        member = self.member
        self._expect(isinstance(member, Member), "it lacks an attribute or method of gridlens.stacking.Member")
        self._expect(isinstance(getattr(member, "name", None), str), "its 'name' is not a string")
        consumes = getattr(member, "consumes", None)
        self._expect(
            consumes in ("features", "cutouts"), f"its 'consumes' is {consumes!r}, not 'features' or 'cutouts'"
        )
        screened = getattr(member, "screened", False)
        self._expect(not screened or consumes == "cutouts", "it is 'screened', but does not consume cutouts")
        parameters = inspect.signature(type(member).__init__).parameters.values()
        bare = [p.name for p in parameters if p.name != "self" and p.default is p.empty]
        self._expect(not bare, f"its constructor has *args, or parameters without defaults: {', '.join(bare)}")
        if self.findings:
            return
        try:
            parameters_before = json.dumps(member.get_params())
        except TypeError as exc:
            self.findings.append(f"its parameters cannot be written as JSON: {exc}")
            return
        self._expect(json.dumps(clone(member).get_params()) == parameters_before, "clone changes its parameters")
        stored = all(hasattr(member, name) for name in member.get_params())
        self._expect(stored, "its constructor does not store its parameters")

    def _fits(self) -> None:
        before, labels = _copy(self.X), self.y.copy()
        weight, groups = np.ones(len(self.y)), np.arange(len(self.y)) // 2
        copy = clone(self.member)
        self._expect(copy.fit(self.X, self.y, sample_weight=weight, groups=groups) is copy, "fit does not return it")
        self._expect(_same(before, self.X) and np.array_equal(labels, self.y), "fit changes its arguments")
        self._expect((weight == 1.0).all(), "fit changes the weights")

    def _scores(self) -> None:
        member = self._fitted()
        before = _copy(self.X)
        p = member.predict_proba(self.X)
        self._expect(_same(before, self.X), "predict_proba changes its argument")
        shape = getattr(p, "shape", None)
        if shape != (len(self.y), 2) or not np.issubdtype(p.dtype, np.floating):
            self.findings.append(
                f"predict_proba returns {type(p).__name__} of shape {shape}, not floats ({len(self.y)}, 2)"
            )
            return
        self._expect(
            np.isfinite(p).all() and (p >= 0.0).all() and (p <= 1.0).all(), "probabilities are not from 0 to 1"
        )
        self._expect(np.allclose(p.sum(axis=1), 1.0, atol=1e-6), "probabilities of a row do not add up to 1")
        some = np.array([5, 0, 17])
        self._expect(np.allclose(member.predict_proba(self.X[some]), p[some], atol=1e-5), "rows depend on other rows")
        self._expect(member.predict_proba(self.X[:0]).shape == (0, 2), "an empty input does not give shape (0, 2)")

    def _prepares(self) -> None:
        if not hasattr(self.member, "prepare"):
            return
        rows = self.member.prepare(self.X)
        self._expect(len(rows) == len(self.y), "prepare does not give a row for each input")
        expected = self._fitted().predict_proba(self.X)
        prepared = clone(self.member).fit(rows, self.y).predict_proba(rows)
        self._expect(np.array_equal(prepared, expected), "prepared rows are not fitted or scored like the inputs")

    def _explains(self) -> None:
        if hasattr(self.member, "contributions"):
            member, broken = self._fitted(), _with_rejected(self.X)
            values, base = member.contributions(broken)
            self._expect(np.shape(values) == np.shape(broken), "its contributions are not one for each row and feature")
            self._expect(np.ndim(base) == 0, "the base of its contributions is not a single number")
            p = np.clip(member.predict_proba(broken)[:, 1], 1e-6, 1.0 - 1e-6)
            self._expect(np.isnan(values[0]).all(), "a rejected row gets contributions, not NaN")
            off = np.abs(np.clip(base + values.sum(axis=1), logit(1e-6), -logit(1e-6)) - logit(p))[1:].max()
            self._expect(off <= 1e-4, "its contributions do not add up to its log-odds within 1e-4")
        if hasattr(self.member, "attribution"):
            few = self.X[:3]
            maps = np.asarray(self._fitted().attribution(few))
            self._expect(maps.shape == few.pixels.shape[:3], "its attribution is not a map of each cutout's shape")

    def _repeats(self) -> None:
        first, second = (self._fitted().predict_proba(self.X) for _ in range(2))
        self._expect(np.array_equal(first, second), "two fits with one random_state differ")

    def _rejects(self) -> None:
        broken = _with_rejected(self.X)
        p = self._fitted().predict_proba(broken)
        self._expect(np.isnan(p[0]).all(), "a rejected row (all NaN) gets a probability, not NaN")
        self._expect(np.isfinite(p[1:]).all(), "a rejected row affects other rows")

    def _refuses(self) -> None:
        for y in (np.zeros(len(self.y), dtype=int), np.ones(len(self.y), dtype=int)):
            try:
                clone(self.member).fit(self.X, y)
            except ValueError:
                continue
            self.findings.append(f"fit accepts labels of a single class, {y[0]}; it must raise ValueError")

    def _saves(self) -> None:
        member = self._fitted()
        with tempfile.TemporaryDirectory() as temporary:
            first, second = Path(temporary) / "first", Path(temporary) / "second"
            first.mkdir()
            member.save(first)
            files = [path for path in first.rglob("*") if path.is_file()]
            self._expect(files, "save writes nothing")
            for path in files:
                # Files of pickle protocol 2 and later begin like this; archives of torch and joblib contain such a
                # file.
                content = path.read_bytes()
                pickled = content[:1] == b"\x80" or (content[:2] == b"PK" and b".pkl" in content)
                self._expect(not pickled, f"save writes a pickle, {path.name}")
            first.rename(second)
            again = type(self.member).load(second)
            same = np.array_equal(again.predict_proba(self.X), member.predict_proba(self.X))
            self._expect(same, "its probabilities change when it is saved and loaded")
            self._expect(again.get_params() == member.get_params(), "its parameters change when it is saved and loaded")


def _features(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of features, one in twenty of them NaN, and labels that six columns determine."""
    y = np.arange(_ROWS) % 2
    X = rng.normal(size=(_ROWS, len(FEATURE_NAMES))).astype(np.float32)
    X[:, 10:16] += 1.5 * y[:, None]
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, y


def _cutouts(rng: np.random.Generator) -> tuple[CutoutSet, np.ndarray]:
    """Return cutouts of a round galaxy, half of them with a blue arc at a distance of 12 arcsec."""
    y = np.arange(_ROWS) % 2
    rows, columns = np.mgrid[:_SIZE, :_SIZE].astype(np.float64)
    middle = (_SIZE - 1) / 2.0
    radius = np.hypot(rows - middle, columns - middle) * _SCALE
    angle = np.arctan2(rows - middle, columns - middle)
    galaxy = 40.0 * np.exp(-radius / 3.0)[..., None] * np.array([0.4, 1.0, 1.5])
    pixels = np.empty((_ROWS, _SIZE, _SIZE, 3), dtype=np.float32)
    for i in range(_ROWS):
        turned = np.angle(np.exp(1j * (angle - rng.uniform(-np.pi, np.pi))))
        arc = np.exp(-0.5 * ((radius - 12.0) / 1.2) ** 2 - 0.5 * (turned / 0.5) ** 2)[..., None]
        pixels[i] = galaxy + y[i] * 15.0 * arc * np.array([1.2, 1.0, 0.8]) + rng.normal(size=(_SIZE, _SIZE, 3))
    return CutoutSet(pixels, pixel_scale=_SCALE), y


def _copy(X: Any) -> Any:
    return X.copy() if isinstance(X, np.ndarray) else X.pixels.copy()


def _same(before: np.ndarray, X: Any) -> bool:
    return np.array_equal(before, X if isinstance(X, np.ndarray) else X.pixels, equal_nan=True)


def _with_rejected(X: Any) -> Any:
    """Return a copy with only NaN in the first row."""
    if isinstance(X, np.ndarray):
        broken = X.copy()
        broken[0] = np.nan
        return broken
    pixels = X.pixels.copy()
    pixels[0] = np.nan
    return CutoutSet(pixels, bcg_xy=X.bcg_xy, pixel_scale=X.pixel_scale)
