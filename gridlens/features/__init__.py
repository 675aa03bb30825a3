"""The feature contract: 306 numbers from the image of a cutout and nine of metadata.

`GridPatchExtractor` computes them, `FEATURE_NAMES` and its siblings describe them, `dihedral` turns them,
`arc_candidate`, `arc_scores`, `best_arc` and `detection_maps` lead back to the pixels of an arc. `measure` judges
cutouts too, and `FeatureCache` keeps what it found in a file. Kernels compile when the first cutout is measured.
"""

from gridlens.features._cache import (
    FeatureCache,
    FeatureCacheWriter,
    is_feature_cache,
    measured_from_table,
    measured_to_table,
)
from gridlens.features._candidates import ArcCandidate, arc_candidate, arc_scores, best_arc, detection_maps
from gridlens.features._measured import Measured, keep_metadata
from gridlens.features._symmetry import dihedral, dihedral_columns, turn_features
from gridlens.features.contract import (
    CONTRACT_VERSION,
    FEATURE_GROUPS,
    FEATURE_NAMES,
    FEATURE_UNITS,
    METADATA_CHOICES,
    METADATA_NAMES,
    N_IMAGE_FEATURES,
    N_PATCHES,
    PATCH_FEATURE_GROUPS,
    PATCH_FEATURE_NAMES,
    PATCH_FEATURE_UNITS,
)
from gridlens.features.extractor import GridPatchExtractor, measure

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
    "ArcCandidate",
    "FeatureCache",
    "FeatureCacheWriter",
    "GridPatchExtractor",
    "Measured",
    "arc_candidate",
    "arc_scores",
    "best_arc",
    "detection_maps",
    "dihedral",
    "dihedral_columns",
    "is_feature_cache",
    "keep_metadata",
    "measure",
    "measured_from_table",
    "measured_to_table",
    "turn_features",
]
