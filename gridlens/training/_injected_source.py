"""A pool of cutouts of clusters as a source that also yields them with arcs injected."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from gridlens.cutouts import CutoutBatch, CutoutSet, ReadFailure
from gridlens.cutouts.catalogs._join import JoinGaps
from gridlens.cutouts.catalogs._kept import KeptColumns
from gridlens.engine._features import MeasureWork
from gridlens.features import Measured
from gridlens.simulate import INJECTED_COLUMNS, ImageSky
from gridlens.simulate._cluster_arcs import inject_kinds
from gridlens.sources import Partition, Source
from gridlens.training._known_lenses import KnownLenses

__all__ = ["AS_IT_IS", "KNOWN_LENS", "InjectWork", "InjectedSource", "Injection"]

AS_IT_IS, KNOWN_LENS = "none", "known"
"""kinds of rows in addition to those of `inject_arcs`"""
_TEXTS = ("cutout", "kind")
_NUMBERS = tuple(name for name in INJECTED_COLUMNS if name not in ("id", *_TEXTS))
# Prefix that separates columns of the truth from those of measured cutouts.
_PREFIX = "injected_"


@dataclass(frozen=True)
class Injection:
    """The plan for injecting arcs into a pool.

    Parameters
    ----------
    seed : int
    skies : mapping of str to ImageSky
        Sky by survey; the key is "" for a pool of a single survey.
    surveys : mapping of str to str
        Survey of each cutout by id; cutouts that are not listed have the survey "".
    known : KnownLenses
        Known lenses, which are yielded unchanged.
    kinds : tuple of str, default=("none", "arc")
        Versions of each cutout: "none" for the unchanged cutout, and kinds of `inject_arcs`.
    only : frozenset of str, default=None
        Ids of the cutouts to use; None uses all.
    """

    seed: int
    skies: Mapping[str, ImageSky]
    surveys: Mapping[str, str] = field(default_factory=dict)
    known: KnownLenses = field(default_factory=lambda: KnownLenses())
    kinds: tuple[str, ...] = (AS_IT_IS, "arc")
    only: frozenset[str] | None = None

    def digest(self) -> str:
        """Return a digest of everything that the rows depend on."""
        parts = [self.seed, self.kinds, sorted(self.only or ()), sorted(self.surveys.items()), self.known.digest()]
        for name, sky in sorted(self.skies.items()):
            kernels = [] if sky.kernels is None else [kernel.tobytes().hex() for kernel in sky.kernels]
            parts += [name, sky.seeing, sky.own_seeing, kernels, sky.preset and sky.preset.name]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class _InjectedBatch(NamedTuple):
    """A `CutoutBatch` with the truth of its cutouts, which has the columns `INJECTED_COLUMNS`."""

    cutouts: CutoutSet | None
    failures: list[ReadFailure]
    truth: pd.DataFrame


class InjectedSource:
    """A `Source` of the cutouts of a pool with injected arcs.

    Parameters
    ----------
    pool : Source
        Source of cutouts.
    injection : Injection
    """

    kept: KeptColumns | None = None
    arguments: dict[str, Any] | None = None

    def __init__(self, pool: Source, injection: Injection) -> None:
        self._pool, self._injection = pool, injection

    @property
    def n(self) -> int | None:
        """Largest possible number of rows."""
        n = self._pool.n if self._injection.only is None else len(self._injection.only)
        return None if n is None else n * len(self._injection.kinds)

    @property
    def record(self) -> list[dict[str, Any]]:
        """Record of the pool."""
        return self._pool.record

    def partitions(self) -> Sequence[Partition]:
        """Return the partitions of the pool."""
        return self._pool.partitions()

    def find(self, ids: Collection[str], paths: Collection[str] = ()) -> Sequence[Partition]:
        """Return the partitions of the pool that contain cutouts, by their ids before the injection."""
        return self._pool.find([name.rpartition("+")[0] or name for name in ids], paths)

    def read(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[CutoutBatch]:
        """Yield the cutouts of the pool, unchanged and with arcs, in batches."""
        for batch in self.injected(partition, gaps):
            yield CutoutBatch(batch.cutouts, batch.failures)

    def injected(self, partition: Partition, gaps: JoinGaps | None = None) -> Iterator[_InjectedBatch]:
        """Yield the same batches with their truth."""
        plan = self._injection
        for batch in self._pool.read(partition, gaps):
            assert not isinstance(batch, Measured)
            cutouts, failures = batch
            if failures and plan.only is None:
                yield _InjectedBatch(None, failures, _untouched([], []))
            if cutouts is None:
                continue
            if plan.only is not None:
                cutouts = cutouts[np.array([name in plan.only for name in cutouts.ids], dtype=bool)]
            known = plan.known.among(cutouts)
            if AS_IT_IS in plan.kinds:
                kinds = np.where(known, KNOWN_LENS, AS_IT_IS)
                yield _InjectedBatch(cutouts, [], _untouched(cutouts.ids, kinds))
            yield from self._with_arcs(cutouts[~known])

    def _with_arcs(self, cutouts: CutoutSet) -> Iterator[_InjectedBatch]:
        plan = self._injection
        kinds = [kind for kind in plan.kinds if kind != AS_IT_IS]
        surveys = np.array([plan.surveys.get(name, "") for name in cutouts.ids], dtype=object)
        for survey in dict.fromkeys(surveys):
            made = inject_kinds(cutouts[surveys == survey], plan.skies[survey], plan.seed, kinds)
            for injected in made.values():
                if len(injected.cutouts):
                    yield _InjectedBatch(injected.cutouts, [], injected.truth)

    def split(self, partition: Partition) -> list[Partition]:
        """Split a partition as the pool does."""
        return self._pool.split(partition)

    def lost(self, partition: Partition, message: str) -> ReadFailure:
        """Return the failure of the pool for a lost partition."""
        return self._pool.lost(partition, message)

    def identity(self) -> dict[str, str]:
        """Return the digests of the pool and of the injection."""
        return self._pool.identity() | {"injection": self._injection.digest()}


def _untouched(ids: Any, kinds: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": list(ids), "cutout": list(ids), "kind": list(kinds)}).reindex(columns=INJECTED_COLUMNS)


class InjectWork(MeasureWork):
    """Work that measures rows of a feature cache, with the truth of injected arcs in additional columns."""

    def __init__(self) -> None:
        # By id, since the engine works on several partitions at a time.
        self._truth: dict[str, tuple[Any, ...]] = {}

    def read(self, source: Source, partition: Partition, gaps: JoinGaps) -> Iterator[Any]:
        """Yield the batches of a partition and remember their truth."""
        assert isinstance(source, InjectedSource)
        for batch in source.injected(partition, gaps):
            for row in batch.truth.itertuples(index=False, name=None):
                self._truth[row[0]] = row
            yield batch

    def completed(self, table: pa.Table, source: Source, gaps: JoinGaps) -> pa.Table:
        """Return the rows with their truth; a cutout that could not be read has none."""
        ids = table["id"].to_pylist()
        nothing = ("", "", *[np.nan] * (len(INJECTED_COLUMNS) - 2))
        rows = pd.DataFrame(
            [self._truth.pop(name, (name, *nothing[:2], *nothing[3:])) for name in ids], columns=list(INJECTED_COLUMNS)
        )
        for name in _TEXTS:
            table = table.append_column(_PREFIX + name, pa.array(rows[name].astype(str), pa.string()))
        for name in _NUMBERS:
            values = rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
            table = table.append_column(_PREFIX + name, pa.array(values, pa.float64(), from_pandas=False))
        return table


def truth_of(table: pa.Table) -> pd.DataFrame:
    """Return the truth of the rows of `InjectWork`, columns `INJECTED_COLUMNS`."""
    columns = {"id": table["id"].to_pylist()}
    columns |= {name: table[_PREFIX + name].to_pylist() for name in _TEXTS}
    columns |= {name: table[_PREFIX + name].to_numpy() for name in _NUMBERS}
    return pd.DataFrame(columns)[list(INJECTED_COLUMNS)]
