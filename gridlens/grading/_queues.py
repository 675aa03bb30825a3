"""Queues of objects to grade: the best, the disputed, diverse ones, and a random sample with known probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gridlens._constants import IQR_PER_SIGMA
from gridlens._ids import as_ids
from gridlens._tables import some_names
from gridlens.calibration._checks import checked_whole
from gridlens.errors import GridlensError
from gridlens.grading._vocabulary import STRATEGIES

__all__ = ["CERTAIN", "make_queue"]

CERTAIN = ("top", "committee", "diverse")
"""kinds of items that are selected with probability 1"""
_SHARES = {"top": 75, "committee": 8, "diverse": 5, "random": 5, "gold": 4, "repeat": 3}
_DESCRIBED = ("arc_distance", "arcness", "arc_color_gr", "arc_snr")
_BLOCK = 100
_MOST_STRATA = 5
# Disputed and diverse objects are chosen from the best of the pool: this many rows for each object chosen before.
_UPPER = 10
# Largest absolute value of a scaled column.
_MOST_SIGMA = 5.0


class _Pool(NamedTuple):
    """Objects that may be queued, best first.

    Attributes
    ----------
    ids : ndarray of shape (n,), object
    p, score, disagreement : ndarray of shape (n,), float64
        NaN if unknown.
    described : ndarray of shape (n, d), float64
        Descriptive columns, NaN if unknown.
    """

    ids: np.ndarray
    p: np.ndarray
    score: np.ndarray
    disagreement: np.ndarray
    described: np.ndarray


def make_queue(
    candidates: pd.DataFrame,
    *,
    strategy: str = "mix",
    batch: int = 100,
    graded: Iterable[Any] = (),
    gold: Iterable[Any] = (),
    repeats: Iterable[Any] = (),
    relabel: Iterable[Any] = (),
    random_state: int = 0,
) -> pd.DataFrame:
    """Choose objects to grade.

    The strategy "mix" fills 75 % of a batch with the objects of the highest probability; 8 % with those on which the
    members of the model disagree most and 5 % with objects that differ from those and from each other, both among the
    best of the pool, about ten times as many as the batch and at least a thousand; 5 % with a random sample, 4 % with
    gold objects and 3 % with objects that were graded before. "top" replaces the committee, the
    diverse and the random objects by more of the highest probability; "random" fills all but gold and repeats with the
    random sample.

    The random sample is drawn at one rate from strata by score, up to five, of all objects that are neither graded nor
    chosen for certain. `inclusion_weights` and `lenses_left` are based on it.

    Parameters
    ----------
    candidates : DataFrame
        Table of scores, with `object_id` or `id`, and `score` or `p_lens`; optionally `status` (rows other than "ok"
        are never queued), `disagreement`, and the columns in which diverse objects differ, `arc_distance`, `arcness`,
        `arc_color_gr` and `arc_snr`. Rows without a score are never queued.
    strategy : {"mix", "top", "random"}, default="mix"
    batch : int, default=100
        Number of objects, from 1. The kinds are scaled with it.
    graded : iterable of ids, default=()
        Objects that are already graded, by any grader and with any grade. They are not part of the pool.
    gold : iterable of ids, default=()
        Objects with a known class. They need not be candidates, and are only queued as gold objects. Those without a
        grade are used first.
    repeats : iterable of ids, default=()
        Graded objects that may be queued again, to measure how well graders agree with themselves.
    relabel : iterable of ids, default=()
        Graded objects that are queued again because graders disagree. They replace the same number of top objects.
    random_state : int, default=0
        Seed of all draws. The draws also depend on the graded objects, so queues with one seed are independent.

    Returns
    -------
    DataFrame
        Items in the order in which to grade them: `position` from 0, `object_id`, `kind`, `p` and `score` (NaN where
        unknown), `inclusion_probability` (1 for top, committee and diverse objects, the drawn fraction of the stratum
        for random ones, NaN otherwise), `stratum` (of random objects, 1 for the highest scores, None otherwise). Within
        each hundred positions the order is random. ``attrs["n_pool"]`` is the number of objects that could be queued,
        and ``attrs["notes"]`` has remarks on places that were filled differently. If the pool is smaller than `batch`,
        fewer items are returned.

    Raises
    ------
    TypeError
        `candidates` is not a DataFrame.
    ValueError
        `strategy`, `batch` or `random_state` is invalid.
    GridlensError
        A column is missing, or an id is missing or repeated.

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlens.grading import make_queue
    >>> table = pd.DataFrame({"object_id": [f"c{k}" for k in range(1000)], "score": [k / 1000 for k in range(1000)]})
    >>> items = make_queue(table, batch=20, strategy="mix")
    >>> items["kind"].value_counts().to_dict()
    {'top': 19, 'random': 1}
    >>> items.loc[items["kind"] == "random", "inclusion_probability"].round(5).tolist()
    [0.00102]
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"The 'strategy' parameter must be one of {', '.join(STRATEGIES)}. Got {strategy!r} instead.")
    batch = checked_whole("batch", batch, 1)
    seed = checked_whole("random_state", random_state, 0)
    done, known, again, asked = (list(dict.fromkeys(as_ids(ids))) for ids in (graded, gold, repeats, relabel))
    rng = np.random.default_rng([seed, *_words_of(done)])
    table = _checked_candidates(candidates)
    pool = _pool_of(table, {*done, *known, *again, *asked})
    notes: list[str] = []
    wanted = _wanted(strategy, batch)
    is_gold = set(known)
    asked = [name for name in asked if name not in is_gold]
    kept = is_gold.union(asked)
    picked = [(name, "gold") for name in _unasked_first(known, done, rng)[: wanted["gold"]]]
    repeated = _shuffled([name for name in again if name not in kept], rng)[: wanted["repeat"]]
    picked += [(name, "repeat") for name in repeated]
    for kind, of in (("gold", "gold objects"), ("repeat", "objects to repeat")):
        found = sum(one == kind for _, one in picked)
        if found < wanted[kind]:
            notes.append(f"There are {found} of {wanted[kind]} {of}; other objects take their places.")
    filler = "random" if strategy == "random" else "top"
    wanted[filler] += wanted.pop("gold") + wanted.pop("repeat") - len(picked)
    if len(asked) > wanted[filler]:
        notes.append(f"{len(asked) - wanted[filler]} of {len(asked)} objects to relabel have no place in the batch.")
    asked = asked[: wanted[filler]]
    wanted[filler] -= len(asked)
    picked += [(name, "relabel") for name in asked]
    return _items(pool, _chosen(pool, wanted, notes, rng), picked, table, batch, notes, rng)


def _words_of(graded: list[str]) -> np.ndarray:
    """Return a hash of ids as numbers, so that the draws of two rounds with one seed are independent."""
    digest = hashlib.sha256("\n".join(sorted(graded)).encode("utf-8", "surrogatepass")).digest()
    return np.frombuffer(digest, dtype=np.uint32)


def _checked_candidates(candidates: Any) -> pd.DataFrame:
    """Return the table by id, with float columns; rejected rows and rows without a score are dropped later."""
    if not isinstance(candidates, pd.DataFrame):
        raise TypeError(f"The 'candidates' parameter must be a DataFrame. Got {type(candidates).__name__} instead.")
    name = next((name for name in ("object_id", "id") if name in candidates), None)
    ranked = [column for column in ("p_lens", "score") if column in candidates]
    if name is None or not ranked:
        raise GridlensError(
            "The 'candidates' parameter must have the columns object_id or id, and score or p_lens. "
            f"Got {some_names(candidates.columns)} instead; `gridlens score` writes such a table."
        )
    ids = as_ids(candidates[name])
    index = pd.Index(ids, dtype=object)
    if index.has_duplicates or "" in index:
        wrong = f"{some_names(index[index.duplicated()].unique())} twice" if "" not in index else "a blank"
        raise GridlensError(
            f"The 'candidates' parameter must name each object once. Got {wrong} instead; remove such rows."
        )
    columns = ("p_lens", "score", "disagreement", *_DESCRIBED)
    table = pd.DataFrame(
        {
            column: pd.to_numeric(candidates[column], errors="coerce").to_numpy(dtype=np.float64)
            for column in columns
            if column in candidates
        },
        index=index,
    )
    status = candidates["status"].to_numpy() == "ok" if "status" in candidates else True
    return table[status & np.isfinite(table[ranked[0]].to_numpy())]


def _pool_of(table: pd.DataFrame, excluded: set[str]) -> _Pool:
    """Return the objects that may be queued for their scores, best first; ties are in the order of their ids."""
    free = table[~table.index.isin(list(excluded))] if excluded else table

    def column(name: str) -> np.ndarray:
        return free[name].to_numpy() if name in free else np.full(len(free), np.nan)

    p, score = column("p_lens"), column("score")
    # Calibrated probabilities have ties, which the score resolves.
    first = p if "p_lens" in free else score
    order = np.lexsort([free.index.to_numpy(dtype=str), -np.nan_to_num(score, nan=-np.inf), -first])
    described = free[[name for name in _DESCRIBED if name in free]].to_numpy(dtype=np.float64)
    return _Pool(free.index.to_numpy()[order], p[order], score[order], column("disagreement")[order], described[order])


def _wanted(strategy: str, batch: int) -> dict[str, int]:
    """Return the number of objects of each kind, by the method of largest remainders."""
    shares = dict(_SHARES)
    if strategy != "mix":
        moved = {"top", "committee", "diverse", "random"} - {strategy}
        shares[strategy] += sum(shares[kind] for kind in moved)
        shares |= dict.fromkeys(moved, 0)
    exact = {kind: share * batch / 100 for kind, share in shares.items()}
    wanted = {kind: int(value) for kind, value in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: wanted[kind] - exact[kind])
    for kind in by_remainder[: batch - sum(wanted.values())]:
        wanted[kind] += 1
    return wanted


def _shuffled(ids: list[str], rng: np.random.Generator) -> list[str]:
    return [ids[k] for k in rng.permutation(len(ids))]


def _unasked_first(gold: list[str], graded: list[str], rng: np.random.Generator) -> list[str]:
    seen = set(graded)
    drawn = _shuffled(gold, rng)
    return sorted(drawn, key=lambda name: name in seen)


def _chosen(
    pool: _Pool, wanted: dict[str, int], notes: list[str], rng: np.random.Generator
) -> list[tuple[int, str, float, str | None]]:
    """Return the row, the kind, the inclusion probability and the stratum of each object chosen from a pool."""
    n = len(pool.ids)
    free = np.ones(n, dtype=bool)
    chosen: list[tuple[int, str, float, str | None]] = []
    # Places that a kind cannot fill go to the kind "top", which is filled last but has its rows reserved.
    top = np.arange(min(wanted["top"], n))
    free[top] = False
    pickers: tuple[tuple[str, Callable[[int], np.ndarray], str], ...] = (
        ("committee", lambda count: _disputed(pool, free, count), "disagreement"),
        ("diverse", lambda count: _diverse(pool, free, count), "description of arc candidates"),
    )
    for kind, pick, needed in pickers:
        rows = pick(wanted[kind])
        free[rows] = False
        if len(rows) < min(wanted[kind], n):
            notes.append(f"{wanted[kind] - len(rows)} {kind} places go to the top: no more objects have a {needed}.")
        chosen += [(int(row), kind, 1.0, None) for row in rows]
        more = np.flatnonzero(free)[: wanted[kind] - len(rows)]
        free[more] = False
        top = np.concatenate([top, more])
    chosen += [(int(row), "top", 1.0, None) for row in top]
    return chosen + _random(np.flatnonzero(free), wanted["random"], rng)


def _disputed(pool: _Pool, free: np.ndarray, count: int) -> np.ndarray:
    """Return the rows on which the members of the model disagree most."""
    upper = _upper(free)
    rows = upper[free[upper] & np.isfinite(pool.disagreement[upper])]
    return rows[np.argsort(-pool.disagreement[rows], kind="stable")[:count]]


def _upper(free: np.ndarray) -> np.ndarray:
    """Return the rows of the upper part of a pool."""
    return np.arange(min(len(free), _UPPER * max(int((~free).sum()), _BLOCK)))


def _diverse(pool: _Pool, free: np.ndarray, count: int) -> np.ndarray:
    """Return rows of the upper part, each the farthest from all rows selected before."""
    upper = _upper(free)
    usable = np.isfinite(pool.described[upper]).any(axis=1)
    upper = upper[usable]
    if not len(upper) or not count:
        return np.zeros(0, dtype=np.int64)
    scaled = _scaled(pool.described[upper])
    distance = np.full(len(upper), np.inf)
    for row in np.flatnonzero(~free[upper]):
        distance = np.minimum(distance, ((scaled - scaled[row]) ** 2).sum(axis=1))
    picked: list[int] = []
    while len(picked) < count:
        distance[~free[upper]] = -1.0
        distance[picked] = -1.0
        farthest = int(np.argmax(distance))
        if distance[farthest] < 0.0:
            break
        picked.append(farthest)
        distance = np.minimum(distance, ((scaled - scaled[farthest]) ** 2).sum(axis=1))
    return upper[picked]


def _scaled(values: np.ndarray) -> np.ndarray:
    """Return columns minus their medians, divided by their interquartile ranges; NaN is replaced by the median."""
    columns = []
    for column in values.T:
        known = column[np.isfinite(column)]
        low, middle, high = np.quantile(known, [0.25, 0.5, 0.75]) if len(known) else (0.0, 0.0, 0.0)
        sigma = (high - low) / IQR_PER_SIGMA
        scaled = (column - middle) / sigma if sigma > 0.0 else np.zeros_like(column)
        columns.append(np.clip(np.nan_to_num(scaled, nan=0.0), -_MOST_SIGMA, _MOST_SIGMA))
    return np.stack(columns, axis=1)


def _random(rows: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[int, str, float, str | None]]:
    """Draw rows from strata by score, at the same rate from each of them."""
    count = min(count, len(rows))
    if not count:
        return []
    drawn: list[tuple[int, str, float, str | None]] = []
    parts = np.array_split(np.arange(count), min(_MOST_STRATA, count))
    for k, part in enumerate(parts, start=1):
        begin, end = (len(rows) * place // count for place in (part[0], part[-1] + 1))
        picked = rng.choice(rows[begin:end], size=len(part), replace=False)
        drawn += [(int(row), "random", len(part) / (end - begin), str(k)) for row in picked]
    return drawn


def _items(
    pool: _Pool,
    chosen: list[tuple[int, str, float, str | None]],
    picked: list[tuple[str, str]],
    table: pd.DataFrame,
    batch: int,
    notes: list[str],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return the items in the order in which they are graded."""
    rows = np.array([row for row, *_ in chosen], dtype=np.int64)
    own = pd.DataFrame(
        {
            "object_id": pool.ids[rows],
            "kind": pd.Series([kind for _, kind, *_ in chosen], dtype=object),
            "p": pool.p[rows],
            "score": pool.score[rows],
            "inclusion_probability": np.array([pi for *_, pi, _ in chosen], dtype=np.float64),
            "stratum": pd.Series([stratum for *_, stratum in chosen], dtype=object),
        }
    )
    names = pd.Index([name for name, _ in picked], dtype=object)
    known = table.reindex(index=names, columns=["p_lens", "score"])
    other = pd.DataFrame(
        {
            "object_id": names,
            "kind": pd.Series([kind for _, kind in picked], dtype=object),
            "p": known["p_lens"].to_numpy(dtype=np.float64),
            "score": known["score"].to_numpy(dtype=np.float64),
            "inclusion_probability": np.full(len(names), np.nan),
            "stratum": pd.Series([None] * len(names), dtype=object),
        }
    )
    items = own if other.empty else other if own.empty else pd.concat([own, other], ignore_index=True)
    items = items.iloc[_order(items["kind"].to_numpy(), rng)].reset_index(drop=True)
    items.insert(0, "position", np.arange(len(items)))
    if len(items) < batch:
        notes.append(f"The queue has {len(items)} objects instead of {batch}: there are no more.")
    items.attrs = {"n_pool": len(pool.ids), "notes": notes}
    return items


def _order(kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an order in which the best are in the first block, other kinds anywhere, and each block is shuffled.

    Items of the kind "top" are expected best first.
    """
    blocks = max(-(-len(kinds) // _BLOCK), 1)
    best, others = np.flatnonzero(kinds == "top"), rng.permutation(np.flatnonzero(kinds != "top"))
    # Each block gets its part of both.
    parts = zip(np.array_split(best, blocks), np.array_split(others, blocks), strict=True)
    return np.concatenate([rng.permutation(np.concatenate(part)) for part in parts])
