"""Options for reading cutouts, given by the caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from gridlens.cutouts._bands import BANDS, KNOWN_BANDS
from gridlens.cutouts._conventions import MAX_SIZE
from gridlens.cutouts._surveys import get_survey
from gridlens.cutouts._zeropoints import checked_zeropoints
from gridlens.errors import CutoutError

__all__ = ["ReadOptions"]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options for reading cutouts from files. They override what the files declare, except `survey`.

    `CutoutSet.read`, `read_batches`, `gridlens.score` and `open_source` take the fields as keyword arguments. The
    options are validated on creation, immutable, comparable, hashable and picklable.

    Parameters
    ----------
    pixel_scale : float, default=None
        arcsec per pixel of all cutouts. None uses the scale given by each file. Files without a scale are refused,
        except arrays called `pixels` and pictures, for which 0.5 is assumed and flagged by `CutoutFlag.ASSUMED_SCALE`.
    bands : str, default=None
        The bands in the order in which the files store them, such as "grizy", for arrays and cubes that do not name
        their bands. g, r and i are selected. With None, such files are refused, except arrays called `pixels`, whose
        bands are g, r, i.
    zeropoint : float or mapping of band to float, default=None
        AB zero points, mag: one for all bands, or for example ``{"g": 26.5, "r": 26.0, "i": 25.7}``. The flux is
        converted to zero point 27. If no zero points are known, the bands are assumed to share one, and the cutouts are
        flagged `CutoutFlag.ASSUMED_ZEROPOINT`.
    uncalibrated : bool, default=False
        Whether to read JPEG and PNG pictures too. They have no photometry, and `CutoutFlag.UNCALIBRATED` is set in
        their `flags`. If False, pictures found next to other cutouts are ignored, and pictures named explicitly are an
        error.
    survey : str, default=None
        Preset of `gridlens.cutouts.SURVEYS` that supplies only values missing from the files: the pixel scale, zero
        points of FITS images, seeing and depth in r (if the catalogue lacks them), and the filters that represent g, r
        and i, such as F475W, F606W and F814W for "hst". The flux of arrays without a header is not changed.
    max_size : int, default=4096
        Largest side of an image, px. An image with a longer side cannot be read; its pixels are not loaded.

    Raises
    ------
    CutoutError
        A value is invalid.

    Examples
    --------
    >>> from gridlens.sources import ReadOptions
    >>> options = ReadOptions(bands="grizy", zeropoint=26.5)
    >>> options.zeropoint
    {'g': 26.5, 'r': 26.5, 'i': 26.5}
    >>> options == ReadOptions(bands="GRIZY", zeropoint={"g": 26.5, "r": 26.5, "i": 26.5})
    True
    """

    pixel_scale: float | None = None
    bands: str | None = None
    zeropoint: float | Mapping[str, float] | None = None
    uncalibrated: bool = False
    survey: str | None = None
    max_size: int = MAX_SIZE

    def __post_init__(self) -> None:
        if self.pixel_scale is not None:
            if not (isinstance(self.pixel_scale, Real) and 0 < self.pixel_scale < np.inf):
                raise CutoutError(
                    "The 'pixel_scale' parameter must be arcsec per pixel, above 0, or None. "
                    f"Got {self.pixel_scale!r} instead."
                )
            self._set("pixel_scale", float(self.pixel_scale))
        if self.bands is not None:
            letters = str(self.bands).lower()
            if len(set(letters)) != len(letters) or not set(BANDS) <= set(letters) <= set(KNOWN_BANDS):
                raise CutoutError(
                    f"The 'bands' parameter must name g, r and i once each, and optionally others of {KNOWN_BANDS}, "
                    "in the order  "
                    f'of the planes, such as "grizy". Got {self.bands!r} instead.'
                )
            self._set("bands", letters)
        if not isinstance(self.max_size, Integral) or isinstance(self.max_size, bool) or self.max_size < 1:
            raise CutoutError(f"The 'max_size' parameter must be an integer, 1 or more. Got {self.max_size!r} instead.")
        self._set("max_size", int(self.max_size))
        self._set("zeropoint", checked_zeropoints(self.zeropoint))
        self._set("uncalibrated", bool(self.uncalibrated))
        if self.survey is not None:
            try:
                self._set("survey", get_survey(self.survey).name)
            except ValueError as exc:
                raise CutoutError(str(exc)) from None

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
