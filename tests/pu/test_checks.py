import numpy as np
import pytest

from gridlens.pu._checks import checked_prior, checked_s


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
        ([0, 0, 0], "Got unlabelled ones only; add positive ones"),
        ([1, 1, 1], "Got positive ones only; add unlabelled ones"),
        ([0, 1, np.nan], "1 for a labelled positive"),
        ([0, 1, 2], "Got 0, 1, 2 instead"),
        ([0, 1, -1], "1 for a labelled positive"),
        (["yes", "no", "no"], "Got no, yes instead"),
    ],
)
def test_labels_that_cannot_be(s, words):
    with pytest.raises(ValueError, match=words):
        checked_s(s, 3)


def test_priors():
    assert checked_prior(np.float32(0.5)) == 0.5
    for prior in (0, 1, -0.1, np.nan, "0.5", None, True):
        with pytest.raises(ValueError, match="'prior' parameter must be the share of positives"):
            checked_prior(prior)
