"""Tests of how much scores depend on the assumptions."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from gridlens.pu import ElkanNotoClassifier, NNPULGBMClassifier, sensitivity


@pytest.fixture
def rows(rng):
    y = rng.random(3000) < 0.2
    X = rng.normal(size=(3000, 3))
    X[:, 0] += 2.5 * y
    return X, y & (rng.random(3000) < 0.4)


def test_a_prior_moves_probabilities_and_few_ranks(rows):
    model = NNPULGBMClassifier(0.2, n_estimators=60, random_state=0)
    found = sensitivity(model, *rows, cv=3, random_state=1)
    changes = {row.change: row for row in found.rows}
    assert found.top == rows[1].sum()
    first = changes["as assumed"]
    assert (first.median_ratio, first.rank_correlation, first.top_kept) == pytest.approx((1.0, 1.0, 1.0))
    assert changes["class_prior x 0.5"].mean_probability < 0.75 * first.mean_probability
    assert changes["class_prior x 2"].mean_probability > 1.4 * first.mean_probability
    assert min(changes[f"class_prior x {factor}"].rank_correlation for factor in ("0.5", "2")) > 0.7
    # Removing labels changes the ranks more than another prior does.
    assert changes["half of the labels, at random"].rank_correlation < changes["class_prior x 0.5"].rank_correlation
    assert all(0.3 < row.top_kept <= 1.0 for row in found.rows)


def test_results_are_reproducible_and_groups_are_not_split(rows):
    model = NNPULGBMClassifier(0.2, n_estimators=20, random_state=0)
    groups = np.arange(3000) // 3
    first, second = (sensitivity(model, *rows, cv=3, groups=groups, random_state=1) for _ in range(2))
    assert first == second
    assert first != sensitivity(model, *rows, cv=3, random_state=1)


@pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")
def test_a_propensity_changes_probabilities_within_the_limits_of_the_labels(rows):
    model = ElkanNotoClassifier(LogisticRegression(), method="ratio", cv=3, random_state=0)
    found = sensitivity(model, *rows, cv=3, random_state=1)
    c, labelled = model.fit(*rows).propensity_, rows[1].mean()
    assert found.rows[1].change == "propensity x 0.5"
    assert found.rows[1].mean_probability > 1.2 * found.rows[0].mean_probability
    assert found.rows[2].change == "propensity x 2"
    assert found.rows[2].median_ratio == pytest.approx(0.5, abs=0.1)
    # A tenth of the propensity would be below the labelled fraction, and five times the propensity above 1.
    changes = [row.change for row in sensitivity(model, *rows, cv=3, factors=(0.1, 5.0), random_state=1).rows]
    assert changes[1] == f"propensity x {labelled / c:.2g}"
    assert changes[2] == f"propensity x {1 / c:.2g}"


def test_only_the_labels_are_varied_for_other_classifiers(rows):
    found = sensitivity(LogisticRegression(), *rows, cv=3, random_state=0, top=100)
    assert [row.change for row in found.rows] == [
        "as assumed",
        "half of the labels, at random",
        "half of the labels, the highest scored",
    ]
    assert found.rows[1].median_ratio == pytest.approx(0.5, abs=0.15)


def test_the_table_and_the_plot_show_every_change(rows):
    mpl.use("Agg")
    found = sensitivity(NNPULGBMClassifier(0.2, n_estimators=5), *rows, cv=2, random_state=0)
    assert str(found).count("\n") == len(found.rows) + 1
    axes = found.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == [row.change for row in found.rows]
    assert found.plot(axes) is axes


def test_too_few_positives_have_a_clear_message(rng):
    s = np.arange(100) < 7
    with pytest.raises(ValueError, match="at least 10 positives for 5 folds"):
        sensitivity(NNPULGBMClassifier(0.2), rng.normal(size=(100, 2)), s)
