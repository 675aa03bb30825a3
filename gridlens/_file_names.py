"""File names from ids, and the text in tables for the files of a cutout."""

import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence

from gridlens._ids import escaped, unescaped

__all__ = ["existing_path", "existing_paths", "file_stem", "joined_paths"]

_UNSAFE = re.compile(r"[^\w.+-]+")
# A name, its suffix and that of a temporary file together may have up to 255 bytes on common file systems.
_MOST_BYTES = 120
# Names that Windows reserves for devices, with any suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_stem(name: str, taken: set[str] | None = None) -> str:
    """Return the stem of a file name for an id.

    Characters other than letters, digits and ``.+-_`` are replaced by "_"; a long id is truncated.

    Parameters
    ----------
    name : str
        Any text.
    taken : set of str, default=None
        Earlier stems in the same folder, in lower case; the new one is added. If it equals an earlier one, a number is
        appended. If None, eight digits of the id's hash are appended where the id had to be changed, so that files that
        are written one at a time do not overwrite each other.

    Examples
    --------
    >>> taken = set()
    >>> [file_stem(name, taken) for name in ("a/b", "a_b", "..", "NUL")]
    ['a_b', 'a_b-2', 'cutout', '_NUL']
    >>> [file_stem(name) for name in ("a/b", "a_b")]
    ['a_b-c14cddc0', 'a_b']
    """
    stem = _safe(name)
    if taken is None:
        return stem if stem == name else f"{stem}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
    found, k = stem, 1
    while (key := unicodedata.normalize("NFKC", found).casefold()) in taken:
        k += 1
        found = f"{stem}-{k}"
    taken.add(key)
    return found


def existing_path(path: str, folders: Sequence[str] = ("",)) -> str:
    """Return the existing path of the file or folder for an escaped path in a table, or the path itself if none exists.

    The path is tried unchanged, with its escapes undone, and as UTF-8 if the file system encoding is ASCII.

    Parameters
    ----------
    path : str
    folders : sequence of str, default=("",)
        Folders for relative paths, in this order; "" is the working directory.
    """
    spellings = (path, unescaped(path), os.fsdecode(unescaped(path).encode("utf-8", "surrogateescape")))
    for folder in folders:
        for spelling in spellings:
            if os.path.exists(found := os.path.join(folder, spelling)):
                return found
    return path


def joined_paths(paths: Iterable[str]) -> str:
    r"""Join the escaped files of one cutout with ";"; a ";" in a name becomes \x3b.

    Examples
    --------
    >>> joined_paths(["a_g.fits", "a_r.fits", "a_i.fits"])
    'a_g.fits;a_r.fits;a_i.fits'
    """
    return ";".join(escaped(path).replace(";", "\\x3b") for path in paths)


def existing_paths(text: str, folders: Sequence[str] = ("",)) -> list[str]:
    """Return the paths of the files in a text of `joined_paths`, each as in `existing_path`.

    If one of the `folders` contains all of them, they are all from there.
    """
    names = [path for path in text.split(";") if path]
    for folder in folders:
        if text and os.path.exists(whole := os.path.join(folder, text)):
            return [whole]
        found = [existing_path(name, (folder,)) for name in names]
        if all(map(os.path.exists, found)):
            return found
    return [existing_path(name, folders) for name in names]


def _safe(name: str) -> str:
    encoding = sys.getfilesystemencoding()
    # With LC_ALL=C the file system encoding may be ASCII.
    known = unicodedata.normalize("NFC", name).encode(encoding, "replace").decode(encoding)
    stem = _bounded(_UNSAFE.sub("_", known)).strip("._") or "cutout"
    return f"_{stem}" if _RESERVED.fullmatch(stem) else stem


def _bounded(stem: str) -> str:
    return os.fsencode(stem)[:_MOST_BYTES].decode(sys.getfilesystemencoding(), "ignore")
