"""Measured cutouts on disk: a Parquet file of the 315 columns, and of what is wrong with each cutout."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gridlens._files import atomic_path
from gridlens.errors import GridlensError
from gridlens.features._contract import CONTRACT_VERSION, FEATURE_NAMES
from gridlens.features._measured import Measured
from gridlens.features._measured_table import (
    CONTRACT,
    OPTIONAL,
    SOURCE,
    measured_from_table,
    measured_schema,
    measured_to_table,
)

# pyarrow is imported where it is used: this module belongs to the import of gridlens, a tenth of a second less.
if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["FeatureCache", "FeatureCacheWriter", "is_feature_cache"]

# Rows of a row group, 20 MB of features: what the writer holds back and a reader takes at once.
_GROUP_ROWS = 16384
_WORDS = ("id", "path", "message")


class FeatureCacheWriter:
    """Write measured cutouts to a feature cache, part by part; whole or not at all.

    A context manager. The file has its name only after a block that ended well; until then it grows under another name
    beside it, and nothing but the rows of one row group (16384, 20 MB) is held in memory.

    Parameters
    ----------
    path : str or path
        Parquet file to write. One that stands there is replaced at the end.
    source : str
        What was measured, as a hash or in words; readers are told it.

    Raises
    ------
    GridlensError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import CutoutSet
    >>> from gridlens.features import FeatureCache, FeatureCacheWriter, measure
    >>> cutouts = CutoutSet(np.random.default_rng(0).normal(size=(2, 96, 96, 3)).astype(np.float32))
    >>> with FeatureCacheWriter("features.parquet", source="noise") as writer:  # doctest: +SKIP
    ...     writer.add(measure(cutouts))
    >>> FeatureCache("features.parquet").read().features.shape  # doctest: +SKIP
    (2, 315)
    """

    def __init__(self, path: str | os.PathLike[str], source: str) -> None:
        self.path = Path(path)
        self.source = source
        self.n = 0

    def __enter__(self) -> Self:
        import pyarrow.parquet as pq

        self._whole = atomic_path(self.path)
        temporary = self._whole.__enter__()
        self._waiting: list[Measured] = []
        try:
            # Opened by Python: pyarrow takes paths of UTF-8 alone.
            self._sink = open(temporary, "wb")
            # Statistics of 315 columns would make up most of a footer that every reader parses; checksums tell a
            # reader of damage. Features are noise in their low bytes: bytes of one significance are kept together.
            self._file = pq.ParquetWriter(
                self._sink,
                measured_schema(self.source),
                compression="zstd",
                compression_level=1,
                use_dictionary=list(_WORDS),
                use_byte_stream_split=list(FEATURE_NAMES),
                write_statistics=False,
                write_page_checksum=True,
            )
        except BaseException as exc:
            self._whole.__exit__(type(exc), exc, exc.__traceback__)
            raise
        return self

    def add(self, measured: Measured) -> None:
        """Append cutouts in their order.

        Parameters
        ----------
        measured : Measured of n
            With all metadata: a detector hides from itself what it may not see (`keep_metadata`).

        Raises
        ------
        GridlensError
            The file cannot be written.
        """
        self._waiting.append(measured.without_cutouts())
        self.n += len(measured)
        if sum(map(len, self._waiting)) >= _GROUP_ROWS:
            self._write()

    def _write(self, last: bool = False) -> None:
        rows = Measured.concatenate(self._waiting)
        n = len(rows)
        stop = n if last else n - n % _GROUP_ROWS
        for start in range(0, stop, _GROUP_ROWS):
            group = rows[start : min(start + _GROUP_ROWS, stop)]
            with self._told():
                self._file.write_table(measured_to_table(group, self._file.schema), row_group_size=_GROUP_ROWS)
        # A copy, or the rows that were written would stay in memory.
        self._waiting = [rows[np.arange(stop, n)]] if stop < n else []

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise GridlensError(
                f"Cannot write the feature cache {self.path}: {exc.strerror or exc}. Make room, or name another place."
            ) from exc

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._write(last=True)
                with self._told():
                    self._file.close()
                    self._sink.close()
            except BaseException as exc:
                self._abandon(type(exc), exc, exc.__traceback__)
                raise
            self._whole.__exit__(None, None, None)
        else:
            self._abandon(kind, error, trace)

    def _abandon(self, *problem: Any) -> None:
        with contextlib.suppress(Exception):  # the footer of a file that is thrown away
            self._file.close()
        with contextlib.suppress(OSError):  # what is buffered may not fit on the disk
            self._sink.close()
        self._whole.__exit__(*problem)


class FeatureCache:
    """Measured cutouts in a file, read in batches from anywhere in it.

    Opening reads the file's description alone. An instance may be used by several threads at once, and be pickled: it
    goes by its path.

    Parameters
    ----------
    path : str or path
        What `FeatureCacheWriter` or `gridlens features` wrote.

    Attributes
    ----------
    path : Path
    n : int
        Cutouts, rejected ones with them; also ``len(cache)``.
    source : str
        What was measured, as its writer said.
    contract_version : int
        That of this gridlens: others are refused.

    Raises
    ------
    GridlensError
        There is no such file, it is damaged or no feature cache, or was measured under another contract version.

    Examples
    --------
    >>> from gridlens.features import FeatureCache
    >>> for measured in FeatureCache("features.parquet").batches():  # doctest: +SKIP
    ...     print(measured.features.shape)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._reading() as file:
            metadata = file.metadata.metadata or {}
            groups = [file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups)]
            schema = file.schema_arrow
        if CONTRACT not in metadata:
            raise GridlensError(
                f"{self.path} is a Parquet file, but no feature cache. Write one with `gridlens features`."
            )
        found = metadata[CONTRACT].decode(errors="replace")
        if found != str(CONTRACT_VERSION):
            raise GridlensError(
                f"The feature cache {self.path} was measured under contract version {found[:20]}, and this gridlens "
                f"has {CONTRACT_VERSION}. Measure the cutouts again with `gridlens features`."
            )
        expected = measured_schema("")
        wrong = [
            name
            for name in expected.names
            if not (name in OPTIONAL and name not in schema.names)
            and (schema.names.count(name) != 1 or schema.field(name) != expected.field(name))
        ]
        if wrong:
            raise GridlensError(
                f"The feature cache {self.path} lacks the columns {', '.join(wrong[:3])}"
                f"{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}, or has them of another type. Measure the "
                "cutouts again with `gridlens features`."
            )
        self.contract_version = CONTRACT_VERSION
        self.source = metadata.get(SOURCE, b"").decode(errors="replace")
        self._starts = np.concatenate([[0], np.cumsum(groups, dtype=np.int64)])
        self.n = int(self._starts[-1])

    def __len__(self) -> int:
        return self.n

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[Path]]:
        return FeatureCache, (self.path,)

    def batches(self, start: int = 0, stop: int | None = None, size: int = 8192) -> Iterator[Measured]:
        """Cutouts `start` to `stop` in their order.

        Parameters
        ----------
        start, stop : int, default=0, None
            As in a slice; None goes to the end.
        size : int, default=8192
            Cutouts in a batch; the last one may have fewer.

        Yields
        ------
        Measured
            None at all where there are no cutouts.

        Raises
        ------
        GridlensError
            The file is damaged, or gone.
        """
        if size < 1:
            raise ValueError(f"The 'size' parameter must be at least 1. Got {size} instead.")
        first, end, _ = slice(start, stop).indices(self.n)
        if first >= end:
            return
        with self._reading() as file:
            held, group = Measured.of_failures([]), -1
            for lo in range(first, end, size):
                hi, parts = min(lo + size, end), []
                while lo < hi:
                    needed = int(np.searchsorted(self._starts, lo, side="right")) - 1
                    if needed != group:
                        held, group = self._group(file, needed), needed
                    offset = int(self._starts[group])
                    upto = min(hi, int(self._starts[group + 1]))
                    parts.append(held[lo - offset : upto - offset])
                    lo = upto
                yield Measured.concatenate(parts)

    def read(self) -> Measured:
        """All cutouts: 1260 bytes each of features alone."""
        return Measured.concatenate(list(self.batches(size=_GROUP_ROWS)))

    def _group(self, file: pq.ParquetFile, group: int) -> Measured:
        with self._damage():
            # A name that an older file lacks is passed over.
            return measured_from_table(file.read_row_group(group, columns=measured_schema("").names))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[pq.ParquetFile]:
        import pyarrow.parquet as pq

        if not self.path.is_file():
            raise GridlensError(f"There is no feature cache {self.path}. Write one with `gridlens features`.")
        with self._damage():
            file = pq.ParquetFile(self.path, page_checksum_verification=True)
        with file:
            yield file

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as exc:
            said = " ".join(str(exc).split())[:200]
            raise GridlensError(
                f"The feature cache {self.path} is damaged or no Parquet file: {said} Measure the cutouts again with "
                "`gridlens features`."
            ) from exc


def is_feature_cache(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a feature cache of any contract version; False for what is missing or unreadable.

    Examples
    --------
    >>> from gridlens.features._cache import is_feature_cache
    >>> is_feature_cache("nowhere.parquet")
    False
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"PAR1":
                return False
        import pyarrow.parquet as pq

        return CONTRACT in (pq.read_metadata(path).metadata or {})
    except Exception:
        return False
