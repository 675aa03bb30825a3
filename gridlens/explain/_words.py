"""Features in words and units."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["ARC_FEATURES", "FEATURE_LABELS", "PLACES", "feature_words"]

PLACES = ("bottom left", "bottom", "bottom right", "left", "middle", "right", "top left", "top", "top right")
"""places of the patches as they are drawn, y upwards"""

ARC_FEATURES = (
    "arcness",
    "curvature",
    "elongation",
    "tangentiality",
    "arc_color_gr",
    "arc_color_ri",
    "arc_color_spread",
    "arc_distance",
    "circle_inlier_fraction",
    "circle_center_offset",
    "arc_snr",
)

FEATURE_LABELS = {
    "mean_g": "mean light in g",
    "mean_r": "mean light in r",
    "mean_i": "mean light in i",
    "std_g": "spread of the light in g",
    "std_r": "spread of the light in r",
    "std_i": "spread of the light in i",
    "color_gr": "colour g-r of the light",
    "color_ri": "colour r-i of the light",
    "edge_density": "density of edges",
    "neighbor_contrast": "contrast with the other patches",
    "bcg_distance": "patch to BCG",
    "bcg_angle": "direction of the patch",
    "radial_bin": "radial bin of the patch",
    "bcg_subtracted_mean": "light beside the BCG's",
    "arcness": "arc length over width",
    "curvature": "arc curvature",
    "elongation": "arc elongation",
    "tangentiality": "arc tangentiality",
    "arc_color_gr": "arc colour g-r",
    "arc_color_ri": "arc colour r-i",
    "arc_color_spread": "change of colour along the arc",
    "arc_distance": "arc to BCG",
    "circle_inlier_fraction": "fraction of the arc on a circle",
    "circle_center_offset": "circle's centre off the BCG",
    "arc_snr": "arc S/N",
    "position": "place of the patch",
    "seeing": "seeing",
    "depth": "depth",
    "redshift": "redshift",
    "richness": "richness",
    "log_xray_luminosity": "X-ray luminosity",
    "velocity_dispersion": "velocity dispersion",
    "log_mass": "mass",
    "ra": "right ascension",
    "dec": "declination",
}
"""Short names of the features, for axes and tables, by the name in the contract."""

_DULL = 0.05
_RADII = {0: "under 10", 1: "10 to 20", 2: "over 20"}


def feature_words(name: str, value: float) -> str:
    """Return a feature's value in words and units, as a description of its patch or arc candidate.

    Parameters
    ----------
    name : str
        One of the 25 features of a patch beside position, or of the metadata.
    value : float
        As in the features; NaN is described as unknown.

    Returns
    -------
    str

    Raises
    ------
    KeyError
        There is no such feature.

    Examples
    --------
    >>> from gridlens.explain import feature_words
    >>> feature_words("arcness", 4.2), feature_words("arc_color_gr", -0.9)
    ('4.2 times longer than wide', '0.9 mag bluer in g-r than the BCG')
    """
    say = _WORDS[name]
    return f"{FEATURE_LABELS[name]} unknown" if math.isnan(value) else say(value)


def _colour(what: str, bands: str) -> Callable[[float], str]:
    def say(value: float) -> str:
        if abs(value) < _DULL:
            return f"{what}as red as the BCG in {bands}"
        return f"{what}{abs(value):.1f} mag {'bluer' if value < 0 else 'redder'} in {bands} than the BCG"

    return say


def _light(band: str) -> Callable[[float], str]:
    return lambda value: f"mean light in {band} {math.sinh(value):.2g} times the noise of a pixel"


def _spread(band: str) -> Callable[[float], str]:
    return lambda value: f"light in {band} varies by {math.exp(value):.2g} times the noise"


def _tangential(value: float) -> str:
    if value >= 0.95:
        return "tangential"
    if value >= 0.8:
        return f"nearly tangential, {math.degrees(math.asin(value)):.0f} deg from radial"
    return f"turned {math.degrees(math.asin(max(value, 0.0))):.0f} deg from radial"


def _contrast(value: float) -> str:
    if abs(value) < _DULL:
        return "as bright as the other patches"
    factor = (1.0 + abs(value)) / max(1.0 - abs(value), 1e-3)
    side = "brighter" if value > 0 else "fainter"
    return (
        f"far {side} than the other patches" if factor > 10.0 else f"{factor:.1f} times {side} than the other patches"
    )


def _offset(value: float) -> str:
    if value >= 5.0:
        return "on no circle about the BCG"
    return "concentric with the BCG" if value < 0.3 else f"on a circle centred {value:.1f} radii off the BCG"


def _plain(form: str) -> Callable[[float], str]:
    return lambda value: form.format(value)


_WORDS: dict[str, Callable[[float], str]] = {
    **{f"mean_{band}": _light(band) for band in "gri"},
    **{f"std_{band}": _spread(band) for band in "gri"},
    "color_gr": _colour("light ", "g-r"),
    "color_ri": _colour("light ", "r-i"),
    "edge_density": lambda value: f"{100.0 * value:.0f} % of the pixels on edges",
    "neighbor_contrast": _contrast,
    "bcg_distance": _plain("centre of the patch {:.0f} arcsec from the BCG"),
    "bcg_angle": lambda value: f"patch at {math.degrees(value):.0f} deg about the BCG",
    "radial_bin": lambda value: f"patch {_RADII[int(value)]} arcsec from the BCG",
    "bcg_subtracted_mean": lambda value: f"light beside the BCG's {math.sinh(value):.2g} times the noise",
    "arcness": _plain("{:.1f} times longer than wide"),
    "curvature": lambda value: f"curved at a radius of {1.0 / value:.0f} arcsec" if value > 0.0 else "not curved",
    "elongation": _plain("of elongation {:.1f}"),
    "tangentiality": _tangential,
    "arc_color_gr": _colour("", "g-r"),
    "arc_color_ri": _colour("", "r-i"),
    "arc_color_spread": _plain("whose colour changes by {:.2f} mag along it"),
    "arc_distance": _plain("{:.0f} arcsec from the BCG"),
    "circle_inlier_fraction": lambda value: f"with {100.0 * value:.0f} % of its pixels on a circle",
    "circle_center_offset": _offset,
    "arc_snr": lambda value: f"at S/N {math.sinh(value):.0f}",
    "seeing": _plain("seeing {:.2f} arcsec"),
    "depth": _plain("depth {:.1f} mag"),
    "redshift": _plain("redshift {:.2f}"),
    "richness": _plain("richness {:.0f}"),
    "log_xray_luminosity": _plain("X-ray luminosity 1e{:.1f} erg/s"),
    "velocity_dispersion": _plain("velocity dispersion {:.0f} km/s"),
    "log_mass": _plain("mass 1e{:.1f} solar masses"),
    "ra": lambda value: f"right ascension {360.0 * value:.1f} deg",
    "dec": lambda value: f"declination {180.0 * value - 90.0:.1f} deg",
}
