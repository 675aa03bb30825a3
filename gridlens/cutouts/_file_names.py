"""Information in file names: the kind of file, the band, and whether it is a companion map."""

import os
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from gridlens.cutouts._bands import KNOWN_BANDS
from gridlens.cutouts._companions import COMPANION_WORDS, SCIENCE_WORDS
from gridlens.cutouts._surveys import KNOWN_FILTERS

__all__ = ["SUFFIXES", "Kind", "kind_of", "parse_stem", "split_suffix"]

Kind: TypeAlias = Literal["npy", "npz", "fits", "hdf5", "zarr", "picture"]

_FITS = (".fits", ".fit", ".fts")
SUFFIXES: dict[str, Kind] = {
    ".npy": "npy",
    ".npz": "npz",
    **dict.fromkeys(_FITS, "fits"),
    **{f"{suffix}{packed}": "fits" for packed in (".gz", ".fz", ".bz2", ".xz") for suffix in _FITS},
    ".fz": "fits",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".zarr": "zarr",
    ".zarr.zip": "zarr",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".png": "picture",
}
# Without a named survey, a single letter may mean anything.
_FILTERS = {name: band for name, band in KNOWN_FILTERS.items() if len(name) > 1}
_DASHES = str.maketrans("_.", "--")


def kind_of(path: str) -> Kind | None:
    """Return the kind of file that the suffix indicates, or None for other suffixes."""
    split = split_suffix(path)
    return split and split[1]


def split_suffix(path: str) -> tuple[str, Kind] | None:
    """Return the stem and the kind, or None for other kinds. Names contain dots, so Path.stem does not work."""
    name = os.path.basename(path)
    lower = name.lower()
    last = lower.rfind(".")
    # The longest suffixes have two dots.
    for suffix in (lower[lower.rfind(".", 0, max(last, 0)) :], lower[last:]):
        if suffix in SUFFIXES and len(name) > len(suffix):
            return name[: -len(suffix)], SUFFIXES[suffix]
    return None


def parse_stem(stem: str, filters: Mapping[str, str] | None = None) -> tuple[str, str, bool]:
    """Return the name without its band token, the band ("" if none) and whether the file is a companion.

    A companion is a weight, a mask, a depth or another map: a word for one is at the end of the name or next to the
    band. `filters` maps lower-case filter names of one or more tokens to the bands that they represent if there is no
    letter.
    """
    # the separators stay in the list, at odd indices, so that the name keeps them
    words = re.split(r"([-_.])", stem)
    tokens = words[::2]
    if tokens[-1].lower() in SCIENCE_WORDS and len(tokens) > 1:
        words, tokens = words[:-2], tokens[:-1]
    place, end, band = _find_band(tokens, filters)
    if _names_companion(tokens, place, end):
        return stem, "", True
    if place is None:
        return "".join(words), "", False
    # remove the band with the separator before it, or after it if the band comes first
    rest = words[2 * end :] if place == 0 else words[: 2 * place - 1] + words[2 * end - 1 :]
    return "".join(rest), band, False


def _find_band(tokens: list[str], filters: Mapping[str, str] | None) -> tuple[int | None, int, str]:
    """Return the start (None if there is no band) and the end of the last band in the tokens, and its letter."""
    for k in range(len(tokens) - 1, -1, -1):
        if len(tokens[k]) == 1 and tokens[k] in KNOWN_BANDS:
            return k, k + 1, tokens[k]
    return _find_filter(tokens, filters) if filters else (None, len(tokens), "")


def _names_companion(tokens: list[str], place: int | None, end: int) -> bool:
    """Return whether a companion word is the last token or is next to the band at tokens `place` to `end`."""
    named = [k for k, token in enumerate(tokens) if token.lower() in COMPANION_WORDS]
    if not named:
        return False
    if place is None:
        place, end, _ = _find_filter(tokens, _FILTERS)
    if len(tokens) - 1 in named:
        return True
    # NAME_wht_g and wht_g_NAME, but not wht_g, where the word is the whole name
    return place is not None and (end in named or (place - 1 in named and len(tokens) - (end - place) > 1))


def _find_filter(tokens: list[str], filters: Mapping[str, str]) -> tuple[int | None, int, str]:
    """Return the start (None if there is no filter) and the end of the last filter in the tokens, and its band."""
    text = f"-{'-'.join(tokens)}-".lower()
    # any separator between the tokens matches: HSC-R, HSC_R
    dashed = [(name.translate(_DASHES), band) for name, band in filters.items()]
    at, name, band = max((text.rfind(f"-{name}-"), name, band) for name, band in dashed)
    if at < 0:
        return None, len(tokens), ""
    place = text.count("-", 0, at)
    return place, place + name.count("-") + 1, band
