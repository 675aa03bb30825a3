"""Tests of the fixed names, units and groups of the features."""

from gridlens.cutouts import METADATA_NAMES as CUTOUT_METADATA_NAMES
from gridlens.features import _contract

# Copied by hand from the contract page: a change requires a new contract version.
# fmt: off
NAMES = [
    "mean_g", "mean_r", "mean_i", "std_g", "std_r", "std_i",
    "color_gr", "color_ri", "edge_density", "neighbor_contrast", "bcg_distance", "bcg_angle", "radial_bin",
    "bcg_subtracted_mean", "arcness", "curvature", "elongation", "tangentiality",
    "arc_color_gr", "arc_color_ri", "arc_color_spread", "arc_distance",
    "circle_inlier_fraction", "circle_center_offset", "arc_snr",
    "position_0", "position_1", "position_2", "position_3", "position_4",
    "position_5", "position_6", "position_7", "position_8",
]
METADATA = [
    "seeing", "depth", "redshift", "richness", "log_xray_luminosity",
    "velocity_dispersion", "log_mass", "ra", "dec",
]
# fmt: on


def test_names_and_order():
    assert _contract.CONTRACT_VERSION == 1
    assert list(_contract.PATCH_FEATURE_NAMES) == NAMES
    assert list(_contract.METADATA_NAMES) == METADATA == list(CUTOUT_METADATA_NAMES)
    expected = [f"patch{k}_{name}" for k in range(9) for name in NAMES] + METADATA
    assert list(_contract.FEATURE_NAMES) == expected
    assert len(_contract.FEATURE_NAMES) == 315
    assert _contract.N_IMAGE_FEATURES == 306


def test_every_column_has_a_unit():
    assert tuple(_contract.FEATURE_UNITS) == _contract.FEATURE_NAMES
    assert _contract.FEATURE_UNITS["patch8_arc_distance"] == "arcsec"
    assert _contract.FEATURE_UNITS["patch0_curvature"] == "arcsec-1"
    assert _contract.FEATURE_UNITS["patch4_color_gr"] == "mag"
    assert _contract.FEATURE_UNITS["velocity_dispersion"] == "km s-1"
    assert _contract.FEATURE_UNITS["ra"] == ""


def test_groups_partition_the_columns():
    groups = _contract.FEATURE_GROUPS
    assert set(groups) == {
        "intensity",
        "colour",
        "edges",
        "geometry",
        "arc shape",
        "arc colour",
        "position",
        "metadata",
    }
    assert sorted(name for names in groups.values() for name in names) == sorted(_contract.FEATURE_NAMES)
    assert len(groups["position"]) == 81
    assert groups["metadata"] == _contract.METADATA_NAMES
    assert _contract.PATCH_FEATURE_GROUPS["arc_snr"] == "arc shape"


def test_metadata_choices():
    assert list(_contract.METADATA_CHOICES) == ["image", "survey", "all"]
    assert _contract.METADATA_CHOICES["image"] == ()
    assert _contract.METADATA_CHOICES["survey"] == ("seeing", "depth", "redshift")
    assert _contract.METADATA_CHOICES["all"] == tuple(METADATA)
