"""Survey presets as data: pixel scale, seeing and depth of the surveys that gridlens simulates and reads.

Seeing is the median full width at half maximum of the coadds, arcsec. Depth is the AB magnitude of a point source
at five times the noise of a matched filter; where a survey quotes another limit (DES 10 sigma, DES and KiDS in an
aperture of 2 arcsec), it is brought to that one for a Gaussian star of the median seeing. Both run over g, r, i.
"""

from dataclasses import dataclass

__all__ = ["SURVEYS", "Survey", "get_survey"]


@dataclass(frozen=True)
class Survey:
    """One imaging survey, as far as a simulated cutout needs to know it."""

    name: str
    pixel_scale: float
    """arcsec per pixel of the coadds"""
    seeing: tuple[float, float, float]
    """median FWHM in g, r, i, arcsec"""
    depth: tuple[float, float, float]
    """5-sigma point-source depth in g, r, i, AB mag"""
    source: str


_PRESETS = (
    Survey(
        "hsc", 0.168, (0.79, 0.75, 0.61), (26.5, 26.5, 26.2), "HSC-SSP Wide, PDR3: Aihara et al. 2022, PASJ 74, 247"
    ),
    Survey("des", 0.263, (1.11, 0.95, 0.88), (25.6, 25.4, 24.9), "DES DR2: Abbott et al. 2021, ApJS 255, 20"),
    Survey(
        "lsst", 0.2, (0.87, 0.83, 0.80), (27.4, 27.5, 26.8), "LSST ten-year coadds: Ivezic et al. 2019, ApJ 873, 111"
    ),
    Survey("kids", 0.2, (0.88, 0.70, 0.80), (25.4, 25.6, 24.1), "KiDS DR4: Kuijken et al. 2019, A&A 625, A2"),
    Survey(
        "cfhtls", 0.186, (0.85, 0.78, 0.72), (25.7, 25.1, 24.7), "CFHTLS Wide T0007: Hudelot et al. 2012, VizieR II/317"
    ),
    Survey(
        "ps1", 0.25, (1.31, 1.19, 1.11), (23.3, 23.2, 23.1), "PS1 3pi stacks: Chambers et al. 2016, arXiv:1612.05560"
    ),
)

SURVEYS: dict[str, Survey] = {survey.name: survey for survey in _PRESETS}


def get_survey(name: str) -> Survey:
    """Return the preset called `name` (case does not matter); raise ValueError that lists the known ones."""
    try:
        return SURVEYS[name.lower()]
    except (KeyError, AttributeError):
        raise ValueError(f"The 'survey' parameter must be one of {', '.join(SURVEYS)}. Got {name!r} instead.") from None
