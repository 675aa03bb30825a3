"""Merge of parts into one ranked table, with bounded memory."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gridlens._table_columns import described_attrs
from gridlens.cutouts import CutoutFlag
from gridlens.cutouts._order import order_warning
from gridlens.engine._batches import mark_duplicates
from gridlens.engine._parts import Parts
from gridlens.engine._scorers import Prevalence, Scorer

__all__ = ["Ranking", "rank_parts"]

# Number of rows sorted at once.
_BATCH_SIZE = 200_000
# Number of hashes of ids compared at once.
_HASHES = 10_000_000
# Maximum number of scores used to estimate a prevalence (every k-th row).
_ESTIMATED_FROM = 2_000_000


class Ranking(NamedTuple):
    """A ranked table in batches of rows, and its summary."""

    batches: Iterator[pd.DataFrame]
    """best first; must be read while the parts exist"""
    rows: int
    rejected: int
    duplicates: int
    resumed: int
    trained: int
    """number of rows in the model's training data; they are flagged and scored"""
    prevalence: float
    prevalence_estimate: str | None
    columns: dict[str, dict[str, str]]
    """descriptions of the columns of members and of the catalogue, by name"""
    kept: tuple[str, ...]
    """names of the columns of the catalogue"""
    passed: int | None
    """number of rows that passed the screen; None without a screen"""
    unusual: int
    """number of rows flagged as unusual, if requested"""
    recalibration: str | None
    """description of the recalibration of the probabilities, or None"""

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the whole table."""
        said = {"prevalence_estimate": self.prevalence_estimate, "recalibration": self.recalibration}
        known = {name: text for name, text in said.items() if text is not None}
        return {"prevalence": self.prevalence, **known, "columns": self.columns}


def rank_parts(
    parts: Parts,
    scorer: Scorer,
    prevalence: Prevalence,
    *,
    kept: Mapping[str, str] = MappingProxyType({}),
    batch_size: int = _BATCH_SIZE,
) -> Ranking:
    """Rank the rows of all parts; `kept` are catalogue columns with their units.

    More than `batch_size` rows are sorted with files: the order is cut into batches of about that size at quantiles of
    a sample of rows, each row is written to its batch's file, and the batches are sorted one by one. Rows with equal
    scores stay in the order of the parts.
    """
    n = parts.count()
    value, said, counts = _settle(parts, scorer, prevalence, max(1, n // _ESTIMATED_FROM))
    if warning := order_warning(counts.reversed, n - counts.rejected):
        warnings.warn(warning, UserWarning, stacklevel=2)
    again = _duplicates(parts, n)
    batches = _ranked(parts, scorer, value, again, n, batch_size)
    columns = scorer.attrs["columns"] | described_attrs((), kept=kept)["columns"]
    return Ranking(
        batches,
        n,
        counts.rejected,
        len(again),
        parts.resumed,
        counts.trained,
        value,
        said,
        columns,
        tuple(kept),
        counts.passed if scorer.screened else None,
        counts.unusual,
        scorer.attrs.get("recalibration"),
    )


class _Counts(NamedTuple):
    """Numbers of rows by status and flag; the counts by flag exclude rejected rows."""

    rejected: int
    trained: int
    reversed: int
    passed: int
    """0 without a screen"""
    unusual: int
    """0 if novelty was not requested"""


def _settle(parts: Parts, scorer: Scorer, prevalence: Prevalence, step: int) -> tuple[float, str | None, _Counts]:
    """Return the prevalence from every `step`-th row, a description if it was estimated, and the row counts."""
    sampled, at = [], 0
    rejected = trained = turned = passed = unusual = 0
    more = ["branch"] if scorer.screened else []
    for table in parts.tables([*scorer.ranked_by, "status", "flags", *more]):
        rows = table.to_pandas()
        usable = rows["flags"][rows["status"] == "ok"].to_numpy(dtype=np.int64)
        rejected += len(rows) - len(usable)
        trained += int(np.count_nonzero(usable & CutoutFlag.TRAINED))
        turned += int(np.count_nonzero(usable & CutoutFlag.BAND_ORDER))
        unusual += int(np.count_nonzero(usable & CutoutFlag.UNUSUAL))
        passed += sum(int((rows[name] == "full").sum()) for name in more)
        sampled.append(rows.iloc[-at % step :: step])
        at += len(rows)
    counts = _Counts(rejected, trained, turned, passed, unusual)
    return (*scorer.settle(pd.concat(sampled, ignore_index=True), prevalence), counts)


def _duplicates(parts: Parts, n: int) -> np.ndarray:
    """Return the indices of rows, in the order of the parts, whose id repeats an earlier one."""
    rounds = -(-n // _HASHES)
    found: list[np.ndarray] = []
    for k in range(rounds):
        hashes, places = _hashes(parts, k, rounds)
        order = np.argsort(hashes, kind="stable")
        same = np.flatnonzero(np.diff(hashes[order]) == 0)
        suspects = np.unique(np.concatenate([order[same], order[same + 1]]))
        if len(suspects):
            found.append(_again(parts, places[suspects]))
    return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def _hashes(parts: Parts, k: int, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of the ids in round `k` of `rounds`, and the indices of their rows."""
    hashes, places, at = [], [], 0
    for table in parts.tables(["id"]):
        ids = table.column("id").to_numpy(zero_copy_only=False)
        hashed = pd.util.hash_array(ids)
        mine = np.flatnonzero(hashed % np.uint64(rounds) == k)
        hashes.append(hashed[mine])
        places.append(at + mine)
        at += len(ids)
    return np.concatenate(hashes), np.concatenate(places)


def _again(parts: Parts, places: np.ndarray) -> np.ndarray:
    """Return the indices whose ids really repeat an earlier one, since equal hashes do not prove it."""
    ids: list[str] = []
    at = 0
    for table in parts.tables(["id"]):
        begin, end = np.searchsorted(places, [at, at + table.num_rows])
        if end > begin:
            ids += table.column("id").take(places[begin:end] - at).to_pylist()
        at += table.num_rows
    return places[pd.Series(ids, dtype=object).duplicated().to_numpy()]


def _ranked(
    parts: Parts, scorer: Scorer, prevalence: float, again: np.ndarray, n: int, batch_size: int
) -> Iterator[pd.DataFrame]:
    if n <= batch_size:
        tables = [rows for rows, _ in _marked_rows(parts, again)]
        yield scorer.ranked(pd.concat(tables, ignore_index=True), prevalence)
        return
    cuts = _cuts(parts, scorer, prevalence, n, batch_size)
    first = 1
    # Next to the parts, where the disk has room for the table; memory may not.
    with tempfile.TemporaryDirectory(prefix="batches-", dir=parts.folder) as folder:
        for path in _into_batches(parts, scorer, prevalence, again, cuts, Path(folder)):
            rows = pq.read_table(path).to_pandas()
            path.unlink()
            yield scorer.ranked(rows, prevalence, first)
            first += len(rows)


def _marked_rows(parts: Parts, again: np.ndarray) -> Iterator[tuple[pd.DataFrame, int]]:
    """Yield the rows of each part with duplicates flagged, and the index of its first row."""
    at = 0
    for table in parts.tables():
        rows = table.to_pandas()
        end = at + len(rows)
        known = again[slice(*np.searchsorted(again, [at, end]))]
        if len(known):
            mark_duplicates(rows, np.isin(np.arange(at, end), known))
        yield rows, at
        at = end


def _descending(scorer: Scorer, rows: pd.DataFrame, prevalence: float) -> np.ndarray:
    """Return an ascending sort key, best first; rejected rows sort last."""
    return np.where(np.isnan(key := scorer.key(rows, prevalence)), np.inf, -key)


class _Cuts(NamedTuple):
    """First rows of the batches, in order."""

    key: np.ndarray
    place: np.ndarray


def _cuts(parts: Parts, scorer: Scorer, prevalence: float, n: int, batch_size: int) -> _Cuts:
    """Return the quantiles of every k-th row."""
    step = max(1, batch_size // 1000)
    keys, places, at = [], [], 0
    for table in parts.tables(scorer.ranked_by):
        key = _descending(scorer, table.to_pandas(), prevalence)
        taken = np.arange(-at % step, len(key), step)
        keys.append(key[taken])
        places.append(at + taken)
        at += len(key)
    sample = _Cuts(np.concatenate(keys), np.concatenate(places))
    order = np.lexsort((sample.place, sample.key))
    n_batches = -(-n // batch_size)
    chosen = order[[len(order) * k // n_batches for k in range(1, n_batches)]]
    return _Cuts(sample.key[chosen], sample.place[chosen])


def _batch_of(key: np.ndarray, place: np.ndarray, cuts: _Cuts) -> np.ndarray:
    """Return the batch of each row: the number of cuts at or before it, by key and then by index."""
    number = np.searchsorted(cuts.key, key, side="left")
    end = np.searchsorted(cuts.key, key, side="right")
    # Rows with the same score as a cut are compared by index.
    for low, high in {pair for pair in zip(number.tolist(), end.tolist(), strict=True) if pair[0] < pair[1]}:
        tied = np.flatnonzero((number == low) & (end == high) & (key == cuts.key[low]))
        number[tied] = low + np.searchsorted(cuts.place[low:high], place[tied], side="right")
    return number


def _into_batches(
    parts: Parts, scorer: Scorer, prevalence: float, again: np.ndarray, cuts: _Cuts, folder: Path
) -> list[Path]:
    paths = [folder / f"{k}.parquet" for k in range(len(cuts.key) + 1)]
    writers: dict[int, pq.ParquetWriter] = {}
    # Rows are buffered until there are enough, since many files of a few rows would be slow to read.
    waiting: list[pd.DataFrame] = []
    first = 0

    def flush() -> None:
        nonlocal first
        if not waiting:
            return
        rows = pd.concat(waiting, ignore_index=True)
        waiting.clear()
        places = np.arange(first, first + len(rows))
        first += len(rows)
        numbers = _batch_of(_descending(scorer, rows, prevalence), places, cuts)
        # In order, so that a batch's file keeps the order of the parts.
        for k in np.unique(numbers).tolist():
            table = pa.Table.from_pandas(rows[numbers == k], preserve_index=False)
            if k not in writers:
                writers[k] = pq.ParquetWriter(paths[k], table.schema)
            writers[k].write_table(table.cast(writers[k].schema))

    try:
        for rows, at in _marked_rows(parts, again):
            waiting.append(rows)
            if at + len(rows) - first >= _BATCH_SIZE:
                flush()
        flush()
    finally:
        for writer in writers.values():
            writer.close()
    return [paths[k] for k in sorted(writers)]
