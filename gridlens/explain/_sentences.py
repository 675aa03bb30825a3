"""Description of an arc candidate in one sentence, as an astronomer would phrase it.

The words follow from fixed thresholds on the arc features of the contract, which docs/explain.md lists.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from gridlens.explain._words import TANGENTIAL, colour_words, curvature_words, tangential_words
from gridlens.features._shown import shown_value

__all__ = ["describe_candidate", "has_circle_about_bcg", "is_objection", "objection"]

_ROUND = "round object"
_ARC, _ELONGATED, _LONG = 2.5, 1.7, 4.0  # elongation, the axis ratio
_THIN, _THICK = 7.0, 5.0  # length over width
_FAINT, _BRIGHT = 30.0, 300.0  # S/N
_COLOURED = 0.3  # mag
_CONCENTRIC, _NEARLY = 0.3, 0.5  # radii
_ON_CIRCLE, _MOSTLY = 0.35, 0.6  # fraction of the pixels
_NEAR, _FAR = 8.0, 30.0  # arcsec


def has_circle_about_bcg(arc: Mapping[str, float]) -> bool:
    """Return whether a circle about the BCG fits a candidate: 35 % of its pixels on it, centre within 0.5 radii.

    Parameters
    ----------
    arc : mapping of str to float
        Arc features of the contract by name.
    """
    return arc["circle_inlier_fraction"] >= _ON_CIRCLE and arc["circle_center_offset"] <= _NEARLY


def describe_candidate(arc: Mapping[str, float], without: Collection[str] = ()) -> str:
    """Return an arc candidate as a noun phrase, such as "a thin blue arc 17 arcsec from the BCG, concentric with it".

    Parameters
    ----------
    arc : mapping of str to float
        Arc features of the contract by name.
    without : collection of str
        Features to omit from the phrase.

    Returns
    -------
    str
    """
    noun = _noun(arc)
    words = [*_shape(arc, without, noun), *_brightness(arc, without)]
    colour = _colour(arc, without)
    # "a faint, thin blue arc": commas only between the first adjectives.
    phrase = " ".join(part for part in (", ".join(reversed(words)), colour, noun) if part)
    article = "an" if phrase[0] in "aeiou" else "a"
    near = "" if "arc_distance" in without else f" {arc['arc_distance']:.0f} arcsec from the BCG"
    return f"{article} {phrase}{near}{_place(arc, without, 'it' if near else 'the BCG')}"


def is_objection(arc: Mapping[str, float], name: str) -> bool:
    """Return whether an arc feature can follow "but": untypical for an arc, and not implied by the noun.

    Parameters
    ----------
    arc : mapping of str to float
        Arc features of the contract by name.
    name : str
        Feature that lowers a score.
    """
    usual = {
        "tangentiality": arc["tangentiality"] >= TANGENTIAL,
        "circle_center_offset": arc["circle_center_offset"] <= _NEARLY,
        "circle_inlier_fraction": arc["circle_inlier_fraction"] >= _MOSTLY,
        "elongation": _noun(arc) == _ROUND or arc["elongation"] >= _ARC,
    }
    return not usual.get(name, False)


def objection(name: str, value: float) -> str:
    """Return the value of an arc feature that lowers a score, as a phrase that follows "but"."""
    return _OBJECTIONS[name](value)


def _noun(arc: Mapping[str, float]) -> str:
    ratio = arc["elongation"]
    if ratio >= _ARC or (ratio >= _ELONGATED and has_circle_about_bcg(arc)):
        return "arc"
    return "elongated object" if ratio >= _ELONGATED else _ROUND


def _shape(arc: Mapping[str, float], without: Collection[str], noun: str) -> list[str]:
    """Return adjectives for an arc's shape, the one nearest to the noun first."""
    if noun != "arc":
        return []
    words = []
    if "arcness" not in without:
        words += ["thin"] * (arc["arcness"] >= _THIN) + ["thick"] * (arc["arcness"] < _THICK)
    if "elongation" not in without and arc["elongation"] >= _LONG:
        words.append("long")
    return words


def _brightness(arc: Mapping[str, float], without: Collection[str]) -> list[str]:
    if "arc_snr" in without:
        return []
    snr = float(shown_value("arc_snr", arc["arc_snr"]))
    return ["faint"] * (snr < _FAINT) + ["bright"] * (snr >= _BRIGHT)


def _colour(arc: Mapping[str, float], without: Collection[str]) -> str:
    colour = arc["arc_color_gr"]
    if "arc_color_gr" in without or abs(colour) < _COLOURED:
        return ""
    return "blue" if colour < 0 else "red"


def _place(arc: Mapping[str, float], without: Collection[str], centre: str) -> str:
    offset = arc["circle_center_offset"]
    if has_circle_about_bcg(arc) and not {"circle_center_offset", "circle_inlier_fraction"} & set(without):
        return f", {'' if offset <= _CONCENTRIC else 'nearly '}concentric with {centre}"
    # A round object has no orientation.
    turned = "tangentiality" in without or arc["elongation"] < _ELONGATED
    if not turned and arc["tangentiality"] >= TANGENTIAL:
        return ", tangential"
    return ""


def _distance(value: float) -> str:
    near = "only " if value < _NEAR else "as far as " if value > _FAR else ""
    return f"{near}{value:.0f} arcsec from the BCG"


def _snr(value: float) -> str:
    snr = float(shown_value("arc_snr", value))
    kind = "faint" if snr < _FAINT else "bright" if snr >= _BRIGHT else ""
    return f"{kind} (S/N {snr:.0f})" if kind else f"at S/N {snr:.0f}"


_OBJECTIONS: dict[str, Callable[[float], str]] = {
    "arcness": lambda value: f"{value:.0f} times longer than wide",
    "curvature": curvature_words,
    "elongation": lambda value: f"of elongation {value:.1f}",
    "tangentiality": tangential_words,
    "arc_color_gr": lambda value: colour_words(value, "g-r"),
    "arc_color_ri": lambda value: colour_words(value, "r-i"),
    "arc_color_spread": lambda value: f"with a colour that changes by {value:.1f} mag along it",
    "arc_distance": _distance,
    "circle_inlier_fraction": lambda value: f"with {100.0 * value:.0f} % of it on one circle",
    "circle_center_offset": lambda value: "not on a circle about the BCG",
    "arc_snr": _snr,
}
