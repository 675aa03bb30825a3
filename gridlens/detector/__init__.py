"""`LensDetector`: from cutouts to a ranked table."""

from gridlens.detector._detector import LensDetector
from gridlens.detector._table import (
    rank_table,
)

__all__ = [
    "LensDetector",
    "rank_table",
]
