"""Survey presets: properties of the coadds of a survey, for simulated cutouts and for files that lack them.

Seeing is the median full width at half maximum of the coadds, arcsec. Depth is the AB magnitude of a point source
at five times the noise of a matched filter; where a survey quotes another limit (DES 10 sigma, DES and KiDS in an
aperture of 2 arcsec), it is converted for a Gaussian star of the median seeing. Both are given for g, r, i. NaN means
that no single number applies: the depth of an HST image depends on its exposure, and the bands that accompany Euclid's
own come from several telescopes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["KNOWN_FILTERS", "SIMULATED_SURVEYS", "SURVEYS", "Survey", "get_survey"]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Properties of an imaging survey that matter for cutouts.

    Examples
    --------
    >>> from gridlens.cutouts import get_survey
    >>> survey = get_survey("hst")
    >>> survey.bands["r"], survey.pixel_scale
    (('F606W',), 0.05)
    """

    name: str
    title: str
    pixel_scale: float
    """arcsec per pixel of the coadds"""
    zeropoint: float | None
    """AB mag of one flux unit in the published coadds; None if each header has its own"""
    bands: Mapping[str, tuple[str, ...]] = field(hash=False)
    """filters that represent g, r and i, named as in headers and files"""
    seeing: tuple[float, float, float]
    """median FWHM in g, r, i, arcsec"""
    depth: tuple[float, float, float]
    """5-sigma point-source depth in g, r, i, AB mag"""
    source: str

    @property
    def filters(self) -> dict[str, str]:
        """Mapping of filter names, in lower case, to the bands that they represent."""
        return {name.lower(): band for band, names in self.bands.items() for name in names}


_PRESETS = (
    Survey(
        name="hsc",
        title="Hyper Suprime-Cam Subaru Strategic Program, Wide",
        pixel_scale=0.168,
        zeropoint=27.0,
        bands={"g": ("HSC-G",), "r": ("HSC-R", "HSC-R2"), "i": ("HSC-I", "HSC-I2")},
        seeing=(0.79, 0.75, 0.61),
        depth=(26.5, 26.5, 26.2),
        source="PDR3: Aihara et al. 2022, PASJ 74, 247; zero point: FLUXMAG0 of its coadds, 10^(0.4 x 27)",
    ),
    Survey(
        name="des",
        title="Dark Energy Survey",
        pixel_scale=0.263,
        zeropoint=30.0,
        bands={
            "g": ("g", "DECAM_g", "g DECam SDSS c0001 4720.0 1520.0"),
            "r": ("r", "DECAM_r", "r DECam SDSS c0002 6415.0 1480.0"),
            "i": ("i", "DECAM_i", "i DECam SDSS c0003 7835.0 1470.0"),
        },
        seeing=(1.11, 0.95, 0.88),
        depth=(25.6, 25.4, 24.9),
        source="DR2: Abbott et al. 2021, ApJS 255, 20; zero point: Morganson et al. 2018, PASP 130, 074501",
    ),
    Survey(
        name="lsst",
        title="Vera C. Rubin Observatory Legacy Survey of Space and Time, ten-year coadds",
        pixel_scale=0.2,
        zeropoint=31.4,
        bands={"g": ("g",), "r": ("r",), "i": ("i",)},
        seeing=(0.87, 0.83, 0.80),
        depth=(27.4, 27.5, 26.8),
        source="Ivezic et al. 2019, ApJ 873, 111; zero point: nJy in Data Preview 1, doi 10.71929/rubin/2570313",
    ),
    Survey(
        name="kids",
        title="Kilo-Degree Survey",
        pixel_scale=0.2,
        zeropoint=0.0,
        bands={"g": ("OCAM_g_SDSS",), "r": ("OCAM_r_SDSS",), "i": ("OCAM_i_SDSS", "i1", "i2")},
        seeing=(0.88, 0.70, 0.80),
        depth=(25.4, 25.6, 24.1),
        source="DR4: Kuijken et al. 2019, A&A 625, A2; zero point: ZEROPNT = 0 in the header of its coadds",
    ),
    Survey(
        name="cfhtls",
        title="Canada-France-Hawaii Telescope Legacy Survey, Wide",
        pixel_scale=0.186,
        zeropoint=30.0,
        bands={"g": ("g.MP9401",), "r": ("r.MP9601",), "i": ("i.MP9701", "i.MP9702")},
        seeing=(0.85, 0.78, 0.72),
        depth=(25.7, 25.1, 24.7),
        source="T0007: Hudelot et al. 2012, VizieR II/317; zero point: MZP_AB of its stacks",
    ),
    Survey(
        name="ps1",
        title="Pan-STARRS1 3pi Steradian Survey, stacks",
        pixel_scale=0.25,
        zeropoint=None,
        bands={"g": ("g.00000",), "r": ("r.00000",), "i": ("i.00000",)},
        seeing=(1.31, 1.19, 1.11),
        depth=(23.3, 23.2, 23.1),
        source="Chambers et al. 2016, arXiv:1612.05560; zero point: FPA.ZP and EXPTIME of each stack",
    ),
    Survey(
        name="sdss",
        title="Sloan Digital Sky Survey, corrected frames",
        pixel_scale=0.396,
        zeropoint=22.5,
        bands={"g": ("g",), "r": ("r",), "i": ("i",)},
        seeing=(math.nan, 1.3, math.nan),
        depth=(23.3, 23.1, 22.3),
        source="pixel scale and seeing: DR16 Scope, sdss4.org/dr16/scope; depth: the limits of its design, York et al. "
        "2000, AJ 120, 1579; zero point: frames in nanomaggies, DR8: Aihara et al. 2011, ApJS 193, 29",
    ),
    Survey(
        name="euclid",
        title="Euclid Wide Survey: VIS for r, ground-based g and i on its pixels",
        pixel_scale=0.1,
        zeropoint=None,
        bands={"g": ("DECAM_g", "DES-G", "HSC_g"), "r": ("VIS",), "i": ("DECAM_i", "DES-I", "PANSTARRS_i")},
        seeing=(math.nan, 0.16, math.nan),
        depth=(math.nan, 26.2, math.nan),
        source="seeing: Cuillandre et al. 2025, A&A 697, A6; depth: Scaramella et al. 2022, A&A 662, A112; pixels and "
        "filters: Romelli et al. 2025, arXiv:2503.15305, DES-G and DES-I as in the names of its files; zero point: "
        "MAGZERO of each mosaic",
    ),
    Survey(
        name="hst",
        title="Hubble Space Telescope, ACS Wide Field Channel, drizzled",
        pixel_scale=0.05,
        zeropoint=None,
        bands={"g": ("F475W",), "r": ("F606W",), "i": ("F814W",)},
        seeing=(0.12, 0.12, 0.12),
        depth=(math.nan, math.nan, math.nan),
        source="pixel scale and seeing (the middle of 0.10 to 0.14 arcsec): ACS Instrument Handbook, chapter 5; zero "
        "point: PHOTFLAM and PHOTPLAM of each image, Sirianni et al. 2005, PASP 117, 1049",
    ),
)

SURVEYS: dict[str, Survey] = {survey.name: survey for survey in _PRESETS}

KNOWN_FILTERS: dict[str, str] = {name: band for survey in _PRESETS for name, band in survey.filters.items()}
"""mapping of the filter names of all presets, in lower case, to the bands that they represent"""

# Simulated scenes depend on this order, because a survey is drawn by its index.
SIMULATED_SURVEYS = ("hsc", "des", "lsst", "kids", "cfhtls", "ps1")
"""presets from which scenes are drawn: ground-based surveys with one seeing and depth per band"""


def get_survey(name: str) -> Survey:
    """Return the preset called `name`, ignoring case; raise ValueError with the known names otherwise."""
    try:
        return SURVEYS[name.lower()]
    except (KeyError, AttributeError):
        raise ValueError(f"The 'survey' parameter must be one of {', '.join(SURVEYS)}. Got {name!r} instead.") from None
