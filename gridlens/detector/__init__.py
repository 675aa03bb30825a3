"""`LensDetector`: from cutouts to a ranked table."""

from gridlens.detector._detector import LensDetector
from gridlens.detector._table import (
    ARC_COLUMNS,
    EVEN,
    add_probabilities,
    order_table,
    rank_table,
    settle_prevalence,
)

__all__ = [
    "ARC_COLUMNS",
    "EVEN",
    "LensDetector",
    "add_probabilities",
    "order_table",
    "rank_table",
    "settle_prevalence",
]
