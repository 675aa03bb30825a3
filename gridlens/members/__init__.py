"""Built-in members of the stack, and a detector of unusual cutouts."""

from gridlens.members._lightgbm import LightGBMMember
from gridlens.members._linear import LinearMember
from gridlens.members._novelty import Novelty
from gridlens.members._patch import PatchMember
from gridlens.members._polar import PolarMember
from gridlens.members._positive_unlabelled import ElkanNotoMember, NNPUMember
from gridlens.members._ranked import RankedMember
from gridlens.members._xgboost import XGBoostMember

__all__ = [
    "ElkanNotoMember",
    "LightGBMMember",
    "LinearMember",
    "NNPUMember",
    "Novelty",
    "PatchMember",
    "PolarMember",
    "RankedMember",
    "XGBoostMember",
]
