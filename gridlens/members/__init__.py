"""The built-in members of the stack."""

from gridlens.members._lightgbm import LightGBMMember
from gridlens.members._positive_unlabelled import ElkanNotoMember, NNPUMember

__all__ = ["ElkanNotoMember", "LightGBMMember", "NNPUMember"]
