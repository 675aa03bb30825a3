"""Tests of the strongest terms in words, and of the sentence about the arc candidate in the table."""

import math

import numpy as np
import pandas as pd
import pytest

from gridlens.explain import Explanation, because, feature_words, strongest_terms
from gridlens.explain._sentences import describe_candidate, has_circle_about_bcg, is_objection, objection
from gridlens.explain._words import FEATURE_LABELS
from gridlens.features import FEATURE_NAMES
from gridlens.features._contract import METADATA_NAMES, PATCH_FEATURE_GROUPS, PATCH_FEATURE_NAMES

COLUMN = {name: k for k, name in enumerate(FEATURE_NAMES)}
ARC = {
    "arcness": 4.2,
    "curvature": 0.05,
    "elongation": 3.0,
    "tangentiality": 0.99,
    "arc_color_gr": -0.9,
    "arc_color_ri": 0.3,
    "arc_color_spread": 0.12,
    "arc_distance": 17.3,
    "circle_inlier_fraction": 0.8,
    "circle_center_offset": 0.1,
    "arc_snr": math.asinh(50.0),
}


@pytest.fixture
def found():
    """Return one row: an arc in the patches 5 and 8, a poor candidate in patch 0, none elsewhere."""
    features, values = np.zeros((1, 315), dtype=np.float32), np.zeros((1, 315))
    features[:, 306:] = np.nan
    for patch in (5, 8):
        for name, value in ARC.items():
            features[0, COLUMN[f"patch{patch}_{name}"]] = value
    features[0, COLUMN["patch0_elongation"]] = 1.1
    for column, value in {
        "patch5_arcness": 0.5,
        "patch8_arcness": 0.25,
        "patch5_arc_color_gr": 0.4,
        "patch8_arc_snr": -0.3,
        "patch8_arc_distance": 0.2,
        "patch0_elongation": -0.6,
        "patch1_arcness": -0.2,
        "patch2_tangentiality": -0.15,
        "patch3_mean_g": 0.1,
        "patch4_position_4": 5.0,
        "seeing": -0.05,
    }.items():
        values[0, COLUMN[column]] = value
    bars = {"polar": np.array([0.7])}
    total = -1.0 + values.sum() + 0.7
    return Explanation(
        features, {"lightgbm": values}, bars, -1.0, np.array([total]), pd.DataFrame({"id": ["a"], "arc_patch": [8]})
    )


def test_terms_are_described_and_add_up(found):
    terms = strongest_terms(found, 0, n=4)
    assert [term.words for term in terms] == [
        "arc 4.2 times longer than wide [right, top right]",
        "the member polar",
        "arc elongation 1.1 [bottom left]",
        "arc 0.9 mag bluer than the BCG in g-r [right, top right]",
        "5 other terms",
    ]
    np.testing.assert_allclose([term.value for term in terms[:4]], [0.75, 0.7, -0.6, 0.4])
    assert found.base + sum(term.value for term in terms) == pytest.approx(found.log_odds[0])
    assert terms[0].patches == (5, 8)
    every = strongest_terms(found, 0, n=20)
    assert "no arc candidate [6 patches]" in [term.words for term in every]
    assert "seeing unknown" in [term.words for term in every]
    # Position flags are constant over cutouts: they count in the sum, but are not terms.
    assert not [term for term in every if "position" in term.feature]
    assert every[-1].value == pytest.approx(5.0)


def test_a_sentence_describes_the_candidate_in_the_table(found):
    assert because(found, 0) == "A thick blue arc 17 arcsec from the BCG, concentric with it, but at S/N 50."
    found.table["arc_patch"] = [0]
    assert because(found, 0).endswith("; it lowers the score.")
    found.table["arc_patch"] = [-1]
    assert because(found, 0) == "No arc candidate was found."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arcness": 7.0}, "a thin blue arc 17 arcsec from the BCG, concentric with it"),
        ({"arcness": 4.9}, "a thick blue arc 17 arcsec from the BCG, concentric with it"),
        ({"elongation": 4.0}, "a long blue arc 17 arcsec from the BCG, concentric with it"),
        ({"elongation": 1.7}, "a blue arc 17 arcsec from the BCG, concentric with it"),
        ({"elongation": 1.6}, "a blue round object 17 arcsec from the BCG, concentric with it"),
        (
            {"elongation": 1.7, "circle_center_offset": 0.6},
            "a blue elongated object 17 arcsec from the BCG, tangential",
        ),
        ({"circle_center_offset": 0.4}, "a blue arc 17 arcsec from the BCG, nearly concentric with it"),
        ({"circle_inlier_fraction": 0.3}, "a blue arc 17 arcsec from the BCG, tangential"),
        ({"circle_inlier_fraction": 0.3, "tangentiality": 0.9}, "a blue arc 17 arcsec from the BCG"),
        ({"arc_color_gr": -0.29}, "an arc 17 arcsec from the BCG, concentric with it"),
        ({"arc_color_gr": 0.3}, "a red arc 17 arcsec from the BCG, concentric with it"),
        ({"arc_snr": math.asinh(29.0)}, "a faint blue arc 17 arcsec from the BCG, concentric with it"),
        (
            {"arc_snr": math.asinh(301.0), "arcness": 9.0, "elongation": 5.0},
            "a bright, long, thin blue arc 17 arcsec from the BCG, concentric with it",
        ),
    ],
)
def test_a_candidate_is_described_by_thresholds(changes, words):
    arc = ARC | {"arcness": 6.0} | changes
    assert describe_candidate(arc) == words
    assert ("concentric" in words) == has_circle_about_bcg(arc)


def test_a_description_can_omit_features():
    assert describe_candidate(ARC, ["arc_distance"]) == "a thick blue arc, concentric with the BCG"
    assert describe_candidate(ARC, list(ARC)) == "an arc"


def test_objections():
    assert [objection(name, value) for name, value in ARC.items() if is_objection(ARC, name)] == [
        "4 times longer than wide",
        "curved at a radius of 20 arcsec",
        "0.9 mag bluer than the BCG in g-r",
        "0.3 mag redder than the BCG in r-i",
        "with a colour that changes by 0.1 mag along it",
        "17 arcsec from the BCG",
        "at S/N 50",
    ]
    far = {
        "elongation": 1.8,
        "tangentiality": 0.5,
        "arc_distance": 31.0,
        "circle_inlier_fraction": 0.4,
        "circle_center_offset": 5.0,
        "arc_snr": math.asinh(15.0),
    }
    assert [objection(name, value) for name, value in far.items() if is_objection(ARC | far, name)] == [
        "of elongation 1.8",
        "60 deg from tangential",
        "as far as 31 arcsec from the BCG",
        "with 40 % of it on one circle",
        "not on a circle about the BCG",
        "faint (S/N 15)",
    ]
    # The noun already says that the arc is not elongated.
    assert not is_objection(ARC | {"elongation": 1.1}, "elongation")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tangentiality", 0.99, "arc tangential"),
        ("tangentiality", 0.87, "arc 30 deg from tangential"),
        ("tangentiality", 0.5, "arc 60 deg from tangential"),
        ("tangentiality", 1.0000001, "arc tangential"),
        ("curvature", 0.05, "arc curved at a radius of 20 arcsec"),
        ("curvature", 0.0, "arc not curved"),
        ("circle_center_offset", 0.1, "circle of the arc centred 0.1 radii from the BCG"),
        ("circle_center_offset", 5.0, "arc not on a circle about the BCG"),
        ("arc_color_ri", 0.01, "arc as red as the BCG in r-i"),
        ("arc_color_gr", -8.3, "arc far bluer than the BCG in g-r"),
        ("color_gr", 0.5, "light 0.5 mag redder than the BCG in g-r"),
        ("arc_snr", math.asinh(120.0), "arc S/N 120"),
        ("mean_g", math.asinh(2.5), "mean light in g 2.5 times the noise of a pixel"),
        ("std_r", math.log(3.0), "light in r varies by 3 times the noise"),
        ("neighbor_contrast", 1 / 3, "2.0 times brighter than the other patches"),
        ("neighbor_contrast", -1.0, "far fainter than the other patches"),
        ("radial_bin", 2.0, "patch over 20 arcsec from the BCG"),
        ("dec", 0.5, "declination 0.0 deg"),
        ("depth", math.nan, "depth unknown"),
    ],
)
def test_values_are_described_with_units(name, value, words):
    assert feature_words(name, value) == words


def test_every_feature_has_a_description_and_a_label():
    names = [name for name in PATCH_FEATURE_NAMES if PATCH_FEATURE_GROUPS[name] != "position"]
    for name in (*names, *METADATA_NAMES):
        assert feature_words(name, 0.0)
        assert feature_words(name, math.nan).endswith("unknown")
        assert FEATURE_LABELS[name]
