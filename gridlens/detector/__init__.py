"""`LensDetector`: ranking of cutouts by the probability of a strong lens."""

from gridlens.detector._detector import LensDetector
from gridlens.detector._table import (
    rank_table,
)

__all__ = [
    "LensDetector",
    "rank_table",
]
