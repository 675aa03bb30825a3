"""The feature contract as data: names, order, units and groups of the 315 columns.

One cutout is one row: nine patches of 34 features, patch after patch (``k = 3 * row + column``, row 0 at y = 0),
then nine metadata values. `tests/naive.py` implements each feature in slow, simple code. Names, order, units and
definitions change only together with `CONTRACT_VERSION`; a model file stores the version on which it was trained.
"""

from gridlens.cutouts import METADATA_NAMES

__all__ = [
    "CONTRACT_VERSION",
    "FEATURE_GROUPS",
    "FEATURE_NAMES",
    "FEATURE_UNITS",
    "METADATA_CHOICES",
    "METADATA_NAMES",
    "N_IMAGE_FEATURES",
    "N_PATCHES",
    "PATCH_FEATURE_GROUPS",
    "PATCH_FEATURE_NAMES",
    "PATCH_FEATURE_UNITS",
]

CONTRACT_VERSION = 1
N_PATCHES = 9

# The features of one patch in order: name, unit ("" if dimensionless), group.
_PATCH_FEATURES = (
    ("mean_g", "", "intensity"),
    ("mean_r", "", "intensity"),
    ("mean_i", "", "intensity"),
    ("std_g", "", "intensity"),
    ("std_r", "", "intensity"),
    ("std_i", "", "intensity"),
    ("color_gr", "mag", "colour"),
    ("color_ri", "mag", "colour"),
    ("edge_density", "", "edges"),
    ("neighbor_contrast", "", "intensity"),
    ("bcg_distance", "arcsec", "geometry"),
    ("bcg_angle", "rad", "geometry"),
    ("radial_bin", "", "geometry"),
    ("bcg_subtracted_mean", "", "intensity"),
    ("arcness", "", "arc shape"),
    ("curvature", "arcsec-1", "arc shape"),
    ("elongation", "", "arc shape"),
    ("tangentiality", "", "arc shape"),
    ("arc_color_gr", "mag", "arc colour"),
    ("arc_color_ri", "mag", "arc colour"),
    ("arc_color_spread", "mag", "arc colour"),
    ("arc_distance", "arcsec", "arc shape"),
    ("circle_inlier_fraction", "", "arc shape"),
    ("circle_center_offset", "", "arc shape"),
    ("arc_snr", "", "arc shape"),
    *((f"position_{k}", "", "position") for k in range(N_PATCHES)),
)
_METADATA_UNITS = {"seeing": "arcsec", "depth": "mag", "log_xray_luminosity": "", "velocity_dispersion": "km s-1"}

PATCH_FEATURE_NAMES: tuple[str, ...] = tuple(name for name, _, _ in _PATCH_FEATURES)
PATCH_FEATURE_UNITS: dict[str, str] = {name: unit for name, unit, _ in _PATCH_FEATURES}
PATCH_FEATURE_GROUPS: dict[str, str] = {name: group for name, _, group in _PATCH_FEATURES}

_IMAGE_COLUMNS = [(f"patch{k}_{name}", unit, group) for k in range(N_PATCHES) for name, unit, group in _PATCH_FEATURES]
_COLUMNS = [*_IMAGE_COLUMNS, *((name, _METADATA_UNITS.get(name, ""), "metadata") for name in METADATA_NAMES)]

N_IMAGE_FEATURES = len(_IMAGE_COLUMNS)
FEATURE_NAMES: tuple[str, ...] = tuple(name for name, _, _ in _COLUMNS)
FEATURE_UNITS: dict[str, str] = {name: unit for name, unit, _ in _COLUMNS}
# Each column belongs to one group: intensity, colour, edges, geometry, arc shape, arc colour, position, metadata.
FEATURE_GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(name for name, _, of in _COLUMNS if of == group)
    for group in dict.fromkeys(group for _, _, group in _COLUMNS)
}

# Metadata that a model may use in addition to the image. Metadata can leak labels, since known lenses were selected by
# mass and richness, and a position identifies a field.
METADATA_CHOICES: dict[str, tuple[str, ...]] = {
    "image": (),
    "survey": ("seeing", "depth", "redshift"),
    "all": METADATA_NAMES,
}
