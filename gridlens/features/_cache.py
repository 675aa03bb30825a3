"""Measured cutouts on disk: a Parquet file with the 315 columns, and the flags and messages of each cutout."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gridlens._files import atomic_path
from gridlens._table_columns import CONTEXT_PREFIX
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

# pyarrow is imported where it is used, which makes `import gridlens` a tenth of a second faster.
if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["FeatureCache", "FeatureCacheWriter", "is_feature_cache"]

# Rows of a row group, 20 MB of features: the unit that the writer buffers and a reader decodes.
_GROUP_ROWS = 16384
_WORDS = ("id", "path", "message")


class FeatureCacheWriter:
    """Writer of feature caches, which adds measured cutouts part by part and completes the file atomically.

    Use it as a context manager. The file gets its final name only if the block succeeds; until then it grows under a
    temporary name in the same folder. Only the rows of one row group (16384, 20 MB) are held in memory.

    Parameters
    ----------
    path : str or path
        Parquet file to write. An existing file is replaced at the end.
    source : str
        Description or hash of the measured data, available to readers.

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
            # Opened by Python, since pyarrow only supports UTF-8 paths.
            self._sink = open(temporary, "wb")
            # Statistics of 315 columns would dominate the footer, which every reader parses; checksums detect damage.
            # The low bytes of features are noise, so bytes of equal significance are stored together.
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
        """Append cutouts in order.

        Parameters
        ----------
        measured : Measured of n
            Cutouts with all metadata. A detector removes the columns that it must not use (`keep_metadata`).

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
        # A copy, since a view would keep the written rows in memory.
        self._waiting = [rows[np.arange(stop, n)]] if stop < n else []

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise GridlensError(
                f"Cannot write the feature cache {self.path}: {exc.strerror or exc}. Free some disk space, or use "
                "another path."
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
        with contextlib.suppress(Exception):  # errors in the footer of a discarded file do not matter
            self._file.close()
        with contextlib.suppress(OSError):  # the buffered data may not fit on the disk
            self._sink.close()
        self._whole.__exit__(*problem)


class FeatureCache:
    """Measured cutouts in a file, readable in batches from any row.

    Opening reads only the file's metadata. An instance may be used by several threads at once, and is pickled as its
    path.

    Parameters
    ----------
    path : str or path
        File written by `FeatureCacheWriter` or `gridlens features`.

    Attributes
    ----------
    path : Path
    n : int
        Number of cutouts, including rejected ones; also ``len(cache)``.
    source : str
        Description of the measured data given by the writer.
    contract_version : int
        Contract version, always that of this gridlens: other versions are refused.

    Raises
    ------
    GridlensError
        The file is missing, damaged or not a feature cache, or was measured under another contract version.

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
                f"{self.path} is a Parquet file, but not a feature cache. Write one with `gridlens features`."
            )
        found = metadata[CONTRACT].decode(errors="replace")
        if found != str(CONTRACT_VERSION):
            raise GridlensError(
                f"The feature cache {self.path} was measured under contract version {found[:20]}, but this gridlens "
                f"has {CONTRACT_VERSION}. Measure the cutouts again with `gridlens features`."
            )
        context = [name for name in schema.names if name.startswith(CONTEXT_PREFIX)]
        if context:
            raise GridlensError(
                f"The feature cache {self.path} must not have columns of catalogue context, which no model may see. "
                f"Got {', '.join(context[:3])} instead; remove the columns that begin with {CONTEXT_PREFIX}."
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
                f"{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}, or has them with another type. Measure "
                "the "
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
        """Yield the cutouts `start` to `stop` in order.

        Parameters
        ----------
        start, stop : int, default=0, None
            As in a slice; None means the end.
        size : int, default=8192
            Cutouts per batch; the last batch may have fewer.

        Yields
        ------
        Measured
            Nothing is yielded if there are no cutouts.

        Raises
        ------
        GridlensError
            The file is damaged or missing.
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
        """Read all cutouts; the features take 1260 bytes per cutout."""
        return Measured.concatenate(list(self.batches(size=_GROUP_ROWS)))

    def _group(self, file: pq.ParquetFile, group: int) -> Measured:
        with self._damage():
            # Columns that an older file lacks are skipped.
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
                f"The feature cache {self.path} is damaged or not a Parquet file: {said} Measure the cutouts again "
                "with "
                "`gridlens features`."
            ) from exc


def is_feature_cache(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a feature cache of any contract version; False if it is missing or unreadable.

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
