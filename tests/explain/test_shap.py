"""Tests of `Explanation.to_shap`: the same sums, readable names, and plots that shap can draw."""

import numpy as np
import pandas as pd
import pytest

from gridlens import load_model
from gridlens.errors import GridlensError
from gridlens.explain import Explainer, Explanation
from gridlens.features import FEATURE_NAMES

shap = pytest.importorskip("shap")
matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

N = 30


@pytest.fixture(scope="module")
def found():
    X = np.random.default_rng(0).normal(size=(N, 315)).astype(np.float32)
    X[:, 306:] = np.nan
    X[4] = np.nan
    return Explainer(load_model()).explain(X)


@pytest.fixture
def with_bar(found):
    """Return the explanation with another member that contributes as a whole."""
    rng = np.random.default_rng(1)
    bar = np.where(np.isfinite(found.log_odds), rng.normal(size=N), np.nan)
    table = found.table.assign(network=rng.random(N))
    return Explanation(found.features, found.by_member, {"network": bar}, found.base, found.log_odds + bar, table)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_values_and_base_add_up_to_the_log_odds(found, with_bar):
    for explanation, width in ((found, 315), (with_bar, 316)):
        converted = explanation.to_shap()
        assert converted.shape == (N - 1, width)
        fine = np.isfinite(explanation.log_odds)
        total = converted.base_values + converted.values.sum(axis=1)
        np.testing.assert_allclose(total, explanation.log_odds[fine], atol=1e-4)
        ratio = np.array([name.endswith("arc_snr") for name in FEATURE_NAMES])
        np.testing.assert_array_equal(converted.data[:, :315][:, ~ratio], explanation.features[fine][:, ~ratio])
        np.testing.assert_allclose(np.arcsinh(converted.data[:, :315][:, ratio]), explanation.features[fine][:, ratio])
        assert list(converted.instance_names) == explanation.table["id"][fine].tolist()


def test_names_are_readable_and_unique(with_bar):
    names = with_bar.to_shap().feature_names
    assert len(set(names)) == len(names) == 316
    for name in ("arc elongation [top left]", "mean light in g [middle]", "position flag 3 [left]", "seeing"):
        assert name in names
    assert not [name for name in names if "_" in name]


def test_a_member_without_features_is_one_feature(with_bar):
    converted = with_bar.to_shap()
    fine = np.isfinite(with_bar.log_odds)
    member = converted[:, "member network"]
    np.testing.assert_array_equal(member.values, with_bar.bars["network"][fine])
    np.testing.assert_array_equal(member.data, with_bar.table["network"][fine])


def test_a_column_is_selected_by_name(found):
    from gridlens.features import FEATURE_NAMES

    fine = np.isfinite(found.log_odds)
    column = found.to_shap()[:, "arc elongation [top left]"]
    np.testing.assert_array_equal(column.values, found.values[fine][:, FEATURE_NAMES.index("patch6_elongation")])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "draw",
    [
        lambda converted: shap.plots.beeswarm(converted, show=False),
        lambda converted: shap.plots.waterfall(converted[0], show=False),
        lambda converted: shap.plots.scatter(converted[:, "arc elongation [top left]"], show=False),
        lambda converted: shap.plots.scatter(converted[:, "member network"], show=False),
    ],
    ids=["beeswarm", "waterfall", "scatter", "scatter of a member"],
)
def test_plots_of_shap_accept_the_explanation(with_bar, draw):
    draw(with_bar.to_shap())
    figure = plt.gcf()
    figure.canvas.draw()
    words = " ".join(text.get_text() for ax in figure.axes for text in [*ax.get_yticklabels(), ax.xaxis.label])
    assert "member network" in words or "[" in words


def test_rejected_cutouts_are_omitted(found):
    assert found.take([4]).to_shap().shape == (0, 315)


def test_missing_shap_names_what_to_install(found, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "shap", None)
    with pytest.raises(GridlensError, match=r"need the package shap: pip install 'gridlens\[explain\]'"):
        found.to_shap()


def test_the_table_needs_only_ids(found):
    bare = Explanation(
        found.features, found.by_member, {}, found.base, found.log_odds, pd.DataFrame({"id": found.table["id"]})
    )
    assert bare.to_shap().shape == (N - 1, 315)
