"""Many cutouts: partitions or batches of them in, one table out, on one processor or many."""

from gridlens.engine._batches import score_batches, score_joint
from gridlens.engine._cutouts import WrittenCutouts, check_folder, write_cutouts
from gridlens.engine._evaluate_scores import ScoreEvaluation, evaluate_scores
from gridlens.engine._features import MeasuredFiles, measure_files
from gridlens.engine._frame import score
from gridlens.engine._output import check_output, parts_folder
from gridlens.engine._score import Scored, ranked_scores, score_files

__all__ = [
    "MeasuredFiles",
    "ScoreEvaluation",
    "Scored",
    "WrittenCutouts",
    "check_folder",
    "check_output",
    "evaluate_scores",
    "measure_files",
    "parts_folder",
    "ranked_scores",
    "score",
    "score_batches",
    "score_files",
    "score_joint",
    "write_cutouts",
]
