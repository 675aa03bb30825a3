"""What the readers share: the user's say on bands, scale and zero points, and picking g, r, i out of planes."""

import importlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._set import CANONICAL_PIXEL_SCALE, MAX_SIZE
from gridlens.cutouts.surveys import Survey, get_survey
from gridlens.errors import CutoutError

__all__ = [
    "BANDS",
    "KNOWN_BANDS",
    "ReadOptions",
    "band_letter",
    "band_places",
    "check_size",
    "checked_zeropoints",
    "damage_message",
    "flux_factors",
    "import_library",
    "missing_bands",
    "name_bands",
    "pick_bands",
    "split_bands",
    "to_reference",
]

BANDS = ("g", "r", "i")
KNOWN_BANDS = "ugrizy"
"""letters that count as a band in names of files and filters"""
REFERENCE_ZEROPOINT = 27.0
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
    uncalibrated: bool = False
    survey: Survey | None = None
    """fills what files lack; they go before it"""
    max_size: int = MAX_SIZE
    """px; images with a longer side are refused before their pixels are read"""
    _warned: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def checked(
        cls,
        *,
        bands: str | None,
        pixel_scale: float | None,
        zeropoint: float | Mapping[str, float] | None,
        uncalibrated: bool,
        survey: str | None = None,
        max_size: int = MAX_SIZE,
    ) -> "ReadOptions":
        """Check the parameters of the public readers; raise CutoutError for what cannot be meant."""
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
        if not isinstance(max_size, Integral) or isinstance(max_size, bool) or max_size < 1:
            raise CutoutError(f"The 'max_size' parameter must be an integer, 1 or more. Got {max_size!r} instead.")
        zeropoints = checked_zeropoints(zeropoint)
        try:
            preset = None if survey is None else get_survey(survey)
        except ValueError as exc:
            raise CutoutError(str(exc)) from None
        scale = None if pixel_scale is None else float(pixel_scale)
        return cls(letters, scale, zeropoints, bool(uncalibrated), preset, int(max_size))

    @property
    def filters(self) -> Mapping[str, str]:
        """The bands that the survey's filters stand for, by their names in lower case; none without a survey."""
        return {} if self.survey is None else self.survey.filters

    def flux_factors(self) -> NDArray[np.float32]:
        """Return the factors of shape (3,) that bring g, r, i from the stated zero points to 27; 1 if none."""
        return flux_factors(None if self.zeropoint is None else [self.zeropoint[band] for band in BANDS])

    def scale(self, stated: Any | None) -> Any:
        """Return arcsec per pixel: what the caller says, else `stated` by the file, the survey's, or the canonical.

        That the last is assumed is warned of once for all files.
        """
        if self.pixel_scale is not None:
            return self.pixel_scale
        if stated is not None:
            return stated
        if self.survey is not None:
            return self.survey.pixel_scale
        self.warn_once(
            f"Some arrays or pictures do not state their pixel scale: {CANONICAL_PIXEL_SCALE} arcsec is assumed for "
            "them. If that is wrong, state it with --pixel-scale (pixel_scale= in Python), or name the survey with "
            "--survey."
        )
        return CANONICAL_PIXEL_SCALE

    def warn_once(self, message: str) -> None:
        """Warn, but no more than once for all files that are read with these options."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, UserWarning, stacklevel=2)


def check_size(height: int, width: int, options: ReadOptions) -> None:
    """Raise CutoutError where an image has no pixels or a side above `options.max_size`.

    Call it with the size that the header states, before any pixel is read.
    """
    if height < 1 or width < 1:
        raise CutoutError(f"The image has {width} x {height} px, and a cutout needs pixels. Write the file again.")
    if max(height, width) > options.max_size:
        raise CutoutError(
            f"The image has {width} x {height} px, and the largest side of a cutout is {options.max_size} px. Cut it "
            "down first, or raise the limit with --max-size (max_size= in Python)."
        )


def checked_zeropoints(zeropoint: float | Mapping[str, float] | None) -> dict[str, float] | None:
    """AB zero points of g, r and i from what a user stated; raise CutoutError for what cannot be meant."""
    if zeropoint is None:
        return None
    given = zeropoint if isinstance(zeropoint, Mapping) else dict.fromkeys(BANDS, zeropoint)
    try:
        zeropoints = {band: float(given[band]) for band in BANDS}
    except (KeyError, TypeError, ValueError):
        zeropoints = {}
    if not zeropoints or not np.isfinite(list(zeropoints.values())).all():
        raise CutoutError(
            "The 'zeropoint' parameter must be one AB magnitude, or one for each of g, r and i. "
            f"Got {zeropoint!r} instead."
        )
    return zeropoints


def flux_factors(zeropoints: Sequence[float] | None) -> NDArray[np.float32]:
    """Return what brings g, r and i to zero point 27; 1 where the zero points are unknown."""
    return np.ones(len(BANDS), dtype=np.float32) if zeropoints is None else to_reference(zeropoints)


def to_reference(zeropoints: Sequence[float]) -> NDArray[np.float32]:
    """Return the flux factors from AB zero points, mag, to zero point 27."""
    return np.asarray(10 ** (0.4 * (REFERENCE_ZEROPOINT - np.asarray(zeropoints))), dtype=np.float32)


def damage_message(exc: Exception, file: str = "The file") -> str:
    """Say that `file` is damaged, with the first line of what the library below said of it."""
    reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
    return f"{file} is damaged or not what its name says ({reason}). Fetch or write it again."


def import_library(module: str, what: str) -> Any:
    """Import what reading `what` needs and gridlens does not require; raise CutoutError where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        name = getattr(exc, "name", None) or module
        raise CutoutError(
            f"Reading {what} needs the package {name.split('.')[0]}, which cannot be imported. "
            "Install it with: pip install 'gridlens[formats]'."
        ) from exc


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
            "Cutouts need g, r and i; if the names are wrong, state them with --bands."
        )
    return axes[0], [order.index(band) for band in BANDS]
