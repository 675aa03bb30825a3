"""How well a ranking finds rare things, with an interval each. Arrays in, arrays out, no astronomy.

Every measure is an `Estimate`, which says so where there are too few rows to compute it.
"""

from gridlens.evaluation._intervals import Estimate, wilson
from gridlens.evaluation._ranking import auroc, tpr_at_fpr

__all__ = ["Estimate", "auroc", "tpr_at_fpr", "wilson"]
