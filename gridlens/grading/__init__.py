"""Visual grades: a grade book, agreement and consensus of graders, queues of objects to grade, and stopping rules."""

from gridlens.grading._agreement import Agreement, agreement
from gridlens.grading._book import GradeBook
from gridlens.grading._consensus import Consensus, consensus
from gridlens.grading._inclusion import inclusion_weights
from gridlens.grading._queues import make_queue
from gridlens.grading._stopping import lenses_left, non_lens_run
from gridlens.grading._vocabulary import GRADES, SUBCLASSES

__all__ = [
    "GRADES",
    "SUBCLASSES",
    "Agreement",
    "Consensus",
    "GradeBook",
    "agreement",
    "consensus",
    "inclusion_weights",
    "lenses_left",
    "make_queue",
    "non_lens_run",
]
