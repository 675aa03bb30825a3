"""The record next to a finished output: its inputs, for `resume`, and its options, for `explain`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridlens._files import atomic_path, read_regular
from gridlens.engine._parts import differences
from gridlens.errors import GridlensError

__all__ = ["CUTOUT_TABLE", "check_record", "recorded_options", "write_record"]

CUTOUT_TABLE = "cutouts.csv"
"""file name of the table in a folder of cutouts"""

# A folder is identified by one of these files.
_KEY_FILES = (CUTOUT_TABLE, "index.html")
_FORMAT = "gridlens record 1"


def _record_path(out: Path) -> Path:
    """Return the path of the record of an output, a hidden file for all output formats."""
    return out.with_name(f".{out.name}.run.json")


def write_record(out: Path, identity: dict[str, str], options: Mapping[str, Any] | None = None) -> None:
    """Record the inputs of a finished output, the digest of its bytes, and options in JSON types."""
    record = {"format": _FORMAT, "identity": identity, "blake2b": _file_digest(out), "options": dict(options or {})}
    with atomic_path(_record_path(out)) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def recorded_options(out: Path) -> dict[str, Any]:
    """Return the options with which an output was made; an empty dictionary if they are not recorded.

    Any program may have written the file, so names and values must be checked before they are used.
    """
    record = _read(out)
    options = {} if record is None else record.get("options")
    return options if isinstance(options, dict) else {}


def check_record(out: Path, identity: dict[str, str]) -> None:
    """Raise GridlensError unless an output is complete and belongs to a run with this identity."""
    record = _read(out)
    way_out = "Replace it with overwrite=True, or use another output."
    if record is None:
        raise GridlensError(
            f"The output {out} exists, but whether it is complete cannot be verified: it has no record of the run that "
            f"wrote it. {way_out}"
        )
    if changed := differences(record["identity"], identity):
        raise GridlensError(
            f"The output {out} belongs to another run, with other values of {changed}. Files are compared by path, "
            f"size, times and inode. {way_out}"
        )
    if not _is_whole(out, record["blake2b"]):
        raise GridlensError(f"The output {out} is not the table written by the run: its content has changed. {way_out}")


def _is_whole(out: Path, digest: str) -> bool:
    try:
        return _file_digest(out) == digest
    except OSError:
        return False


def _read(out: Path) -> dict[str, Any] | None:
    try:
        record: Any = json.loads(read_regular(_record_path(out)))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and record.get("format") == _FORMAT and isinstance(record.get("identity"), dict)
    return record if whole and "blake2b" in record else None


def _file_digest(out: Path) -> str:
    """Return the digest of an output; for a folder, of its table or page."""
    path = next((out / name for name in _KEY_FILES if (out / name).is_file()), out)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
