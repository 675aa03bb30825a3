"""Rank three-band cutouts of galaxy clusters by the probability that they contain a strong gravitational lens.

The names below are loaded on first use, so that ``import gridlens`` stays fast::

    from gridlens import CutoutSet, GridPatchExtractor, LensDetector, load_model, score, train
"""

import logging as _logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridlens import errors
    from gridlens.cutouts import CutoutSet
    from gridlens.detector import LensDetector
    from gridlens.engine import evaluate_scores, score
    from gridlens.features import GridPatchExtractor
    from gridlens.models import load_model
    from gridlens.training import train

__all__ = [
    "CutoutSet",
    "GridPatchExtractor",
    "LensDetector",
    "__version__",
    "errors",
    "evaluate_scores",
    "load_model",
    "score",
    "train",
]

# Applications decide which messages are shown.
_logging.getLogger("gridlens").addHandler(_logging.NullHandler())

_HOMES = {
    "CutoutSet": "gridlens.cutouts",
    "GridPatchExtractor": "gridlens.features",
    "LensDetector": "gridlens.detector",
    "evaluate_scores": "gridlens.engine",
    "load_model": "gridlens.models",
    "score": "gridlens.engine",
    "train": "gridlens.training",
}

# Rooms that complete a class when it is loaded: `gridlens.models` adds saving to the detector.
_COMPLETED_BY = {"LensDetector": "gridlens.models"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gridlens")
    from importlib import import_module

    if name == "errors":
        return import_module("gridlens.errors")
    if name in _COMPLETED_BY:
        import_module(_COMPLETED_BY[name])
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gridlens' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
