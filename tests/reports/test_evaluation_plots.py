"""Tests of figures: they show the numbers, return their axes, and import matplotlib only to draw."""

import subprocess
import sys

import numpy as np
import pytest

from gridlens.calibration import reliability
from gridlens.evaluation import auroc, discovery_curve, tpr_at_fpr
from gridlens.evaluation._strata import stratified
from gridlens.reports import plot_discovery, plot_precision_recall, plot_reliability, plot_roc, plot_strata

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [60, 2000])
    return y, rng.normal(size=2060) + 2 * y, rng.normal(size=2060) + y


def line(ax, label):
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_roc_runs_through_the_rates(rows):
    y, a, b = rows
    ax = plot_roc(y, {"model": a, "control": b})
    assert ax.get_xscale() == "log"
    assert ax.get_xlim() == pytest.approx((1 / 2000, 1.0))
    assert legend(ax) == ["random order", "model", "control"]
    fpr, tpr = line(ax, "model")
    for rate in (1e-3, 1e-2, 0.1):
        assert tpr[fpr <= rate + 1e-12].max() == tpr_at_fpr(y, a, rate).value


def test_a_weighted_roc_begins_at_the_lightest_negative():
    ax = plot_roc([0, 0, 1, 1], {"score": [1, 3, 2, 4]}, sample_weight=[8.0, 2.0, 1.0, 1.0])
    fpr, tpr = line(ax, "score")
    assert fpr.tolist() == [0.0, 0.0, 0.2, 0.2, 1.0]
    assert tpr.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert ax.get_xlabel() == "false positive rate, from 0.2, the negative of the smallest weight"


def test_precision_is_at_the_declared_prevalence(rows):
    y, a, _ = rows
    ax = plot_precision_recall(y, {"model": a}, 1e-3)
    recall, precision = line(ax, "model")
    assert np.isfinite(precision).all()
    assert precision.max() < 1.0
    assert (recall[-1], precision[-1]) == pytest.approx((1.0, 1e-3))
    # The expected value is calculated by hand at one threshold.
    tpr, fpr = (a[y == 1] > 1.5).mean(), (a[y == 0] > 1.5).mean()
    expected = 1e-3 * tpr / (1e-3 * tpr + 0.999 * fpr)
    assert np.isclose(precision[np.isclose(recall, tpr)], expected).any()


@pytest.mark.parametrize("log", [True, False])
def test_reliability_shows_bins_without_a_positive(rows, log):
    y, a, _ = rows
    bins = reliability(y, 1 / (1 + np.exp(5.5 - 2 * a)))
    ax = plot_reliability(bins, log=log)
    none = bins.observed == 0
    assert none.any()
    x, observed = line(ax, "observed, 95 %")
    np.testing.assert_allclose(observed, bins.observed[~none] if log else bins.observed)
    if log:
        np.testing.assert_allclose(line(ax, "none observed"), [bins.predicted[none], bins.high[none]])
        assert ax.get_xlim()[0] < x.min()
    assert len(ax.collections[0].get_segments()) == len(bins.rows)


def test_each_discovery_curve_has_an_uncertainty_band(rows):
    y, a, b = rows
    curves = {name: discovery_curve(y, score, 1e-3, n_boot=20) for name, score in (("model", a), ("control", b))}
    ax = plot_discovery(curves)
    np.testing.assert_array_equal(line(ax, "model")[1], curves["model"].found)
    assert legend(ax) == ["ideal", "random order", "model", "control", "not resolvable"]
    assert ax.get_ylabel() == "positives found, of 100 expected"
    assert "this score" in legend(plot_discovery(curves["model"]))
    assert {"score 1", "score 2"} < set(legend(plot_discovery(list(curves.values()))))
    with pytest.raises(
        ValueError, match=r"'curves' parameter must be .* Got 2 curves with 2 combinations of these instead"
    ):
        plot_discovery([curves["model"], discovery_curve(y, a, 0.01, n_boot=2)])
    with pytest.raises(ValueError, match="'curves' parameter must be at least one curve"):
        plot_discovery({})


def test_omitted_strata_keep_their_row(rows):
    y, a, _ = rows
    names = np.where(np.arange(2060) % 60 < 5, "few", "many")
    table = stratified({"AUROC": auroc}, y, a, names)
    ax = plot_strata(table, "AUROC")
    assert [label.get_text().split("\n")[0] for label in ax.get_yticklabels()] == ["all", "few", "many"]
    assert [text.get_text() for text in ax.texts] == ["n = 5 positives, not shown"]
    with pytest.raises(
        ValueError, match=r"'metric' parameter must be one of the metrics of the table, AUROC. Got 'TPR' instead"
    ):
        plot_strata(table, "TPR")


def test_names_that_look_like_formulas_are_drawn_literally(rows):
    y, a, _ = rows
    name = r"x$\frac$"
    strata = plot_strata(stratified({"AUROC": auroc}, y, a, np.repeat(name, len(y))), "AUROC")
    discovery = plot_discovery({name: discovery_curve(y, a, 1e-3, n_boot=5)})
    for ax in (strata, discovery, plot_roc(y, {name: a}), plot_precision_recall(y, {name: a}, 0.01)):
        ax.get_figure().canvas.draw()


def test_plots_use_given_axes(rows):
    y, a, _ = rows
    curve = discovery_curve(y, a, 1e-3, n_boot=5)
    table = stratified(auroc, y, a, np.repeat("one", len(y)))
    draws = (
        lambda ax: plot_roc(y, {"a": a}, ax=ax),
        lambda ax: plot_precision_recall(y, {"a": a}, 0.01, ax=ax),
        lambda ax: plot_reliability(reliability(y, np.full(len(y), 0.03)), ax=ax),
        lambda ax: plot_discovery(curve, ax=ax),
        lambda ax: plot_strata(table, "auroc", ax=ax),
    )
    for draw in draws:
        fig, ax = plt.subplots()
        assert draw(ax) is ax
        fig.canvas.draw()
        assert ax.get_xlabel()
        assert ax.get_ylabel() or draw is draws[-1]


@pytest.mark.parametrize(
    ("y", "scores"), [([1, 1], {"a": [1, 2]}), ([0, 0], {"a": [1, 2]}), ([0, 1], {}), ([0, 1], [])]
)
def test_input_without_a_curve_is_refused(y, scores):
    for draw in (plot_roc, lambda *args: plot_precision_recall(*args, 0.1)):
        with pytest.raises(
            ValueError, match=r"'y' parameter must contain both classes|'scores' parameter must be a dict"
        ):
            draw(y, scores)


@pytest.mark.slow
def test_libraries_are_imported_only_to_draw():
    code = "import sys, gridlens.reports; assert not {'matplotlib', 'jinja2', 'shap'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
