"""The losses against plain numpy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from gridlens_deep._losses import nnpu_risk, weighted_cross_entropy  # noqa: E402


def plain_risk(z, labelled, weight, prior):
    def mean(loss, rows):
        return np.sum(weight[rows] * loss[rows]) / np.sum(weight[rows])

    as_positive, as_negative = 1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))
    positive = prior * mean(as_positive, labelled == 1)
    return positive, mean(as_negative, labelled == 0) - prior * mean(as_negative, labelled == 1)
