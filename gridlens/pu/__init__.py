"""Learning from positive and unlabelled rows. Arrays in, arrays out, no astronomy."""

from gridlens.pu._nnpu import NNPULGBMClassifier
from gridlens.pu._sensitivity import Sensitivity, SensitivityRow, sensitivity

__all__ = ["NNPULGBMClassifier", "Sensitivity", "SensitivityRow", "sensitivity"]
