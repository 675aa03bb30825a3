"""Tests of members that learn from partly labelled lenses."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from gridlens.features import dihedral
from gridlens.members import ElkanNotoMember, NNPUMember
from gridlens.stacking import Member
from gridlens.stacking._registry import member_class

pytestmark = pytest.mark.filterwarnings("ignore:The labelling propensity differs:UserWarning")
SMALL = {"n_estimators": 30, "learning_rate": 0.1, "min_child_samples": 20}
MEMBERS = [ElkanNotoMember(**SMALL, turns=False), NNPUMember(**SMALL, turns=False)]


@pytest.fixture
def half_labelled(training_rows, rng):
    X, y = training_rows
    return X, y & (rng.random(len(y)) < 0.5)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_the_members_are_registered_by_name(member):
    assert isinstance(member, Member)
    assert member_class(member.name) is type(member)
    assert clone(member).get_params() == member.get_params()


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_loaded_members_score_identically(member, tmp_path, half_labelled, calibration_rows):
    fitted = clone(member).fit(*half_labelled)
    fitted.save(tmp_path)
    again = type(member).load(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(calibration_rows[0]), fitted.predict_proba(calibration_rows[0]))
    assert again.class_prior_ == fitted.class_prior_
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".npz", ".txt"]


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_probabilities_refer_to_lenses_not_to_labels(member, half_labelled, training_rows, calibration_rows):
    X, y = calibration_rows
    p = clone(member).fit(*half_labelled).predict_proba(X)[:, 1]
    assert roc_auc_score(y, p) > 0.6
    # Half of the lenses are labelled; a classifier of the labels would predict half as many lenses.
    assert p.mean() > 1.3 * half_labelled[1].mean()
    assert np.isnan(clone(member).fit(*half_labelled).predict_proba(np.full((1, 315), np.nan))).all()


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_turned_rows_score_alike(member, half_labelled, calibration_rows):
    fitted = clone(member).set_params(turns=True).fit(*half_labelled)
    X = calibration_rows[0][:100]
    scores = [fitted.predict_proba(version)[:, 1] for version in dihedral(X)]
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], atol=0.05)


@pytest.mark.slow
def test_the_prior_is_as_given_or_at_least_the_labelled_fraction(half_labelled):
    X, s = half_labelled
    assert NNPUMember(class_prior=0.6, **SMALL, turns=False).fit(X, s).class_prior_ == 0.6
    assert s.mean() <= NNPUMember(**SMALL, turns=False).fit(X, s).class_prior_ <= 0.99
    low, high = (
        NNPUMember(class_prior=prior, **SMALL, turns=False).fit(X, s).predict_proba(X)[:, 1] for prior in (0.4, 0.8)
    )
    assert low.mean() < high.mean()


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_invalid_labels_are_refused(member, training_rows):
    with pytest.raises(ValueError, match="'y' parameter must contain one 0 or 1"):
        clone(member).fit(training_rows[0], np.ones(len(training_rows[1])))
