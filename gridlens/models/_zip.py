"""Bundles as zip files: reproducible bytes, and no unpacking of files that the manifest does not list."""

import stat
import zipfile
from pathlib import Path
from typing import Any

from gridlens.errors import ModelError
from gridlens.models._manifest import MANIFEST, MOST_MANIFEST_BYTES, checked_manifest

__all__ = ["is_zip_name", "unpack", "zip_folder"]

_TIME = (1980, 1, 1, 0, 0, 0)  # earliest time in the zip format
# Text of trees compresses to a quarter. An archive above this ratio is a zip bomb.
_MOST_RATIO = 100
_BLOCK = 1 << 20
_ENCRYPTED = 0x1


def is_zip_name(path: Path) -> bool:
    """Return whether a bundle at `path` is a single file."""
    return path.suffix.lower() == ".zip"


def zip_folder(folder: Path, target: Path) -> None:
    """Pack the files of `folder` into the zip file `target`, beginning with the manifest."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names.sort(key=lambda name: name != MANIFEST)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, (folder / name).read_bytes())


def unpack(path: Path, folder: Path) -> bytes:
    """Unpack the bundle `path` into the empty `folder` and return the bytes of its manifest.

    Names, kinds and sizes are compared with the manifest before the first file is written. `check_files` verifies the
    hashes.

    Raises
    ------
    ModelError
        If it is not a zip file, is damaged, or its content differs from its manifest.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpack(archive, path, folder)
    except ModelError:
        raise
    # zipfile raises a dozen kinds of exceptions for manipulated archives.
    except Exception as exc:
        said = (str(exc).splitlines() or [type(exc).__name__])[0][:200]
        raise ModelError(f"The model {path} is a damaged zip file ({said}). Get or train the model again.") from exc


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path) -> bytes:
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        _check_entry(entry, path)
        if entry.filename in entries:
            raise ModelError(f"The model {path} contains {entry.filename!r} twice. Do not use it.")
        if not entry.is_dir():
            entries[entry.filename] = entry
    if MANIFEST not in entries:
        raise ModelError(f"The model {path} is not a model bundle: there is no {MANIFEST} at its top.")
    content = _read_at_most(archive, entries.pop(MANIFEST), MOST_MANIFEST_BYTES, path)
    listed = checked_manifest(content, str(path))["files"]
    _check_sizes(entries, listed, path)
    for name, entry in entries.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, open(target, "xb") as file:
            left = entry.file_size
            # Also count the bytes that are read, because the size in the header is not reliable.
            while block := source.read(min(_BLOCK, left + 1)):
                left -= len(block)
                if left < 0:
                    raise ModelError(f"The model {path} contains more bytes in {name!r} than declared. Do not use it.")
                file.write(block)
    (folder / MANIFEST).write_bytes(content)
    return content


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    name = entry.filename
    # Use orig_filename, because zipfile cuts the name at a NUL and converts the separators of Windows.
    if name != entry.orig_filename or "\\" in name or name.startswith("/") or ":" in name or ".." in name.split("/"):
        raise ModelError(f"The model {path} has a name outside the bundle, {entry.orig_filename!r}. Do not use it.")
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ModelError(f"The model {path} contains {name!r}, which is a link or not a regular file. Do not use it.")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError(
            f"The model {path} contains {name!r} encrypted or with a compression other than deflate. Pack it again."
        )


def _check_sizes(entries: dict[str, zipfile.ZipInfo], listed: dict[str, Any], path: Path) -> None:
    for name, entry in entries.items():
        if name not in listed:
            raise ModelError(f"The model {path} contains {name!r}, which its manifest does not list. Do not use it.")
        if entry.file_size != listed[name]["bytes"]:
            raise ModelError(
                f"The model {path} contains {entry.file_size} bytes of {name!r}, but its manifest declares "
                f"{listed[name]['bytes']}. Get or train the model again."
            )
    for name in listed:
        if name not in entries:
            raise ModelError(f"The model {path} lacks the file {name!r}. Get or train the model again.")
    total = sum(entry.file_size for entry in entries.values())
    if total > _MOST_RATIO * path.stat().st_size:
        raise ModelError(
            f"The model {path} would unpack to {total} bytes, over {_MOST_RATIO} times its size, and could fill a "
            "disk. Do not use it."
        )


def _read_at_most(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, path: Path) -> bytes:
    with archive.open(entry) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ModelError(f"The model {path} contains a {entry.filename} of over {most} bytes. Do not use it.")
    return content
