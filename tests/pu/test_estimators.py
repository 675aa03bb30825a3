"""Tests with scikit-learn's estimator checks, and a reason for each check that cannot pass."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from gridlens.pu import ElkanNotoClassifier, NNPULGBMClassifier

_LABELS = "labels are 1 for labelled rows and 0 or -1 for the others; this check uses other labels"
_OTHER_LABELS = dict.fromkeys(
    [
        "check_estimators_dtypes",
        "check_sample_weights_not_an_array",
        "check_sample_weights_shape",
        "check_sample_weights_not_overwritten",
        "check_sample_weights_pandas_series",
        "check_classifier_data_not_an_array",
        "check_classifiers_classes",
        "check_fit2d_1feature",
    ],
    _LABELS,
)
_WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
EXPECTED_FAILURES = {
    "NNPULGBMClassifier": _OTHER_LABELS
    | {_WEIGHTS: "the limits of leaves and the bins count rows without their weights"},
    "ElkanNotoClassifier": _OTHER_LABELS
    | {_WEIGHTS: "folds count rows without their weights; the check passes its folds as cv, which must be a number"},
}


@parametrize_with_checks(
    [
        NNPULGBMClassifier(0.5, scheme="separate", n_estimators=10, min_child_samples=1, random_state=0),
        ElkanNotoClassifier(method="weighted", cv=2, random_state=0),
        ElkanNotoClassifier(method="ratio", cv=2, random_state=0),
        ElkanNotoClassifier(LogisticRegression(), cv=2, random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES[type(estimator).__name__],
)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_sparse_rows_are_refused_with_a_clear_message(rng):
    X = csr_array(rng.normal(size=(50, 3)))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        NNPULGBMClassifier(0.5).fit(X, np.arange(50) < 10)
