"""The feature contract: 306 numbers from the image of a cutout and nine of metadata.

`GridPatchExtractor` computes the features, `FEATURE_NAMES` and related constants describe them, and `dihedral`
transforms them for flips and rotations. `arc_candidate`, `arc_scores`, `best_arc` and `detection_maps` relate them to
the pixels of an arc. `measure` also checks the cutouts, and `FeatureCache` stores its results in a file.
`centred_images` resamples cutouts to a common grid in units of their noise. The kernels are compiled when the first
cutout is measured.
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
