"""Find images of the same field whose names differ in one word: one of them is probably not a science image."""

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gridlens._ids import escaped
from gridlens.cutouts.images._blank import mark_blank
from gridlens.cutouts.images._fits_open import opened
from gridlens.cutouts.images._fits_pixels import image_pixels
from gridlens.cutouts.images._tile_files import Tile, index_files
from gridlens.errors import CutoutError

__all__ = ["MOST_NAMES", "alike_pairs", "check_alike", "check_alike_files"]

# File names of a survey follow one pattern, so the first ones are enough.
MOST_NAMES = 2_000
"""maximum number of names that are compared"""
_MOST_PAIRS = 8
_STRIPS, _STRIP = 24, 5
"""number of strips in which two images are compared, and rows per strip"""
# Images that share a smaller fraction of their valid pixels are parts of one field.
_SHARED = 0.1
# Criteria for complementary exposures: the fraction of pixels valid in only one of them, and the ratio of their noise.
# Maps do not meet them.
_COMPLEMENT = 0.02
_ALIKE_NOISE = 10.0


def check_alike(tiles: Sequence[Tile], band: str) -> None:
    """Raise CutoutError if two files show the same field, share pixels, and have names differing in one word.

    In that case, it is unknown which of the two is the science image.
    """
    by_path = {tile.path: tile for tile in reversed(tiles)}
    for first, second in _some(alike_pairs(sorted(by_path))):
        if by_path[first].is_at(by_path[second]) and _is_ambiguous(by_path[first], by_path[second]):
            raise _refusal(first, second, f'images={{"{band}": PATH}}')


def check_alike_files(paths: Sequence[str]) -> None:
    """Raise CutoutError if two of the files show the same field, as in `check_alike`; unreadable files are skipped."""
    for first, second in _some(alike_pairs(paths)):
        tiles, _ = index_files([first, second])
        found = {tile.path: tile for tile in reversed(tiles)}
        if len(found) == 2 and found[first].is_at(found[second]) and _is_ambiguous(found[first], found[second]):
            raise _refusal(first, second, "the files, or a glob")


def _refusal(first: str, second: str, how: str) -> CutoutError:
    names = f"{escaped(os.path.basename(first))} and {escaped(os.path.basename(second))}"
    return CutoutError(
        f"The images {names} show the same field and their names differ in one word, so one of them may be a map "
        f"rather than a science image. Select the science images with {how}, or move the other files away."
    )


def alike_pairs(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of paths in one folder whose names differ by one replaced or added word; each kind of pair once.

    A word has at least two letters and no digits.
    """
    groups: dict[tuple[object, ...], tuple[str, str]] = {}
    seen: set[frozenset[str]] = set()
    for path in paths[:MOST_NAMES]:
        folder, name = os.path.split(path)
        tokens = re.split(r"[-_.]", name)
        keys = [((folder, *tokens[:k], None, *tokens[k + 1 :]), token) for k, token in _words(tokens)]
        # For an added word, as in NAME and NAME-word, the shorter name gets a key for each gap between its tokens.
        keys += [((folder, *tokens[:k], None, *tokens[k:]), "") for k in range(1, len(tokens))]
        for key, word in keys:
            other = groups.setdefault(key, (path, word))
            kind = frozenset((word, other[1]))
            if other[0] != path and len(kind) == 2 and kind not in seen:
                seen.add(kind)
                yield other[0], path


def _words(tokens: list[str]) -> list[tuple[int, str]]:
    return [(k, token) for k, token in enumerate(tokens) if len(token) > 1 and token.isalpha()]


def _some(pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return (pair for pair, _ in zip(pairs, range(_MOST_PAIRS), strict=False))


def _is_ambiguous(first: Tile, second: Tile) -> bool:
    """Return whether two images of one field, by some of their rows, may be a science image and its map.

    They do not if the images share few valid pixels, or if each is valid where the other is not and their noise is
    similar: these are complementary exposures.
    """
    try:
        rows = [_some_rows(tile) for tile in (first, second)]
    except Exception:
        # A damaged file may raise almost any error. It will raise again when its cutouts are read.
        return False
    valid = [np.isfinite(values) for values in rows]
    shared, union = np.count_nonzero(valid[0] & valid[1]), np.count_nonzero(valid[0] | valid[1])
    if shared <= _SHARED * union:
        return False
    complement = np.count_nonzero(valid[0] ^ valid[1]) > _COMPLEMENT * union
    noise = [float(np.nanmedian(np.abs(np.diff(values, axis=-1)))) for values in rows]
    return not (complement and min(noise) * _ALIKE_NOISE > max(noise))


def _some_rows(tile: Tile) -> NDArray[np.float32]:
    """Return strips of an image, (n, height, nx), NaN in blank pixels."""
    height = min(_STRIP, tile.ny)
    starts = np.linspace(0, tile.ny - height, min(_STRIPS, tile.ny)).astype(int)
    with opened(tile.path, memmap=True) as hdus:
        hdu = hdus[tile.hdu]
        leading = (0,) * (len(hdu.shape) - 2)
        strips = [image_pixels(hdu, (*leading, slice(start, start + height), slice(None))) for start in starts]
    return np.stack([mark_blank(strip) for strip in strips])
