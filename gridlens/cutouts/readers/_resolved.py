"""Resolved options for the readers: with the survey preset, and with warnings issued once."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._conventions import CANONICAL_PIXEL_SCALE, MAX_SIZE
from gridlens.cutouts._keywords import ByBand
from gridlens.cutouts._sides import check_side
from gridlens.cutouts._surveys import Survey, get_survey
from gridlens.cutouts._zeropoints import checked_zeropoints, flux_factors
from gridlens.cutouts.readers._options import ReadOptions
from gridlens.errors import CutoutError

__all__ = ["Resolved", "check_size"]


@dataclass(frozen=True)
class Resolved:
    """Options for reading, for one pass over files."""

    pixel_scale: float | None = None
    bands: tuple[str, ...] | None = None
    zeropoint: ByBand | None = None
    uncalibrated: bool = False
    survey: Survey | None = None
    max_size: int = MAX_SIZE
    _warned: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def of(cls, options: ReadOptions) -> Self:
        """Resolve `options` with their survey preset and a fresh record of warnings."""
        return cls(
            options.pixel_scale,
            None if options.bands is None else tuple(options.bands),
            checked_zeropoints(options.zeropoint),
            options.uncalibrated,
            None if options.survey is None else get_survey(options.survey),
            options.max_size,
        )

    @property
    def filters(self) -> Mapping[str, str]:
        """Mapping of the survey's filter names, in lower case, to bands; empty without a survey."""
        return {} if self.survey is None else self.survey.filters

    def flux_factors(self) -> NDArray[np.float32]:
        """Return the factors of shape (3,) that convert g, r, i from the given zero points to 27; 1 without any."""
        return flux_factors(None if self.zeropoint is None else [self.zeropoint[band] for band in BANDS])

    @property
    def knows_scale(self) -> bool:
        """True if the caller or the survey gives the pixel scale."""
        return self.pixel_scale is not None or self.survey is not None

    @property
    def knows_zeropoint(self) -> bool:
        """True if the caller or the survey gives the zero points of arrays."""
        return self.zeropoint is not None or (self.survey is not None and self.survey.zeropoint is not None)

    def scale(self, stated: Any | None) -> Any:
        """Return the pixel scale, arcsec: from the caller, else `stated` by the file, the survey or the convention.

        If the canonical scale is assumed, a warning is issued once for all files.
        """
        if self.pixel_scale is not None:
            return self.pixel_scale
        if stated is not None:
            return stated
        if self.survey is not None:
            return self.survey.pixel_scale
        self.warn_once(
            f"Some arrays or pictures do not state their pixel scale: {CANONICAL_PIXEL_SCALE} arcsec is assumed for "
            "them. If that is wrong, give it with pixel_scale=ARCSEC, or name the survey with survey=NAME."
        )
        return CANONICAL_PIXEL_SCALE

    def warn_once(self, message: str) -> None:
        """Issue a warning, at most once for all files that are read with these options."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, UserWarning, stacklevel=2)


def check_size(height: int, width: int, options: Resolved) -> None:
    """Raise CutoutError if an image has no pixels or a side longer than `options.max_size`.

    Call this function with the size given in the header, before any pixel is read.
    """
    if height < 1 or width < 1:
        raise CutoutError(f"The image has {width} x {height} px, but a cutout needs pixels. Write the file again.")
    check_side(width, height, options.max_size)
