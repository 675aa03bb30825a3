"""Names of bands, and picking g, r and i out of planes."""

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
"""letters that count as a band in names of files and filters"""

_BANDS_HINT = 'Name the planes in their order with bands="grizy".'


def split_bands(text: str, filters: Mapping[str, str]) -> tuple[str, ...]:
    """Split the names of bands in one text, "grizy" or "HSC-G, HSC-R, HSC-I", and reduce them; see `name_bands`."""
    words = re.split(r"[\s,]+", text.strip()) if re.search(r"[\s,]", text.strip()) else text.strip()
    return name_bands(words, filters)


def name_bands(names: Iterable[str], filters: Mapping[str, str]) -> tuple[str, ...]:
    """Reduce each name to its letter, else to the band that a survey's `filters` say that it stands for.

    The first of several filters of one band stands for it, and none does where another name has the letter itself.
    """
    bands = [band_letter(name) for name in names]
    for k, name in enumerate(bands):
        band = filters.get(name.lower())
        if band is not None and band not in bands:
            bands[k] = band
    return tuple(bands)


def band_letter(name: str) -> str:
    """Reduce a filter's name to its letter where it plainly has one: "HSC-G", "g.MP9401" and "OCAM_g_SDSS" are g.

    A name without a letter of its own ("F606W", "clear") comes back as it is.
    """
    words = [word for word in re.split(r"[-_.\s]+", str(name).strip().lower()) if word]
    letters = [word for word in words if len(word) == 1 and word in KNOWN_BANDS]
    return letters[0] if len(letters) == 1 else str(name).strip()


def missing_bands(names: Iterable[str]) -> str:
    """Begin the sentence that says which of g, r, i are not among `names`; the empty string if all are there."""
    names = set(names)
    missing = [band for band in BANDS if band not in names]
    if not missing:
        return ""
    if len(missing) == 1:
        return f"The band {missing[0]} is missing"
    return f"The bands {', '.join(missing[:-1])} and {missing[-1]} are missing"


def pick_bands(array: NDArray[Any], names: Sequence[str] | None) -> NDArray[Any]:
    """Bring planes to (..., H, W, 3) in the order g, r, i; a view of the array where that will do.

    Parameters
    ----------
    array : ndarray of shape (H, W, b), (b, H, W), (n, H, W, b) or (n, b, H, W)
        Which axis holds the bands is told by their number, so it must fit one axis only.
    names : sequence of str or None
        The b bands. None stands for g, r, i.

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
    """Return the axis (-3 or -1) of an array of this shape that holds the bands, and the places of g, r, i on it.

    See `pick_bands` for the parameters and errors; an array need not be read to learn whether it will do.
    """
    shape = tuple(shape)
    b = len(BANDS if names is None else names)
    axes = [axis for axis in (-3, -1) if len(shape) in (3, 4) and shape[axis] == b]
    if not axes:
        if names is None:
            raise CutoutError(
                f"The array has the shape {shape}, and a cutout needs (H, W, 3) or (3, H, W). {_BANDS_HINT}"
            )
        raise CutoutError(f"The array has the shape {shape}, which does not fit the {b} bands {', '.join(names)}.")
    if len(axes) == 2:
        raise CutoutError(f"The array has the shape {shape}, in which either axis may hold the {b} bands.")
    order = list(BANDS if names is None else names)
    missing = missing_bands(order)
    if missing:
        raise CutoutError(
            f"{missing}: the file holds {', '.join(order)}. "
            "Cutouts need g, r and i; if the names are wrong, state them with bands=NAMES."
        )
    return axes[0], [order.index(band) for band in BANDS]
