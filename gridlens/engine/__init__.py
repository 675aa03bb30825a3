"""Many cutouts: streams of batches in, one table out."""

from gridlens.engine._joint import score_joint
from gridlens.engine._local import score_batches

__all__ = ["score_batches", "score_joint"]
