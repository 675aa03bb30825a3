"""The fraction of positives among rows without labels, estimated from their calibrated probabilities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration._checks import checked_column, checked_groups, checked_share, checked_whole

__all__ = ["PriorShift", "estimate_shift"]

_TOLERANCE = 1e-10
_MAX_ITERATIONS = 200


class PriorShift(NamedTuple):
    """What `estimate_shift` returns.

    Attributes
    ----------
    value : float
        Fraction of positives among the rows, from 0 to 1.
    low, high : float
        Its 95 % interval.
    iterations : int
        Steps to `value`.
    note : str
        "", or what cannot be told, such as "not distinguishable from none: at most 0.0021".

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
    """Prevalence of unlabelled rows, from probabilities that were calibrated at another one.

    The maximum of the likelihood that Saerens et al. [1]_ climb to by EM. With ``a = p / train_prior`` and
    ``b = (1 - p) / (1 - train_prior)``, the ratios of the densities of either class to those of the calibration rows,
    it is the ``q`` at the maximum of the mean of ``log(q a + (1 - q) b)``. EM puts in `q`, averages the shifted
    probabilities, and repeats; with few positives that creeps. The function is concave in `q`, so Newton's steps, kept
    inside the bracket where the maximum lies, find the same point in a few.

    Parameters
    ----------
    p : array-like of shape (n,)
        Probabilities at `train_prior`, from 0 to 1, no NaN.
    train_prior : float
        Fraction of positives that `p` was calibrated on, between 0 and 1, both left out.
    groups : array-like of shape (n,), default=None
        Rows with one value are drawn together. None: each row by itself.
    n_boot : int, default=200
        Draws for the interval.
    random_state : int, default=0
        Seed of the draws.

    Returns
    -------
    PriorShift
        The named tuple ``(value, low, high, iterations, note)``. Where the interval touches 0 or 1 the note says so,
        and only its other end means anything. `shift_prior` takes a `value` between 0 and 1.

    Raises
    ------
    ValueError
        No rows or groups, or one alone, a `p` that is NaN or outside 0 to 1, probabilities that are all equal, a
        prevalence that is not between 0 and 1, groups that are missing or of mixed types.

    Notes
    -----
    Right where the target rows differ from those of the calibration in their fraction of positives and in nothing else:
    other seeing or another selection of clusters shifts the answer without a sign of it. Percentiles of a bootstrap of
    the rows: the errors of the calibration itself are not in the interval, and matter most for rare positives. From
    true probabilities it holds the truth in nine of ten simulations, from those of a calibration on 100 positives in
    seven; and far below the prevalence of the calibration such an estimate may lie well off, by three times at 1e-3
    (`benchmarks/calibration.py`).

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
        raise ValueError(f"The 'p' parameter must be of at least two rows or groups. Got {n_groups} instead.")
    if values.min() == values.max():
        raise ValueError(
            "The 'p' parameter must differ between rows: equal probabilities tell nothing of the prevalence. "
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
    # Draws of rows without a positive have none either. None among n rows is what a fraction of 3 / n leaves in one
    # case of twenty.
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
    """Fraction of positives with the largest likelihood, and the steps to it."""
    difference = positive - negative

    def slope(share: float) -> tuple[float, float]:
        # Only at the ends, 0 and 1, can the mixture be 0, and it is so where the slope has no end.
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
