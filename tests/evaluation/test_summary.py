"""Tests of `evaluate_ranking`: every measure equals the result of its own function, in order, and it is fast."""

import time

import numpy as np
import pytest

from gridlens.evaluation import (
    auroc,
    average_precision,
    brier_score,
    calibration_error,
    log_loss,
    precision_at_k,
    recall_at_k,
    tpr_at_false_positives,
    tpr_at_fpr,
    tpr_at_precision,
)
from gridlens.evaluation._summary import evaluate_ranking


def rows(n=1200, shift=2.0):
    rng = np.random.default_rng(0)
    y = (rng.random(n) < 0.1).astype(int)
    score = rng.normal(size=n) + shift * y
    return y, score.round(1), np.arange(n) // 3, 1 / (1 + np.exp(-score))


@pytest.mark.parametrize("grouped", [False, True])
def test_every_measure_matches_its_function(grouped):
    y, score, groups, p = rows()
    options = {"groups": groups if grouped else None, "n_boot": 60, "random_state": 3}
    found = evaluate_ranking(y, score, prevalence=0.02, p=p, ks=[50], **options)
    expected = {
        "TPR at FPR 1e-4": tpr_at_fpr(y, score, 1e-4, **options),
        "TPR at FPR 1e-3": tpr_at_fpr(y, score, 1e-3, **options),
        "TPR at FPR 1e-2": tpr_at_fpr(y, score, 1e-2, **options),
        "TPR at FPR 0.1": tpr_at_fpr(y, score, 0.1, **options),
        "TPR0": tpr_at_false_positives(y, score, 0, **options),
        "TPR10": tpr_at_false_positives(y, score, 9, **options),
        "average precision": average_precision(y, score, **options),
        "precision at 50": precision_at_k(y, score, 50, **options),
        "recall at 50": recall_at_k(y, score, 50, **options),
        "TPR at precision 0.5 and prevalence 2e-2": tpr_at_precision(y, score, 0.5, 0.02, **options),
        "average precision at prevalence 2e-2": average_precision(y, score, 0.02, **options),
        "precision at 50 at prevalence 2e-2": precision_at_k(y, score, 50, 0.02, **options),
        "recall at 50 at prevalence 2e-2": recall_at_k(y, score, 50, 0.02, **options),
        "AUROC": auroc(y, score, **options),
        "Brier score": brier_score(y, p, **options),
        "log loss": log_loss(y, p, **options),
        "calibration error": calibration_error(y, p, **options),
    }
    assert list(found) == list(expected)
    for name, estimate in expected.items():
        np.testing.assert_allclose(found[name][:3], estimate[:3], rtol=1e-12, err_msg=name)
        assert found[name].note == estimate.note
    assert not np.isnan(found["TPR10"].low)


def test_without_prevalence_and_probabilities_their_measures_are_omitted():
    y, score, _, _ = rows()
    assert list(evaluate_ranking(y, score, n_boot=5)) == [
        "TPR at FPR 1e-4",
        "TPR at FPR 1e-3",
        "TPR at FPR 1e-2",
        "TPR at FPR 0.1",
        "TPR0",
        "TPR10",
        "average precision",
        "precision at 100",
        "recall at 100",
        "precision at 500",
        "recall at 500",
        "AUROC",
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("y", [[], [0, 0, 0], [1, 1, 1]])
def test_missing_classes_are_noted_in_every_measure(y):
    found = evaluate_ranking(y, np.arange(len(y)), np.arange(len(y)), 1e-3, np.full(len(y), 0.5))
    ranking = [
        estimate for name, estimate in found.items() if name not in ("Brier score", "log loss", "calibration error")
    ]
    assert all(np.isnan(estimate.value) and "not resolvable with" in estimate.note for estimate in ranking)
    assert np.isnan(found["Brier score"].value) == (not y)


def test_lists_longer_than_the_rows_have_a_note():
    assert evaluate_ranking([0, 1], [1, 2], n_boot=5)["precision at 100"].note == "not resolvable with 2 rows"


def test_twenty_thousand_rows_are_fast():
    y, score, groups, p = rows(20_000)
    evaluate_ranking(y, score, groups, 1e-2, p, n_boot=2)
    start = time.process_time()
    evaluate_ranking(y, score, groups, 1e-2, p, n_boot=100)
    # A tenth of the default draws: ten times slower machines pass, but metrics that sort in each draw do not.
    assert time.process_time() - start < 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ks": [0]}, "'ks' parameter must be an integer of at least 1. Got 0 instead"),
        ({"prevalence": 1}, "'prevalence' parameter must be a number between 0 and 1 .* Got 1 instead"),
        ({"p": [0.1, 2.0]}, "'p' parameter must be probabilities from 0 to 1, .* Got 2 instead"),
        ({"p": [0.1]}, "'p' parameter must be as long as 'y', of length 2. Got length 1 instead"),
        ({"n_boot": 0}, "'n_boot' parameter must be an integer of at least 1. Got 0 instead"),
        (
            {"groups": [1]},
            r"'groups' parameter must be of shape \(2,\), a group .* Got shape \(1,\) instead",
        ),
    ],
)
def test_invalid_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_ranking([0, 1], [1, 2], **options)
