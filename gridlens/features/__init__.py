"""The feature contract: 306 numbers from the image of a cutout and nine of metadata.

`GridPatchExtractor` computes them, `FEATURE_NAMES` and its siblings describe them, `dihedral` turns them,
`arc_candidate`, `arc_scores`, `best_arc` and `detection_maps` lead back to the pixels of an arc. Kernels compile when
the first cutout is measured.
"""

from gridlens.features._candidates import ArcCandidate, arc_candidate, arc_scores, best_arc, detection_maps
from gridlens.features._symmetry import dihedral, dihedral_columns
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
from gridlens.features.extractor import Extraction, GridPatchExtractor

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
    "Extraction",
    "GridPatchExtractor",
    "arc_candidate",
    "arc_scores",
    "best_arc",
    "detection_maps",
    "dihedral",
    "dihedral_columns",
]
