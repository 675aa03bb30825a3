"""Many cutouts: streams of batches in, one table out."""

from gridlens.engine._batches import score_batches, score_joint

__all__ = ["score_batches", "score_joint"]
