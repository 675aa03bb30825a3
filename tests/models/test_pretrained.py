"""Tests of a pretrained model as a member of a new stack."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from gridlens import LensDetector, load_model
from gridlens.errors import GridlensError, ModelError
from gridlens.explain import Explainer
from gridlens.members import RankedMember
from gridlens.members._features import ExplainedMember
from gridlens.models import PretrainedMember, save_model, upgrade_model
from gridlens.models._manifest import MANIFEST, manifest_bytes
from gridlens.models._pretrained import read_pretrained
from gridlens.testing import check_member

pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = (np.arange(240) % 3 == 0).astype(np.int64)
    X = rng.normal(size=(240, 315)).astype(np.float32)
    X[:, 10:14] += 1.5 * y[:, None]
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, y


@pytest.fixture(scope="module")
def base(rows, tmp_path_factory):
    X, y = rows
    path = tmp_path_factory.mktemp("base") / "base"
    members = ["linear(turns=False)", "ranked(n_estimators=5)"]
    save_model(LensDetector(members, random_state=0).fit(X[:120], y[:120]), path, card="# Base\n", training={"seed": 7})
    return path


@pytest.fixture(scope="module")
def stacked(rows, base):
    X, y = rows
    members = ["linear(turns=False, C=1e-4)", PretrainedMember(str(base))]
    return LensDetector(members, random_state=0).fit(X[120:], y[120:])


@pytest.mark.slow
def test_the_member_keeps_the_contract():
    check_member(PretrainedMember())


def test_the_model_is_shifted_to_the_prevalence_of_the_new_rows(rows, base, stacked):
    X, y = rows
    model = load_model(base)
    z = model.decision_function(X) + logit(y[120:].mean()) - logit(model.training_prevalence_)
    np.testing.assert_allclose(stacked.stack_.members_[1].predict_proba(X)[:, 1], expit(z), rtol=1e-9)


def test_the_weight_is_learned_without_refitting_the_model(rows, base, stacked):
    X, y = rows
    alone = load_model(base).decision_function(X[120:])
    held = stacked.stack_.out_of_fold_[:, 1]
    # The order is the same, because one model scored all folds.
    assert (np.argsort(alone, kind="stable") == np.argsort(held, kind="stable")).all()
    assert stacked.stack_.weights_[1] > 0.0
    known = roc_auc_score(y[120:], stacked.stack_.out_of_fold_score(y[120:]))
    assert known > roc_auc_score(y[120:], stacked.stack_.out_of_fold_[:, 0])
    # The other member is fitted in five folds and on all rows; this one is loaded once.
    assert stacked.stack_.n_fits == 7


@pytest.mark.parametrize("final", ["refit", "average"])
def test_the_model_is_saved_completely_inside_the_bundle(rows, base, tmp_path, final):
    X, y = rows
    members = ["linear(turns=False)", PretrainedMember(str(base))]
    detector = LensDetector(members, final=final, random_state=0).fit(X[120:], y[120:])
    save_model(detector, tmp_path / "model.zip", card="# New\n", training={})
    upgrade_model(tmp_path / "model.zip", tmp_path / "model")
    again = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(X), detector.predict_proba(X))
    inner = tmp_path / "model" / "pretrained" / "model"
    assert (inner / "card.md").read_text() == "# Base\n"
    assert json.loads((inner / MANIFEST).read_text())["training"] == {"seed": 7}
    np.testing.assert_array_equal(load_model(inner).predict_proba(X), load_model(base).predict_proba(X))


def test_contributions_add_up(rows, stacked, monkeypatch):
    X = rows[0][120:]
    found = Explainer(stacked).explain(X)
    assert list(found.by_member) == ["linear", "pretrained"]
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.log_odds, atol=1e-6)
    # If a member of the model has no contributions, the model is a single bar.
    with monkeypatch.context() as patched:
        patched.delattr(ExplainedMember, "contributions")
        assert list(Explainer(stacked).explain(X).bars) == ["linear", "pretrained"]


def test_a_tampered_inner_model_is_refused(stacked, tmp_path):
    model = tmp_path / "model"
    save_model(stacked, model, card="", training={})
    state = model / "pretrained" / "model" / "detector.json"
    state.write_text(state.read_text().replace('"intercept": ', '"intercept": 1'))
    with pytest.raises(ModelError, match=r"pretrained/model/detector.json is damaged"):
        load_model(model)
    # Repairing the outer manifest does not help.
    record = json.loads((model / MANIFEST).read_text())
    del record["files"], record["bundle_version"], record["contract_version"]
    (model / MANIFEST).unlink()
    (model / MANIFEST).write_bytes(manifest_bytes(model, record))
    with pytest.raises(ModelError, match=r"'pretrained' .* cannot be read \(ModelError: .*detector.json is damaged"):
        load_model(model)


def test_members_on_cutouts_are_refused(base, monkeypatch):
    monkeypatch.setattr(RankedMember, "consumes", "cutouts")
    with pytest.raises(GridlensError, match=r"only have members on features. Got .*base' with the member 'ranked'"):
        read_pretrained(base)
