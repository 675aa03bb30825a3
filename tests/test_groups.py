"""Tests of groups: a row without a group is a separate group, wherever groups are accepted."""

import numpy as np
import pandas as pd
import pytest

from gridlens._groups import group_of_each
from gridlens.detector import LensDetector
from gridlens.members import LinearMember
from gridlens.stacking import MemberStack


@pytest.mark.parametrize(
    "groups",
    [
        ["b", None, "a", "b", None],
        ["b", np.nan, "a", "b", np.nan],
        np.array(["b", None, "a", "b", np.nan], dtype=object),
        [7.0, np.nan, 5.0, 7.0, np.nan],
        np.array([7.0, np.nan, 5.0, 7.0, np.nan]),
        pd.Series(["b", None, "a", "b", None]),
        pd.Series(["b", "", "a", "b", ""]),
        pd.Series([7, None, 5, 7, None], dtype="Int64"),
        pd.Categorical(["b", None, "a", "b", None]),
        [7, None, "a", "7", pd.NA],
    ],
)
def test_each_missing_group_is_a_separate_group(groups):
    found = group_of_each(groups).tolist()
    assert found[0] == found[3]
    assert len(set(found)) == 4


@pytest.mark.parametrize("groups", [[3, 1, 2], ["c", "a"], np.array([0.5, 0.1]), np.zeros((2, 2))])
def test_complete_groups_are_unchanged(groups):
    np.testing.assert_array_equal(group_of_each(groups), np.asarray(groups))


def test_numbers_and_text_are_compared_as_text():
    assert group_of_each([7, "7", "a"]).tolist() == ["7", "7", "a"]
    assert group_of_each(pd.Series([7, "7", 7.0], dtype=object)).tolist() == ["7", "7", "7"]


@pytest.fixture
def missing():
    """Return groups of two rows each for 600 rows, with every tenth row missing its group."""
    return np.array([None if k % 10 == 0 else f"c{k // 2}" for k in range(600)], dtype=object)


def test_the_detector_accepts_missing_groups(training_rows, calibration_rows, missing):
    X, y = training_rows
    fitted = [
        LensDetector(members=("linear",), random_state=0)
        .fit(X, y, groups=groups, calibration=(*calibration_rows, groups[:400]))
        .predict_proba(X[:20])
        for groups in (missing, group_of_each(missing))
    ]
    np.testing.assert_array_equal(*fitted)
    LensDetector(members=("linear",), random_state=0).fit(X, y, groups=pd.Series(missing))


def test_members_and_stacks_accept_missing_groups(training_rows, missing):
    X, y = training_rows
    LinearMember().fit(X, y, groups=missing)
    stack = MemberStack([LinearMember()], random_state=0).fit({"features": X}, y, missing)
    assert len(stack.out_of_fold({"features": X}, y, missing)) == len(y)
