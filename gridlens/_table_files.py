"""Open tables of many formats, which are identified by the first bytes of the file."""

import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from gridlens._content import DECOMPRESSORS, KIND_WORDS, kind_of_bytes
from gridlens._table_source import Rank, TableError, TableSource
from gridlens.errors import GridlensError

__all__ = ["open_table"]

_HEAD = 4096  # bytes
# Kinds that are not tables, and the advice for each.
_OTHERS = {
    "zip": "Save it as CSV if it is an Excel workbook, or unpack it.",
    "excel": "Save it as CSV.",
    "hdf5": "Write the table as Parquet or FITS.",
    "zstd": "Decompress it.",
    "compress": "Decompress it.",
    "npy": "Write it as a table with named columns.",
    "pdf": "Save the table as CSV.",
    "html": "Download the table itself.",
    "png": "Write the table as CSV.",
    "jpeg": "Write the table as CSV.",
}
# Texts that are not tables, or not in a supported form.
_OTHER_TEXTS = (
    (re.compile(r"\s*(\{|\[\s*[\[{])"), "it is JSON", "Write the table as CSV."),
    (re.compile(r"\+-"), "it is a table drawn with lines", "Write it as CSV."),
)
# Largest ratio of the decompressed to the compressed size; tables reach 20, and endless zeros 1000.
_MAX_RATIO = 100
_FREE_BYTES = 256 * 1024**2


@contextmanager
def open_table(path: str | os.PathLike[str], rank: Rank, *, remarks: bool) -> Iterator[TableSource]:
    """Open a table and determine its columns without reading any rows.

    Parameters
    ----------
    path : str or path
        File, or folder of Parquet files.
    rank : callable
        Function that rates how well the names of columns fit, 0 if none is known; it selects among the tables of a
        file.
    remarks : bool
        Whether lines that begin with # below the names are comments, not rows.

    Raises
    ------
    TableError
        If the table cannot be read for any reason, when it is opened or in the block.
    FileNotFoundError
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"astropy\..*|pandas\..*|numpy\..*")
            with _opened(Path(path), rank, remarks) as source:
                yield source
    except (GridlensError, FileNotFoundError):
        raise
    except Exception as exc:
        # the libraries below raise as many kinds of error for a damaged file
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
        raise TableError(reason[:300]) from exc


@contextmanager
def _opened(path: Path, rank: Rank, remarks: bool) -> Iterator[TableSource]:
    from gridlens._table_arrow import ParquetTable, parquet_files

    if path.is_dir():
        yield ParquetTable(parquet_files(path))
        return
    if path.exists() and not path.is_file():
        raise TableError("it is not a regular file", "Give a file.")
    with open(path, "rb") as plain:
        decompressed = DECOMPRESSORS.get(kind_of_bytes(plain.read(_HEAD)))

    def stream() -> BinaryIO:
        file = open(path, "rb")  # noqa: SIM115 - closed with the reader
        if decompressed is None:
            return file
        return io.BufferedReader(_Bounded(decompressed, file, os.path.getsize(path)))

    with stream() as file:
        head = file.read(_HEAD)
        if kind_of_bytes(head) == "parquet" and decompressed is None:
            yield ParquetTable([path])
        else:
            yield _source(head, stream, file, rank, remarks)


def _source(head: bytes, stream: Callable[[], BinaryIO], file: BinaryIO, rank: Rank, remarks: bool) -> TableSource:
    kind = kind_of_bytes(head)
    if kind in _OTHERS:
        raise TableError(f"it is {KIND_WORDS[kind]}", _OTHERS[kind])
    if kind == "fits":
        from gridlens._table_fits import FitsTable

        whole = _whole(head, file)
        return FitsTable(whole, _size(whole), rank)
    from gridlens._table_text import TextTable, text_encoding

    encoding = text_encoding(head)
    text = head.decode(encoding, "replace").lstrip("\ufeff")
    for pattern, reason, way_out in _OTHER_TEXTS:
        if pattern.match(text):
            raise TableError(reason, way_out)
    if text.lstrip().startswith("<"):
        from gridlens._table_votable import read_votable

        whole = _whole(head, file)
        return read_votable(whole, _size(whole), rank)
    fixed = _astropy_format(text)
    if fixed:
        from gridlens._table_astropy import read_ascii

        return read_ascii(_whole(head, file).read().decode(encoding, "surrogateescape"), fixed)
    return TextTable(stream, encoding, rank, remarks)


def _astropy_format(text: str) -> str:
    if text.startswith("# %ECSV"):
        return "ascii.ecsv"
    if text.startswith(("\\", "|")):
        return "ascii.ipac"
    return "ascii.cds" if re.search("^Byte-by-byte Description of file", text, re.MULTILINE) else ""


def _whole(head: bytes, file: BinaryIO) -> BinaryIO:
    """Return the file as a seekable one; a compressed file is read into memory."""
    if isinstance(getattr(file, "raw", None), _Bounded):
        return io.BytesIO(head + file.read())
    file.seek(0)
    return file


def _size(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


class _Bounded(io.RawIOBase):
    """Decompressed stream with a limit that is plausible for the size of the compressed file."""

    def __init__(self, decompressed: Callable[[BinaryIO], BinaryIO], file: BinaryIO, compressed: int) -> None:
        self._compressed = file
        self._file = decompressed(file)
        self._left = max(_FREE_BYTES, _MAX_RATIO * compressed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; raise TableError beyond the limit."""
        block = self._file.read(len(buffer))
        self._left -= len(block)
        if self._left < 0:
            raise TableError("it becomes too large when it is decompressed", "Decompress it.")
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._file.close()
        self._compressed.close()
        super().close()
