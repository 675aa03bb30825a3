"""Draws of the grouped bootstrap, and calls of user-defined metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gridlens.evaluation._intervals import Estimate

__all__ = ["Metric", "draws", "groups_of", "metric_values", "named_metrics"]

Metric = Callable[..., Estimate]
"""``metric(y, score)``, with ``groups=groups`` and ``sample_weight=weights`` where these are given."""


def groups_of(groups: np.ndarray | None, length: int) -> np.ndarray:
    """Return the index of each row's group, from 0; without groups, each row is its own group."""
    if groups is None:
        return np.arange(length)
    return np.unique(groups, return_inverse=True)[1]


def draws(y: np.ndarray, group: np.ndarray, n_boot: int, random_state: int) -> Iterator[np.ndarray]:
    """Draw whole groups with replacement `n_boot` times and yield how often each row is drawn, int64 of shape (n,).

    Groups with and without a positive are drawn separately, so that the number of both is constant: many draws would
    otherwise contain no row of a rare class.
    """
    n_groups = int(group.max()) + 1
    holds = np.bincount(group, y, n_groups) > 0
    parts = [part for part in (np.flatnonzero(holds), np.flatnonzero(~holds)) if len(part)]
    rng = np.random.default_rng(random_state)
    for _ in range(n_boot):
        drawn = np.concatenate([part[rng.integers(len(part), size=len(part))] for part in parts])
        yield np.bincount(drawn, minlength=n_groups)[group]


def named_metrics(metrics: Metric | Mapping[str, Metric]) -> dict[str, Metric]:
    """Return `metrics` as a dict by name; a single metric gets the name of its function."""
    named = dict(metrics) if isinstance(metrics, Mapping) else {_name(metrics): metrics}
    if not named or not all(callable(metric) for metric in named.values()):
        raise ValueError(
            "The 'metrics' parameter must be a function of (y, score, groups=...), or a dict of such functions. "
            f"Got {metrics!r} instead."
        )
    return named


def _name(metric: Any) -> str:
    metric = getattr(metric, "func", metric)
    return str(getattr(metric, "__name__", metric))


def metric_values(metric: Metric) -> Callable[..., float]:
    """Reduce `metric` to its value for use inside a bootstrap, where its own interval would be discarded."""
    try:
        parameters: Mapping[str, Any] = inspect.signature(metric).parameters
    except (TypeError, ValueError):
        parameters = {}
    options = {"n_boot": 1} if "n_boot" in parameters else {}
    return lambda y, score, **more: float(metric(y, score, **options, **more).value)
