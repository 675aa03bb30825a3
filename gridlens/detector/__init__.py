"""`LensDetector`: from cutouts to a ranked table."""

from gridlens.detector._detector import LensDetector
from gridlens.detector._table import ARC_COLUMNS, EVEN, order_table, rank_table

__all__ = ["ARC_COLUMNS", "EVEN", "LensDetector", "order_table", "rank_table"]
