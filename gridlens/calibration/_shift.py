"""Prevalence of unlabelled rows, estimated from their calibrated probabilities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration._checks import checked_column, checked_groups, checked_share, checked_whole

__all__ = ["PriorShift", "estimate_shift"]

_TOLERANCE = 1e-10
_MAX_ITERATIONS = 200


class PriorShift(NamedTuple):
    """Result of `estimate_shift`.

    Attributes
    ----------
    value : float
        Fraction of positives among the rows, from 0 to 1.
    low, high : float
        Its 95 % interval.
    iterations : int
        Number of iterations.
    note : str
        "", or a caveat, such as "not distinguishable from none: at most 0.0021".

    Examples
    --------
    >>> from gridlens.calibration._shift import PriorShift
    >>> print(PriorShift(0.0112, 0.0091, 0.0133, 6))
    0.0112 [0.0091, 0.013]
    """

    value: float
    low: float
    high: float
    iterations: int
    note: str = ""

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.2g}, {self.high:.2g}]" + (f", {self.note}" if self.note else "")


def estimate_shift(
    p: Any, train_prior: float, groups: Any = None, *, n_boot: int = 200, random_state: int = 0
) -> PriorShift:
    """Estimate the prevalence of unlabelled rows from probabilities that were calibrated at another prevalence.

    The estimate is the maximum of the likelihood of Saerens et al. [1]_, who find it by EM. With ``a = p /
    train_prior`` and ``b = (1 - p) / (1 - train_prior)``, the ratios of the densities of the two classes to that of the
    calibration rows, it is the ``q`` that maximises the mean of ``log(q a + (1 - q) b)``. EM alternates between
    shifting the probabilities to `q` and averaging them, which converges slowly for few positives. The function is
    concave in `q`, so Newton's method, with a bracket of the maximum, finds the same result in a few steps.

    Parameters
    ----------
    p : array-like of shape (n,)
        Probabilities at `train_prior`, from 0 to 1, no NaN.
    train_prior : float
        Fraction of positives in the sample that `p` was calibrated on, between 0 and 1 (exclusive).
    groups : array-like of shape (n,), default=None
        Group labels. Rows with the same value are drawn together. If None, rows are independent.
    n_boot : int, default=200
        Number of bootstrap draws for the interval.
    random_state : int, default=0
        Random seed of the draws.

    Returns
    -------
    PriorShift
        Named tuple ``(value, low, high, iterations, note)``. Where the interval touches 0 or 1, the note says so, and
        only its other end is meaningful. `shift_prior` accepts a `value` between 0 and 1 (exclusive).

    Raises
    ------
    ValueError
        No rows or groups, or only one, a `p` that is NaN or outside 0 to 1, probabilities that are all equal, a
        prevalence outside (0, 1), missing groups or groups of mixed types.

    Notes
    -----
    The estimate is correct if the target rows differ from the calibration rows only in their fraction of positives:
    other seeing or another selection of clusters biases it without any sign. The interval has the percentiles of a
    bootstrap of the rows. It does not include the errors of the calibration itself, which matter most for rare
    positives. With true probabilities it contains the true value in nine of ten simulations, with those of a
    calibration on 100 positives in seven. Far below the prevalence of the calibration, the estimate may be far off, by
    a factor of three at 1e-3 (`benchmarks/calibration.py`).

    References
    ----------
    .. [1] Saerens, Latinne & Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities",
       Neural Computation 14, 21, the EM of section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import expit
    >>> from gridlens.calibration import estimate_shift
    >>> rng = np.random.default_rng(0)
    >>> score = rng.normal(size=20_000) + 3.0 * (np.arange(20_000) < 400)
    >>> even = expit(3.0 * score - 4.5)  # Two normal populations 3 apart, half of the rows in each.
    >>> print(estimate_shift(even, 0.5))
    0.0188 [0.016, 0.021]
    """
    train = checked_share("train_prior", train_prior)
    values = checked_column("p", p)
    n_boot = checked_whole("n_boot", n_boot, 1)
    strange = values[~((values >= 0.0) & (values <= 1.0))]
    if len(strange):
        raise ValueError(
            "The 'p' parameter must be probabilities from 0 to 1, without the rows of rejected cutouts. "
            f"Got {strange[0]:g} instead."
        )
    group = (
        np.arange(len(values))
        if groups is None
        else np.unique(checked_groups(groups, len(values)), return_inverse=True)[1]
    )
    n_groups = len(np.unique(group))
    if n_groups < 2:
        raise ValueError(f"The 'p' parameter must have at least two rows or groups. Got {n_groups} instead.")
    if values.min() == values.max():
        raise ValueError(
            "The 'p' parameter must differ between rows: equal probabilities carry no information on the prevalence. "
            f"Got {values[0]:g} in all {len(values)} rows instead."
        )
    positive, negative = values / train, (1.0 - values) / (1.0 - train)
    share, iterations = _maximum(positive, negative, np.ones(len(values)), train)
    rng = np.random.default_rng(random_state)
    drawn = np.empty(n_boot)
    for i in range(n_boot):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        drawn[i] = _maximum(positive, negative, times[group].astype(np.float64), share)[0]
    low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
    # The bootstrap has no spread for rows without positives. Zero positives among n rows occur in one of twenty cases
    # for a fraction of 3 / n.
    least = 1.0 - 0.05 ** (1.0 / n_groups)
    if low == 0.0:
        high = max(high, least)
    if high == 1.0:
        low = min(low, 1.0 - least)
    note = ""
    if low == 0.0 and high == 1.0:
        note = f"not resolvable with {n_groups} rows"
    elif low == 0.0:
        note = f"not distinguishable from none: at most {high:.2g}"
    elif high == 1.0:
        note = f"not distinguishable from all: at least {low:.2g}"
    return PriorShift(share, low, high, iterations, note)


def _maximum(positive: np.ndarray, negative: np.ndarray, weight: np.ndarray, start: float) -> tuple[float, int]:
    """Return the fraction of positives with the largest likelihood, and the number of iterations."""
    difference = positive - negative

    def slope(share: float) -> tuple[float, float]:
        # The mixture can be 0 only at the ends, 0 and 1, where the slope is infinite.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = difference / (share * positive + (1.0 - share) * negative)
            ratio[weight == 0.0] = 0.0
            return float((weight * ratio).sum()), -float((weight * ratio**2).sum())

    if slope(0.0)[0] <= 0.0:
        return 0.0, 0
    if slope(1.0)[0] >= 0.0:
        return 1.0, 0
    low, high = 0.0, 1.0
    share = min(max(start, _TOLERANCE), 1.0 - _TOLERANCE)
    for iteration in range(1, _MAX_ITERATIONS + 1):
        first, second = slope(share)
        low, high = (share, high) if first > 0.0 else (low, share)
        step = share - first / second if np.isfinite(second) else low
        new = step if low < step < high else (low + high) / 2.0
        if abs(new - share) <= _TOLERANCE * share:
            return new, iteration
        share = new
    return share, _MAX_ITERATIONS
