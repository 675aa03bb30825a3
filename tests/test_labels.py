"""Tests of tables of labels: rows by id, labels of any spelling as 1 and 0, and messages that name the row."""

import numpy as np
import pandas as pd
import pytest

from gridlens._labels import binary_values, check_columns, check_label_column, rows_by_id
from gridlens.errors import GridlensError

WHAT = "column 'label' of the table"


@pytest.mark.parametrize(
    "values",
    [
        [1, 0, 1],
        [True, False, True],
        [1.0, 0.0, 1.0],
        ["1", " 0 ", "1.0"],
        ["TRUE", "no", "Yes"],
        pd.array([True, False, True], dtype="boolean"),
        pd.array([1, 0, 1], dtype="Int64"),
    ],
)
def test_labels_in_any_supported_form(values):
    found = binary_values(pd.Series(values), ["a", "b", "c"], WHAT, "")
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("missing", [None, np.nan, "", " ", "NaN", "None", pd.NA])
def test_blank_labels_are_nan_if_allowed(missing):
    column = pd.Series([1, missing], dtype=object)
    np.testing.assert_array_equal(binary_values(column, ["a", "b"], WHAT, "", blank=True), [1.0, np.nan])
    with pytest.raises(GridlensError, match=r"must be 1 or 0\. Got a blank in the row b instead\. Go"):
        binary_values(column, ["a", "b"], WHAT, "Go.")


@pytest.mark.parametrize("strange", [2, -1, 0.5, "lens", "inf"])
def test_other_values_are_refused_with_their_row(strange):
    column = pd.Series([1, strange, strange, None], dtype=object)
    with pytest.raises(
        GridlensError,
        match=rf"The {WHAT} must be 1, 0 or blank\. Got '{strange}' in the row b instead, and others in 1 more\.",
    ):
        binary_values(column, list("abcd"), WHAT, "", blank=True)


def test_an_empty_column_has_no_labels():
    assert binary_values(pd.Series([], dtype=object), [], WHAT, "").shape == (0,)


def test_rows_by_id():
    table = pd.DataFrame({"label": [1, 0, 1, 0], "id": ["b", None, " a ", ""]}, index=[5, 6, 7, 8])
    rows, nameless = rows_by_id(table, "table")
    assert nameless == 2
    assert rows.index.name == "id"
    pd.testing.assert_frame_equal(
        rows, pd.DataFrame({"label": [1, 1]}, index=pd.Index(["b", "a"], name="id", dtype=object))
    )
    with pytest.raises(GridlensError, match=r"The table must name each id once\. Got 1 repeated ids: 7\. Remove"):
        rows_by_id(pd.DataFrame({"id": [7.0, "7"]}), "table")
    with pytest.raises(GridlensError, match=r"must have the column id\. Got name instead; rename its columns\.$"):
        rows_by_id(pd.DataFrame({"name": ["a"]}), "table")


def test_missing_columns_are_named():
    table = pd.DataFrame({"id": ["a"], "s": [1]})
    check_columns(table, ("id", "s"), "table")
    with pytest.raises(
        GridlensError,
        match=r"The table must have the columns id, x and y\. Got id, s instead; rename its columns\. So\.",
    ):
        check_columns(table, ("id", "x", "y"), "table", "So.")
    with pytest.raises(GridlensError, match=r"Got no column instead"):
        check_columns(pd.DataFrame(), ("id",), "table")


def test_an_indicator_of_labelled_rows_is_not_a_label_column():
    check_label_column(pd.DataFrame({"label": [1], "s": [1]}), "table", "")
    with pytest.raises(GridlensError, match=r"Got 's' instead, which says which rows were labelled: so\."):
        check_label_column(pd.DataFrame({"s": [1]}), "table", ": so.")
    with pytest.raises(GridlensError, match=r"must have the column label\. Got y instead"):
        check_label_column(pd.DataFrame({"y": [1]}), "table", "")
