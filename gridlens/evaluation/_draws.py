"""Draws of the grouped bootstrap, and the calling of metrics that the caller brings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gridlens.evaluation._intervals import Estimate

__all__ = ["Metric", "draws", "groups_of", "metric_values", "named_metrics"]

Metric = Callable[..., Estimate]
"""``metric(y, score)``, with ``groups=groups`` and ``sample_weight=weights`` where there are such."""


def groups_of(groups: np.ndarray | None, length: int) -> np.ndarray:
    """The number of each row's group, from 0; a group for each row where there are none."""
    if groups is None:
        return np.arange(length)
    return np.unique(groups, return_inverse=True)[1]


def draws(y: np.ndarray, group: np.ndarray, n_boot: int, random_state: int) -> Iterator[np.ndarray]:
    """How often each row is drawn, int64 of shape (n,), for each of `n_boot` draws of whole groups with replacement.

    Groups that hold a positive and groups that hold none are drawn apart, so that both stay as many: a draw of a rare
    class would else often be without it.
    """
    n_groups = int(group.max()) + 1
    holds = np.bincount(group, y, n_groups) > 0
    parts = [part for part in (np.flatnonzero(holds), np.flatnonzero(~holds)) if len(part)]
    rng = np.random.default_rng(random_state)
    for _ in range(n_boot):
        drawn = np.concatenate([part[rng.integers(len(part), size=len(part))] for part in parts])
        yield np.bincount(drawn, minlength=n_groups)[group]


def named_metrics(metrics: Metric | Mapping[str, Metric]) -> dict[str, Metric]:
    """`metrics` by name; a single one goes by that of its function."""
    named = dict(metrics) if isinstance(metrics, Mapping) else {_name(metrics): metrics}
    if not named or not all(callable(metric) for metric in named.values()):
        raise ValueError(
            "The 'metrics' parameter must be a function of (y, score, groups=...), or a dict of such by name. "
            f"Got {metrics!r} instead."
        )
    return named


def _name(metric: Any) -> str:
    metric = getattr(metric, "func", metric)
    return str(getattr(metric, "__name__", metric))


def metric_values(metric: Metric) -> Callable[..., float]:
    """`metric` reduced to its value, for use inside a bootstrap; an interval of its own would be thrown away."""
    try:
        parameters: Mapping[str, Any] = inspect.signature(metric).parameters
    except (TypeError, ValueError):
        parameters = {}
    options = {"n_boot": 1} if "n_boot" in parameters else {}
    return lambda y, score, **more: float(metric(y, score, **options, **more).value)
