"""Names of bands, and selection of the g, r and i planes of an array."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens.errors import CutoutError

__all__ = [
    "BANDS",
    "KNOWN_BANDS",
    "band_letter",
    "band_places",
    "missing_bands",
    "name_bands",
    "pick_bands",
    "split_bands",
]

BANDS = ("g", "r", "i")
KNOWN_BANDS = "ugrizy"
"""letters that denote a band in the names of files and filters"""

_BANDS_HINT = 'Name the planes in their order with bands="grizy".'


def split_bands(text: str, filters: Mapping[str, str]) -> tuple[str, ...]:
    """Split a string of band names, "grizy" or "HSC-G, HSC-R, HSC-I", and reduce each name; see `name_bands`."""
    words = re.split(r"[\s,]+", text.strip()) if re.search(r"[\s,]", text.strip()) else text.strip()
    return name_bands(words, filters)


def name_bands(names: Iterable[str], filters: Mapping[str, str]) -> tuple[str, ...]:
    """Reduce each name to its letter, or else to the band that a survey's `filters` assign to it.

    If several filters belong to one band, the first represents it. No filter does if another name is the letter itself.
    """
    bands = [band_letter(name) for name in names]
    for k, name in enumerate(bands):
        band = filters.get(name.lower())
        if band is not None and band not in bands:
            bands[k] = band
    return tuple(bands)


def band_letter(name: str) -> str:
    """Reduce a filter's name to its letter if it clearly has one: "HSC-G", "g.MP9401" and "OCAM_g_SDSS" are g.

    A name without such a letter ("F606W", "clear") is returned unchanged.
    """
    words = [word for word in re.split(r"[-_.\s]+", str(name).strip().lower()) if word]
    letters = [word for word in words if len(word) == 1 and word in KNOWN_BANDS]
    return letters[0] if len(letters) == 1 else str(name).strip()


def missing_bands(names: Iterable[str]) -> str:
    """Return the start of a message that lists which of g, r, i are missing; "" if none is."""
    names = set(names)
    missing = [band for band in BANDS if band not in names]
    if not missing:
        return ""
    if len(missing) == 1:
        return f"The band {missing[0]} is missing"
    return f"The bands {', '.join(missing[:-1])} and {missing[-1]} are missing"


def pick_bands(array: NDArray[Any], names: Sequence[str] | None) -> NDArray[Any]:
    """Return the planes as (..., H, W, 3) in the order g, r, i, as a view of the array if possible.

    Parameters
    ----------
    array : ndarray of shape (H, W, b), (b, H, W), (n, H, W, b) or (n, b, H, W)
        The band axis is found by its length, so only one axis may have as many entries as there are bands.
    names : sequence of str or None
        The b bands. None means g, r, i.

    Raises
    ------
    CutoutError
        The shape does not fit the bands, or g, r or i is missing.
    """
    axis, places = band_places(array.shape, names)
    planes = np.moveaxis(array, axis, -1)
    if places == list(range(planes.shape[-1])):
        return planes
    return np.stack([planes[..., place] for place in places], axis=-1)


def band_places(shape: Sequence[int], names: Sequence[str] | None) -> tuple[int, list[int]]:
    """Return the axis (-3 or -1) of an array of this shape that holds the bands, and the indices of g, r, i on it.

    See `pick_bands` for the parameters and errors. Only the shape is needed, so an array can be checked before it is
    read.
    """
    shape = tuple(shape)
    b = len(BANDS if names is None else names)
    axes = [axis for axis in (-3, -1) if len(shape) in (3, 4) and shape[axis] == b]
    if not axes:
        if names is None:
            raise CutoutError(
                f"The array has the shape {shape}, but a cutout must have (H, W, 3) or (3, H, W). {_BANDS_HINT}"
            )
        raise CutoutError(f"The array has the shape {shape}, which does not fit the {b} bands {', '.join(names)}.")
    if len(axes) == 2:
        raise CutoutError(f"The array has the shape {shape}, in which either axis could hold the {b} bands.")
    order = list(BANDS if names is None else names)
    missing = missing_bands(order)
    if missing:
        raise CutoutError(
            f"{missing}: the file holds {', '.join(order)}. "
            "Cutouts need g, r and i; if the names are wrong, give the right ones with bands=NAMES."
        )
    return axes[0], [order.index(band) for band in BANDS]
