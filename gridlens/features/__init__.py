"""The feature contract: 306 numbers from the image of a cutout and nine of metadata.

`GridPatchExtractor` computes them, `FEATURE_NAMES` and its siblings describe them, `dihedral` turns them,
`arc_candidate`, `arc_scores`, `best_arc` and `detection_maps` lead back to the pixels of an arc. `measure` judges
cutouts too, and `FeatureCache` keeps what it found in a file. `centred_images` brings cutouts to one grid in units of
their noise. Kernels compile when the first cutout is measured.
"""

from gridlens.features._cache import (
    FeatureCache,
    FeatureCacheWriter,
)
from gridlens.features._candidates import arc_candidate, best_arc, detection_maps
from gridlens.features._centred import centred_images
from gridlens.features._contract import CONTRACT_VERSION, FEATURE_GROUPS, FEATURE_NAMES, FEATURE_UNITS
from gridlens.features._extractor import GridPatchExtractor, measure
from gridlens.features._measured import Measured
from gridlens.features._symmetry import dihedral

__all__ = [
    "CONTRACT_VERSION",
    "FEATURE_GROUPS",
    "FEATURE_NAMES",
    "FEATURE_UNITS",
    "FeatureCache",
    "FeatureCacheWriter",
    "GridPatchExtractor",
    "Measured",
    "arc_candidate",
    "best_arc",
    "centred_images",
    "detection_maps",
    "dihedral",
    "measure",
]
