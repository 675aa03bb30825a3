import numpy as np
import pytest

from gridlens.pu._checks import checked_prior, checked_s, min_positives


@pytest.mark.parametrize("s", [[0, 1, 0], [-1, 1, -1], [False, True, False], [0.0, 1.0, 0.0]])
def test_labels(s):
    labels, classes = checked_s(s, 3)
    assert labels.tolist() == [0, 1, 0]
    assert classes[labels].tolist() == s


@pytest.mark.parametrize(
    ("s", "words"),
    [
        ([0, 1], "one label for each of the 3 rows"),
        ([[0], [1], [0]], "one label for each of the 3 rows"),
        ([0, 0, 0], "Got only unlabelled rows; add positive ones"),
        ([1, 1, 1], "Got only positive rows; add unlabelled ones"),
        ([0, 1, np.nan], "1 for a labelled positive"),
        ([0, 1, 2], "Got 0, 1, 2 instead. Only binary classification is supported"),
        ([0, 1, 0.5], r"Got continuous values, as 0\.0, 0\.5, 1\.0, instead"),
        ([0, 1, np.inf], "Got 0.0, 1.0, inf instead"),
        ([0, 1, -1], "1 for a labelled positive"),
        (["yes", "no", "no"], "Got no, yes instead"),
    ],
)
def test_invalid_labels_are_refused(s, words):
    with pytest.raises(ValueError, match=words):
        checked_s(s, 3)


def test_priors():
    assert checked_prior(np.float32(0.5)) == 0.5
    for prior in (0, 1, -0.1, np.nan, "0.5", None, True):
        with pytest.raises(ValueError, match="'class_prior' parameter must be the fraction of positives"):
            checked_prior(prior)


def test_messages_use_the_parameter_name_of_the_caller():
    with pytest.raises(ValueError, match="The 's' parameter must contain one label for each of the 2 rows"):
        checked_s([1], 2, "s")


def test_folds():
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    assert min_positives(labels, np.int64(3)) == 3
    assert min_positives(labels, 2, groups=np.array([0, 0, 1, 1, 2, 2, 2])) == 2
    for cv in (1, 0, 2.0, "5", None, True):
        with pytest.raises(ValueError, match="'cv' parameter must be an integer of at least 2"):
            min_positives(labels, cv)


@pytest.mark.parametrize(
    ("labels", "groups", "words"),
    [
        ([1, 1, 0, 0, 0], None, "not be larger than the number of labelled positives.* Got 3 folds for 2 instead"),
        ([1, 1, 1, 0, 0], None, "not be larger than the number of unlabelled rows.* Got 3 folds for 2 instead"),
        ([1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 2, 3], "groups with labelled positives, .* 3 folds for 2"),
        ([1, 1, 1, 0, 0, 0], [0, 1, 2, 3, 3, 3], "groups with unlabelled rows, .* 3 folds for 1"),
    ],
)
def test_impossible_folds_are_refused(labels, groups, words):
    with pytest.raises(ValueError, match=words):
        min_positives(np.array(labels), 3, None if groups is None else np.array(groups))
