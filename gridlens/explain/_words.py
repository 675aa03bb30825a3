"""Descriptions of features in words and units."""

from __future__ import annotations

import math
from collections.abc import Callable

from gridlens.features._shown import shown_value

__all__ = [
    "ARC_FEATURES",
    "FEATURE_LABELS",
    "PLACES",
    "TANGENTIAL",
    "colour_words",
    "curvature_words",
    "feature_words",
    "tangential_words",
]

PLACES = ("bottom left", "bottom", "bottom right", "left", "middle", "right", "top left", "top", "top right")
"""positions of the patches as drawn, with y upwards"""

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
    "bcg_subtracted_mean": "light other than the BCG's",
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
    "position": "position of the patch",
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

_RADII = {0: "under 10", 1: "10 to 20", 2: "over 20"}
# Minimum tangentiality of an arc that is called tangential: within 18 degrees.
TANGENTIAL = 0.95
_SAME_COLOUR = 0.05  # mag
_UNMEASURED_COLOUR = 4.0  # mag: a band of the arc, or of the BCG, has no flux above the floor of the contract
_NO_CIRCLE = 5.0  # radii, the largest centre offset of the contract
_SAME_LIGHT = 0.05


def feature_words(name: str, value: float) -> str:
    """Return a feature's value in words and units.

    Parameters
    ----------
    name : str
        One of the 25 patch features other than position, or a metadata feature.
    value : float
        Value of the feature; NaN is described as unknown. `arc_snr`, the mean light and other features that the
        contract stores as asinh or ln are described on their linear scale.

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
    ('arc 4.2 times longer than wide', 'arc 0.9 mag bluer than the BCG in g-r')
    """
    say = _WORDS[name]
    return f"{FEATURE_LABELS[name]} unknown" if math.isnan(value) else say(value)


def colour_words(value: float, bands: str) -> str:
    """Return a colour relative to that of the BCG, in mag, as an adjective."""
    if abs(value) < _SAME_COLOUR:
        return f"as red as the BCG in {bands}"
    side = "bluer" if value < 0 else "redder"
    if abs(value) >= _UNMEASURED_COLOUR:
        return f"far {side} than the BCG in {bands}"
    return f"{abs(value):.1f} mag {side} than the BCG in {bands}"


def tangential_words(value: float) -> str:
    """Return the tangentiality of an arc, 0 to 1, as an adjective."""
    if value >= TANGENTIAL:
        return "tangential"
    return f"{90.0 - math.degrees(math.asin(max(value, 0.0))):.0f} deg from tangential"


def curvature_words(value: float) -> str:
    """Return the curvature of an arc, 1/arcsec, as an adjective."""
    return f"curved at a radius of {1.0 / value:.0f} arcsec" if value > 0.0 else "not curved"


def _colour(subject: str, bands: str) -> Callable[[float], str]:
    return lambda value: f"{subject} {colour_words(value, bands)}"


def _light(band: str) -> Callable[[float], str]:
    return lambda value: f"mean light in {band} {math.sinh(value):.2g} times the noise of a pixel"


def _spread(band: str) -> Callable[[float], str]:
    return lambda value: f"light in {band} varies by {math.exp(value):.2g} times the noise"


def _contrast(value: float) -> str:
    if abs(value) < _SAME_LIGHT:
        return "as bright as the other patches"
    factor = (1.0 + abs(value)) / max(1.0 - abs(value), 1e-3)
    side = "brighter" if value > 0 else "fainter"
    return (
        f"far {side} than the other patches" if factor > 10.0 else f"{factor:.1f} times {side} than the other patches"
    )


def _offset(value: float) -> str:
    if value >= _NO_CIRCLE:
        return "arc not on a circle about the BCG"
    return f"circle of the arc centred {value:.1f} radii from the BCG"


def _plain(form: str) -> Callable[[float], str]:
    return lambda value: form.format(value)


_WORDS: dict[str, Callable[[float], str]] = {
    **{f"mean_{band}": _light(band) for band in "gri"},
    **{f"std_{band}": _spread(band) for band in "gri"},
    "color_gr": _colour("light", "g-r"),
    "color_ri": _colour("light", "r-i"),
    "edge_density": lambda value: f"{100.0 * value:.0f} % of the pixels on edges",
    "neighbor_contrast": _contrast,
    "bcg_distance": _plain("centre of the patch {:.0f} arcsec from the BCG"),
    "bcg_angle": lambda value: f"patch at {math.degrees(value):.0f} deg about the BCG",
    "radial_bin": lambda value: f"patch {_RADII[int(value)]} arcsec from the BCG",
    "bcg_subtracted_mean": lambda value: f"light other than the BCG's {math.sinh(value):.2g} times the noise",
    "arcness": _plain("arc {:.1f} times longer than wide"),
    "curvature": lambda value: f"arc {curvature_words(value)}",
    "elongation": _plain("arc elongation {:.1f}"),
    "tangentiality": lambda value: f"arc {tangential_words(value)}",
    "arc_color_gr": _colour("arc", "g-r"),
    "arc_color_ri": _colour("arc", "r-i"),
    "arc_color_spread": _plain("arc colour changes by {:.2f} mag along it"),
    "arc_distance": _plain("arc {:.0f} arcsec from the BCG"),
    "circle_inlier_fraction": lambda value: f"{100.0 * value:.0f} % of the arc on one circle",
    "circle_center_offset": _offset,
    "arc_snr": lambda value: f"arc S/N {shown_value('arc_snr', value):.0f}",
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
