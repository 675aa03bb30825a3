"""Grades of people: a store, their consensus, queues of rows to grade, and when to stop. No astronomy beyond ids."""

from gridlens.grading._book import GradeBook
from gridlens.grading._consensus import Consensus, consensus
from gridlens.grading._vocabulary import GRADES, SUBCLASSES

__all__ = ["GRADES", "SUBCLASSES", "Consensus", "GradeBook", "consensus"]
