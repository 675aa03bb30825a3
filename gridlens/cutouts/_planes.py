"""What the readers share: the user's say on bands, scale and zero points, and picking g, r, i out of planes."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens._errors import CutoutError

__all__ = [
    "BANDS",
    "KNOWN_BANDS",
    "ReadOptions",
    "band_letter",
    "damage_message",
    "missing_bands",
    "pick_bands",
    "to_reference",
]

BANDS = ("g", "r", "i")
KNOWN_BANDS = "ugrizy"
"""letters that count as a band in names of files and filters"""
_REFERENCE_ZEROPOINT = 27.0
"""AB mag of one flux unit"""

_BANDS_HINT = 'Name the planes in their order with --bands (bands="grizy" in Python).'


@dataclass(frozen=True)
class ReadOptions:
    """What the caller states about the files; it goes before whatever the files say themselves.

    Build it with `ReadOptions.checked`, which turns what a user typed into these fields.
    """

    bands: tuple[str, ...] | None = None
    pixel_scale: float | None = None
    zeropoint: Mapping[str, float] | None = None
    _warned: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def checked(
        cls, *, bands: str | None, pixel_scale: float | None, zeropoint: float | Mapping[str, float] | None
    ) -> "ReadOptions":
        """Check the three parameters of the public readers; raise CutoutError for what cannot be meant."""
        if pixel_scale is not None and not (isinstance(pixel_scale, Real) and 0 < pixel_scale < np.inf):
            raise CutoutError(
                f"The 'pixel_scale' parameter must be arcsec per pixel, above 0, or None. Got {pixel_scale!r} instead."
            )
        letters = None
        if bands is not None:
            letters = tuple(str(bands).lower())
            if len(set(letters)) != len(letters) or not set(BANDS) <= set(letters) <= set(KNOWN_BANDS):
                raise CutoutError(
                    f"The 'bands' parameter must name g, r and i once each, and others of {KNOWN_BANDS}, in the order "
                    f'of the planes, such as "grizy". Got {bands!r} instead.'
                )
        zeropoints = None
        if zeropoint is not None:
            given = zeropoint if isinstance(zeropoint, Mapping) else dict.fromkeys(BANDS, zeropoint)
            try:
                zeropoints = {band: float(given[band]) for band in BANDS}
                finite = all(np.isfinite(list(zeropoints.values())))
            except (KeyError, TypeError, ValueError):
                finite = False
            if not finite:
                raise CutoutError(
                    "The 'zeropoint' parameter must be one AB magnitude, or one for each of g, r and i. "
                    f"Got {zeropoint!r} instead."
                )
        return cls(letters, None if pixel_scale is None else float(pixel_scale), zeropoints)

    def flux_factors(self) -> NDArray[np.float32]:
        """Return the factors of shape (3,) that bring g, r, i from the stated zero points to 27; 1 if none."""
        if self.zeropoint is None:
            return np.ones(len(BANDS), dtype=np.float32)
        return to_reference([self.zeropoint[band] for band in BANDS])

    def warn_once(self, message: str) -> None:
        """Warn, but no more than once for all files that are read with these options."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, UserWarning, stacklevel=2)


def to_reference(zeropoints: Sequence[float]) -> NDArray[np.float32]:
    """Return the flux factors from AB zero points, mag, to zero point 27."""
    return np.asarray(10 ** (0.4 * (_REFERENCE_ZEROPOINT - np.asarray(zeropoints))), dtype=np.float32)


def damage_message(exc: Exception, file: str = "The file") -> str:
    """Say that `file` is damaged, with the first line of what the library below said of it."""
    reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
    return f"{file} is damaged or not what its name says ({reason}). Fetch or write it again."


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
    """Bring planes to (..., H, W, 3) in the order g, r, i.

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
    b = len(BANDS if names is None else names)
    axes = [axis for axis in (-3, -1) if array.ndim in (3, 4) and array.shape[axis] == b]
    if not axes:
        if names is None:
            raise CutoutError(
                f"The array has the shape {array.shape}, and a cutout needs (H, W, 3) or (3, H, W). {_BANDS_HINT}"
            )
        raise CutoutError(
            f"The array has the shape {array.shape}, which does not fit the {b} bands {', '.join(names)}."
        )
    if len(axes) == 2:
        raise CutoutError(f"The array has the shape {array.shape}, in which either axis may hold the {b} bands.")
    order = list(BANDS if names is None else names)
    missing = missing_bands(order)
    if missing:
        raise CutoutError(
            f"{missing}: the file holds {', '.join(order)}. "
            "Cutouts need g, r and i; if the names are wrong, state them with --bands."
        )
    # move the bands last before picking, so that a long list of bands is not copied whole
    return np.moveaxis(array, axes[0], -1)[..., [order.index(band) for band in BANDS]]
