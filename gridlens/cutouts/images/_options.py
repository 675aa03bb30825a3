"""Options for extracting cutouts from survey images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlens.cutouts._bands import BANDS
from gridlens.cutouts._keywords import ByBand
from gridlens.cutouts._surveys import get_survey
from gridlens.cutouts._zeropoints import checked_zeropoints
from gridlens.errors import CutoutError

__all__ = ["CutOptions", "checked_seeing"]

_MAX_ARCSEC = 36000.0


@dataclass(frozen=True, kw_only=True)
class CutOptions:
    """Options for extracting cutouts from survey images.

    `extract`, `extract_batches`, `gridlens.score` and `open_source` take the fields as keyword arguments. The options
    are validated on creation, immutable, comparable, hashable and picklable.

    Parameters
    ----------
    size : float or str, default=64.0
        Side of the cutouts in arcsec, or an angle with a unit, such as "1.1arcmin".
    npix : int, default=128
        Side of the cutouts, px.
    survey : str, default=None
        Preset of `gridlens.cutouts.SURVEYS` that supplies zero points and seeing missing from the headers.
    zeropoint : float or mapping of band to float, default=None
        AB zero points, mag. They override the headers. The flux is converted to zero point 27; if no header gives a
        zero point, the bands are assumed to share one, and the cutouts are flagged `CutoutFlag.ASSUMED_ZEROPOINT`.
    match_psf : bool, default=False
        Whether to blur the sharper bands with Gaussians to the seeing of the worst one. Their noise is then correlated
        between pixels, and the features underestimate it.
    seeing : float or mapping of band to float, default=None
        FWHM of the PSF, arcsec. It overrides the headers and the survey.

    Raises
    ------
    CutoutError
        A value is invalid.

    Examples
    --------
    >>> from gridlens.sources import CutOptions
    >>> options = CutOptions(size="1arcmin", npix=120)
    >>> options.size, options.pixel_scale
    (60.0, 0.5)
    """

    size: float | str = 64.0
    npix: int = 128
    survey: str | None = None
    zeropoint: float | Mapping[str, float] | None = None
    match_psf: bool = False
    seeing: float | Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        self._set("size", _arcsec(self.size))
        if not (isinstance(self.npix, int) and self.npix >= 1):
            raise CutoutError(
                f"The 'npix' parameter must be an integer number of pixels, 1 or more. Got {self.npix!r} instead."
            )
        if self.survey is not None:
            try:
                self._set("survey", get_survey(self.survey).name)
            except ValueError as exc:
                raise CutoutError(str(exc)) from None
        self._set("zeropoint", checked_zeropoints(self.zeropoint))
        self._set("match_psf", bool(self.match_psf))
        self._set("seeing", checked_seeing(self.seeing))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def pixel_scale(self) -> float:
        """Scale of the cutouts, arcsec per pixel."""
        return float(self.size) / self.npix


def _arcsec(size: float | str) -> float:
    try:
        arcsec = float(size)
    except (TypeError, ValueError):
        arcsec = _parsed(size)
    if not 0.0 < arcsec < _MAX_ARCSEC:
        raise CutoutError(
            f"The 'size' parameter must be an angle such as 64arcsec or 1.1arcmin, or a number of arcsec. Got {size!r} "
            "instead."
        )
    return arcsec


def _parsed(angle: Any) -> float:
    from astropy.coordinates import Angle

    try:
        return float(Angle(angle).arcsec)
    except Exception:  # astropy's parser raises several kinds of errors
        return float("nan")


def checked_seeing(seeing: float | Mapping[str, float] | None) -> ByBand | None:
    """Return the FWHM by band given by the user, arcsec; raise CutoutError if it is invalid."""
    if seeing is None:
        return None
    given = seeing if isinstance(seeing, Mapping) else dict.fromkeys(BANDS, seeing)
    try:
        checked = {str(band): float(value) for band, value in given.items()}
    except (TypeError, ValueError):
        checked = {}
    if not checked or set(checked) - set(BANDS) or not all(0.0 < value < np.inf for value in checked.values()):
        raise CutoutError(
            f"The 'seeing' parameter must be one number of arcsec, or one for each of g, r and i. Got {seeing!r} "
            "instead."
        )
    return ByBand(checked)
