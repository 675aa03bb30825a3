"""Tests that `evaluate` returns the same numbers as the functions that it calls."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest

from gridlens.evaluation import Strata, auroc, compare, discovery_curve, evaluate, tpr_at_fpr
from gridlens.evaluation._compare import mcnemar
from gridlens.evaluation._summary import evaluate_ranking

DRAWS = 50


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [150, 1500])
    size = rng.normal(size=1650) + 0.8 * y
    score = rng.normal(size=1650) + 2.0 * y
    p = 1 / (1 + np.exp(-(2 * score - 2 + math.log(0.1))))
    radius = np.where(y == 1, rng.uniform(9, 30, 1650), np.nan)
    survey = rng.choice(["des", "hsc", "tiny"], 1650, p=[0.5, 0.49, 0.01])
    return y, score, p, pd.DataFrame({"size": size}), radius, survey


@pytest.fixture(scope="module")
def found(rows):
    y, score, p, columns, radius, survey = rows
    done = []
    result = evaluate(
        y,
        score,
        0.01,
        p=p,
        groups=np.arange(1650) // 2,
        strata={"radius": Strata(radius, (10.0, 15.0, 25.0, math.inf)), "survey": Strata(survey)},
        controls={"size": columns},
        match_on=columns,
        other=score + np.random.default_rng(1).normal(size=1650),
        n_boot=DRAWS,
        random_state=3,
        progress=done.append,
    )
    assert sum(done) == 5
    return result


def test_numbers_match_the_functions(rows, found):
    y, score, p, *_ = rows
    groups = np.arange(1650) // 2
    options = {"n_boot": DRAWS, "random_state": 3}
    assert found.metrics == evaluate_ranking(y, score, groups, 0.01, p, **options)
    assert found.controls["model"]["AUROC"] == auroc(y, score, groups, **options)
    assert found.curve.half == discovery_curve(y, score, 0.01, groups, **options).half
    other = found.scores["other"]
    metrics = {"TPR at FPR 1e-2": partial(tpr_at_fpr, fpr=1e-2)}
    assert (
        found.comparisons["TPR at FPR 1e-2"] == compare(y, score, other, metrics, groups, **options)["TPR at FPR 1e-2"]
    )
    assert found.disagreement == mcnemar(y, score, other, fpr=1e-2)
    assert (found.n_rows, found.n_positive, found.n_groups) == (1650, 150, 825)


def test_an_informative_control_is_reported_and_fails_on_matched_rows(found):
    alone = found.controls["size"]["AUROC"]
    assert alone.low > 0.6 and alone.high < found.controls["model"]["AUROC"].low
    assert found.matched_metrics["size"]["AUROC"].value == pytest.approx(0.5, abs=0.06)
    assert found.matched_metrics["model"]["AUROC"].value > 0.85


def test_strata_of_lenses_only_are_compared_with_all_negatives(found):
    radius, survey = found.strata["radius"], found.strata["survey"]
    assert set(radius["against"]) == {"all"} and set(survey[survey["stratum"] == "des"]["against"]) == {"own"}
    assert radius["stratum"].unique().tolist() == ["all", "10 to 15", "15 to 25", "25 and over", "none"]
    assert survey[survey["stratum"] == "tiny"]["value"].isna().all()
    assert "TPR0" in set(radius["metric"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"y": np.ones(1650)}, "must contain both 0 and 1. Got 1650 rows of 1 alone"),
        ({"y": np.zeros(1650)}, "must contain both 0 and 1. Got 1650 rows of 0 alone"),
        ({"score": np.full(1650, 0.5)}, r"'score' parameter must not be constant. Got 0\.5 in all rows"),
        ({"score": np.full(1650, np.nan)}, "'score' parameter must not contain NaN"),
        ({"p": np.full(1650, 1.5)}, "'p' parameter must be probabilities"),
        ({"prevalence": 0.0}, "'prevalence' parameter must be a number between 0 and 1"),
        ({"prevalence": 1.0}, "'prevalence' parameter must be a number between 0 and 1"),
    ],
)
def test_invalid_arguments_are_refused(rows, changed, words):
    with pytest.raises(ValueError, match=words):
        evaluate(**{"y": rows[0], "score": rows[1], "prevalence": 0.01, "n_boot": DRAWS, **changed})
