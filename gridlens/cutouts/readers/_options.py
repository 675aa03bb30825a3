"""Options of reading: what the caller states about the files."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._bands import BANDS, KNOWN_BANDS
from gridlens.cutouts._conventions import CANONICAL_PIXEL_SCALE, MAX_SIZE
from gridlens.cutouts._zeropoints import checked_zeropoints, flux_factors
from gridlens.cutouts.surveys import Survey, get_survey
from gridlens.errors import CutoutError

__all__ = ["ReadOptions", "check_size"]


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
