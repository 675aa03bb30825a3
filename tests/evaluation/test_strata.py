"""Tests of `stratified` and `cross_table`: the rows of each stratum, merged and marked strata, and the output."""

import numpy as np
import pytest

from gridlens.evaluation import Estimate, auroc, tpr_at_fpr
from gridlens.evaluation._strata import cross_table, stratified

COLUMNS = ["stratum", "n_positive", "n_negative", "against", "metric", "value", "low", "high", "note"]


def sample(n_positive=60, n_negative=600, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat([1, 0], [n_positive, n_negative])
    return rng, y, rng.normal(size=len(y)) + 1.5 * y


def only_row(table, stratum):
    (row,) = table[table["stratum"] == stratum].to_dict("records")
    return row


def test_names_are_compared_with_their_own_negatives():
    rng, y, score = sample()
    strata = rng.choice(["deep", "wide"], size=len(y))
    table = stratified(auroc, y, score, strata)
    assert list(table.columns) == COLUMNS
    assert table["stratum"].tolist() == ["all", "deep", "wide"]
    for name in ("deep", "wide"):
        row = only_row(table, name)
        expected = auroc(y[strata == name], score[strata == name])
        assert (row["value"], row["low"], row["high"]) == pytest.approx(expected[:3])
        assert row["n_positive"] == y[strata == name].sum()
        assert row["n_negative"] == (1 - y)[strata == name].sum()
        assert (row["against"], row["metric"], row["note"]) == ("own", "auroc", "")
    assert only_row(table, "all")["value"] == auroc(y, score).value


@pytest.mark.parametrize("as_names", [False, True])
def test_strata_of_positives_only_are_compared_with_all_negatives(as_names):
    rng, y, score = sample()
    radius = np.where(y == 1, rng.uniform(10, 30, len(y)), np.nan)
    if as_names:
        strata = np.array(["small" if r < 20 else "large" if r >= 20 else None for r in radius], dtype=object)
        table, names = stratified(auroc, y, score, strata), ("small", "large")
    else:
        table, names = stratified(auroc, y, score, radius, edges=[10, 20, 30]), ("10 to 20", "20 to 30")
    for name, inside in zip(names, (radius < 20, radius >= 20), strict=True):
        rows = inside | (y == 0)
        row = only_row(table, name)
        assert row["value"] == pytest.approx(auroc(y[rows], score[rows]).value)
        assert (row["n_negative"], row["against"]) == (600, "all")
    assert "none" not in set(table["stratum"])


def test_strata_include_their_lower_edge_and_the_last_its_upper_edge():
    y = np.array([1] * 6 + [0] * 6)
    seeing = np.tile([0.5, 0.99, 1.0, 1.5, 2.0, 2.01], 2)
    table = stratified(auroc, y, np.arange(12.0), seeing, edges=[0.5, 1.0, 2.0], min_positives=1, min_negatives=1)
    assert table[["stratum", "n_positive", "n_negative"]].to_numpy().tolist() == [
        ["all", 6, 6],
        ["0.5 to 1", 2, 2],
        ["1 to 2", 3, 3],
        ["none", 1, 1],
    ]
    assert only_row(table, "none")["note"] == "n = 1 positive and 1 negative, in no stratum"


def test_negatives_beyond_the_edges_count_as_known():
    # The stratum then has no negatives, and must not be compared with negatives of other seeing.
    y = np.repeat([1, 0], 50)
    seeing = np.repeat([0.7, 3.0], 50)
    table = stratified(auroc, y, np.arange(100.0), seeing, edges=[0.5, 1.0])
    assert (only_row(table, "0.5 to 1")["against"], only_row(table, "0.5 to 1")["n_negative"]) == ("own", 0)
    assert only_row(table, "0.5 to 1")["note"] == "n = 0 negatives, not shown"


def test_small_neighbours_are_merged():
    y = np.repeat([1, 0], [40, 200])
    radius = np.concatenate([np.repeat([12.0, 20.0, 27.0, 40.0], [20, 4, 9, 7]), np.full(200, np.nan)])
    score = np.arange(240.0)[::-1]
    table = stratified(auroc, y, score, radius, edges=[10, 15, 25, 30, 50], min_positives=10)
    # The stratum of 4 is merged with its smaller neighbour of 9; then the stratum of 7 is merged with these 13.
    assert table["stratum"].tolist() == ["all", "10 to 15", "15 to 50"]
    row = only_row(table, "15 to 50")
    assert row["n_positive"] == 20
    assert row["note"] == "merged: 15 to 25, 25 to 30, 30 to 50"
    alone = stratified(auroc, y[20:24], score[20:24], radius[20:24], edges=[10, 15, 25])
    assert only_row(alone, "10 to 25")["note"] == "merged: 10 to 15, 15 to 25; n = 4 positives, not shown"


def test_strata_with_too_few_negatives_are_merged():
    y = np.tile([1, 0, 0], 60)
    seeing = np.repeat([0.6, 0.8, 1.2], [30, 60, 90])
    table = stratified(auroc, y, np.arange(180.0), seeing, edges=[0.5, 0.7, 1.0, 1.5], min_negatives=60)
    assert table["stratum"].tolist() == ["all", "0.5 to 1", "1 to 1.5"]
    np.testing.assert_array_equal(table["n_negative"], [120, 60, 60])


def test_names_too_small_are_marked_and_not_measured():
    y = np.repeat([1, 0], [30, 300])
    strata = np.where(np.arange(330) % 30 < 7, "few", "many").astype(object)
    strata[0] = None
    calls = []

    def metric(labels, score, groups=None):
        calls.append(len(labels))
        return Estimate(0.5, 0.4, 0.6)

    table = stratified({"m": metric}, y, np.arange(330.0), strata, min_negatives=10)
    assert only_row(table, "few")["note"] == "n = 6 positives, not shown"
    assert np.isnan(only_row(table, "few")["value"])
    assert only_row(table, "none")["note"] == "n = 1 positive, in no stratum"
    assert calls == [330, 23 + 230]


def test_a_metric_without_a_value_has_a_note():
    _, y, score = sample(60, 150)
    table = stratified({"TPR": lambda *rows: tpr_at_fpr(*rows, 0.01)}, y, score, np.arange(210) % 2, min_negatives=50)
    assert table["note"].tolist() == ["", *["not resolvable with 75 negatives"] * 2]


def test_groups_and_several_metrics():
    rng, y, score = sample()
    groups = np.arange(len(y)) // 3
    strata = rng.choice(["a", "b"], size=len(y))
    metrics = {"AUROC": auroc, "again": lambda labels, values, groups: auroc(labels, values, groups)}
    table = stratified(metrics, y, score, strata, groups)
    assert table["metric"].tolist() == ["AUROC", "again"] * 3
    rows = np.concatenate([np.flatnonzero((strata == "a") & (y == one)) for one in (1, 0)])
    assert table.loc[2, ["value", "low", "high"]].tolist() == list(auroc(y[rows], score[rows], groups[rows])[:3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strata": ["a"]}, r"'strata' parameter must be of shape \(2,\), like 'y'. Got shape \(1,\) instead"),
        ({"strata": ["a", "b"], "edges": [1, 2]}, "'strata' parameter must be an array of numbers"),
        ({"strata": [1, 2], "edges": [2, 1]}, r"'edges' parameter must be two or more incr.* Got \[2, 1\] instead"),
        ({"strata": [1, 2], "edges": [1]}, "'edges' parameter must be two or more increasing numbers"),
        ({"metrics": {}}, "'metrics' parameter must be a function of"),
        ({"metrics": "auroc"}, "'metrics' parameter must be a function of .* Got 'auroc' instead"),
        ({"min_positives": 0}, "'min_positives' parameter must be an integer of at least 1. Got 0 instead"),
    ],
)
def test_invalid_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        stratified(**{"metrics": auroc, "y": [0, 1], "score": [1, 2], "strata": ["a", "b"]} | options)


def test_cross_table_is_square():
    one, two = Estimate(0.9, 0.8, 0.95), Estimate(np.nan, np.nan, np.nan, "not resolvable with 3 negatives")
    table = cross_table({"kids": {"kids": one, "euclid": two}, "hsc": {"kids": one}})
    assert table.value.index.tolist() == table.value.columns.tolist() == ["kids", "hsc", "euclid"]
    assert table.value.loc["hsc", "kids"] == 0.9
    assert table.text.loc["kids", "euclid"] == "not resolvable with 3 negatives"
    assert table.text.loc["euclid", "euclid"] == "not measured"
    assert str(table).splitlines()[0].startswith("| trained on / tested on | kids ")
    with pytest.raises(ValueError, match="'results' parameter must contain at least one model"):
        cross_table({})


def test_separators_in_names_are_escaped():
    lines = str(cross_table({"a|b": {"c": Estimate(0.5, 0.4, 0.6)}})).splitlines()
    assert lines[2] == "| a\\|b                   | not measured | 0.500 [0.400, 0.600] |"
