"""`LensDetector`: from cutouts to a ranked table."""

from gridlens.detector._detector import LensDetector
from gridlens.detector._table import ARC_COLUMNS, rank_table

__all__ = ["ARC_COLUMNS", "LensDetector", "rank_table"]
