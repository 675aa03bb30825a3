"""Manifest of a bundle, and verification of the files that it lists."""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gridlens.errors import ModelError
from gridlens.features import CONTRACT_VERSION

__all__ = [
    "BUNDLE_VERSION",
    "CARD",
    "DETECTOR",
    "MANIFEST",
    "MOST_MANIFEST_BYTES",
    "MOST_STATE_BYTES",
    "NOVELTY",
    "SCREEN_ROWS",
    "TRAINING_ROWS",
    "WRITTEN",
    "check_files",
    "checked_manifest",
    "git_commit",
    "hash_arrays",
    "manifest_bytes",
    "parse_json",
    "sha256_of",
    "versions",
]

BUNDLE_VERSION = 2
MANIFEST = "manifest.json"
DETECTOR = "detector.json"
CARD = "card.md"
# Hashes of the training rows, 8 bytes each. Bundles of earlier versions do not have it.
TRAINING_ROWS = "training_rows.npy"
# Calibration rows of the screen, 24 bytes each, in bundles of models that can screen.
SCREEN_ROWS = "screen.npy"
# Reference sample for novelty. Bundles of earlier versions, and of models with few training rows, do not have it.
NOVELTY = "novelty.npz"
# Keys that `manifest_bytes` adds to a record.
WRITTEN = ("bundle_version", "contract_version", "files")
# Far above the size of any valid file; JSON is parsed in memory.
MOST_MANIFEST_BYTES = 1 << 20
MOST_STATE_BYTES = 1 << 24

_AGAIN = "Get or train the model again."
_RECORDED = ("numpy", "scipy", "scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "numba", "astropy")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_json(content: bytes, what: str) -> dict[str, Any]:
    """Parse the JSON object in `content`, called `what` in errors.

    NaN, infinities and repeated keys are rejected: the former are not valid JSON, and parsers differ on which of
    several values of a repeated key they use.
    """
    try:
        found = json.loads(content.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise ModelError(f"The {what} is damaged ({_first_line(exc)}). {_AGAIN}") from exc
    if not isinstance(found, dict):
        raise ModelError(f"The {what} is damaged (it contains {type(found).__name__}, not an object). {_AGAIN}")
    return found


def manifest_bytes(folder: Path, record: Mapping[str, Any]) -> bytes:
    """Return the manifest of the files in `folder`, including the entries of `record`."""
    manifest = {
        "bundle_version": BUNDLE_VERSION,
        "contract_version": CONTRACT_VERSION,
        **record,
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    try:
        return (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"The 'training' parameter must contain JSON values: text, finite numbers, lists and dicts. Got {exc} "
            "instead."
        ) from exc


def checked_manifest(content: bytes, where: str) -> dict[str, Any]:
    """Validate the manifest in `content` of the bundle `where`; raise ModelError if this version cannot use it."""
    what = f"manifest in {where}"
    if len(content) > MOST_MANIFEST_BYTES:
        raise ModelError(f"The {what} is damaged (over {MOST_MANIFEST_BYTES} bytes). {_AGAIN}")
    manifest = parse_json(content, what)
    bundle, contract = (_whole(manifest.get(key), key, what) for key in ("bundle_version", "contract_version"))
    if bundle > BUNDLE_VERSION:
        raise ModelError(
            f"The model in {where} has bundle version {bundle}; this gridlens reads versions up to {BUNDLE_VERSION}. "
            "Upgrade gridlens: pip install --upgrade gridlens."
        )
    if bundle < 1:
        raise ModelError(f"The {what} is damaged (bundle version {bundle}, but versions begin at 1). {_AGAIN}")
    if contract != CONTRACT_VERSION:
        raise ModelError(
            f"The model in {where} was trained on feature contract {contract}; this gridlens extracts contract "
            f"{CONTRACT_VERSION}. Train it again with `gridlens train`."
        )
    for key in ("versions", "training", "sources", "parameters"):
        if not isinstance(manifest.get(key, {}), dict):
            raise ModelError(f"The {what} is damaged ({key} must be an object). {_AGAIN}")
    files = manifest.get("files")
    if not isinstance(files, dict) or DETECTOR not in files:
        raise ModelError(f"The {what} does not list {DETECTOR}. {_AGAIN}")
    for name, entry in files.items():
        _check_name(name, where)
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            raise ModelError(f"The {what} is damaged (no sha256 of {name!r}). {_AGAIN}")
        _whole(entry.get("bytes"), f"bytes of {name!r}", what)
        if not _SHA256.fullmatch(entry["sha256"]):
            raise ModelError(f"The {what} is damaged ({name!r} has an invalid SHA-256). {_AGAIN}")
    for name in (DETECTOR, CARD):
        if name in files and files[name]["bytes"] > MOST_STATE_BYTES:
            raise ModelError(f"The {what} is damaged ({name} of over {MOST_STATE_BYTES} bytes). {_AGAIN}")
    return manifest


def check_files(folder: Path, manifest: Mapping[str, Any], where: str) -> None:
    """Raise ModelError unless `folder` contains exactly the files of the manifest, unchanged.

    A file that is not listed is rejected, not ignored, because a member that looks for it would read an unverified
    file. So is a link, because its target may change.
    """
    listed = manifest["files"]
    found = set()
    for path in _walk(folder, where):
        name = path.relative_to(folder).as_posix()
        if name == MANIFEST:
            continue
        if name not in listed:
            raise ModelError(
                f"The model in {where} contains {name!r}, which its manifest does not list. "
                "Remove that file, or get the model again."
            )
        found.add(name)
    for name, expected in listed.items():
        if name not in found:
            raise ModelError(f"The model in {where} lacks the file {name!r}. {_AGAIN}")
        path = folder / name
        # Compare the size first, which is cheap.
        if path.stat().st_size != expected["bytes"] or sha256_of(path) != expected["sha256"]:
            raise ModelError(
                f"The model file {where}/{name} is damaged: its size or hash differs from the manifest. {_AGAIN}"
            )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_arrays(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return shape, type and hash of the training arrays of a model, for its manifest.

    Parameters
    ----------
    arrays : mapping of str to array-like
        Arrays of numbers, booleans or text.

    Returns
    -------
    dict
        For each name ``shape`` (list of int), ``dtype`` (str) and ``sha256`` (hexadecimal) of the values in C order,
        little-endian. They are the same on every machine; NaN are distinguished by their bits.

    Raises
    ------
    ValueError
        If an array contains objects.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.models._manifest import hash_arrays
    >>> hash_arrays({"y": np.array([0, 1], dtype=np.int8)})["y"]["sha256"][:8]
    'b413f47d'
    """
    record = {}
    for name, values in arrays.items():
        array = np.asarray(values)
        if array.dtype.hasobject:
            raise ValueError(
                f"The 'arrays' parameter must contain arrays of numbers, booleans or text. Got objects in {name!r} "
                "instead; convert them first."
            )
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        record[name] = {
            "shape": list(array.shape),
            "dtype": array.dtype.str[1:],
            # Hash in blocks, because arrays that are memory-mapped from files may be larger than the memory.
            "sha256": hashlib.sha256(plain.reshape(-1).view(np.uint8).data if plain.nbytes else b"").hexdigest(),
        }
    return record


def git_commit() -> str | None:
    """Return the commit of the checkout that gridlens runs from, with "-dirty" for modified files, or None."""
    root = Path(__file__).parents[2]
    # An environment may be inside the checkout of another project.
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def versions() -> dict[str, str]:
    """Return the versions of Python, of gridlens and of its main dependencies."""
    found = {"python": sys.version.split()[0]}
    for name in ("gridlens", *_RECORDED):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _check_name(name: str, where: str) -> None:
    """Raise ModelError unless `name` is a valid file name inside the bundle on every system."""
    parts = name.split("/")
    if name.startswith(("/", "~")) or ".." in parts or "\\" in name or ":" in name:
        raise ModelError(f"The manifest in {where} names a file outside the bundle, {name!r}. Do not use it.")
    if len(name) > 200 or not name.isprintable() or "" in parts or "." in parts or name.casefold() == MANIFEST:
        raise ModelError(f"The manifest in {where} contains an invalid file name, {name[:200]!r}. Do not use it.")


def _walk(folder: Path, where: str) -> list[Path]:
    """Return all files in `folder`; raise ModelError for links and other special files."""
    files = []
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                kind = "a link" if stat.S_ISLNK(mode) else "not a regular file"
                raise ModelError(
                    f"The model in {where} contains {path.relative_to(folder).as_posix()!r}, which is {kind}. "
                    "Replace it by the file itself, or get the model again."
                )
            if stat.S_ISREG(mode):
                files.append(path)
    return files


def _whole(value: Any, name: str, what: str) -> int:
    if type(value) is not int or value < 0:
        raise ModelError(f"The {what} is damaged ({name} must be an integer, not {str(value)[:40]!r}). {_AGAIN}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:200]
