"""Processing of many cutouts: from partitions or batches to one table, on one processor or many."""

from gridlens.engine._batches import score_batches
from gridlens.engine._cutouts import write_cutouts
from gridlens.engine._evaluate_scores import ScoreEvaluation, evaluate_scores
from gridlens.engine._features import measure_files
from gridlens.engine._frame import score
from gridlens.engine._score import score_files

__all__ = [
    "ScoreEvaluation",
    "evaluate_scores",
    "measure_files",
    "score",
    "score_batches",
    "score_files",
    "write_cutouts",
]
