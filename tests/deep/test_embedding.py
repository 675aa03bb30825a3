"""Tests of few labels: weights from a model, and a regression on the embedding of a frozen network."""

import json
import shutil

import numpy as np
import pytest
from gridlens_deep import ConvNetMember, EmbeddingMember, WeightsError
from gridlens_deep._networks import build_network
from sklearn.metrics import roc_auc_score

from gridlens import LensDetector
from gridlens.errors import ModelError
from gridlens.models import member_folder
from gridlens.stacking import AveragedMember
from gridlens.testing import check_member

SMALL = {
    "variant": "compact",
    "size": 32,
    "pixel_scale": 2.0,
    "epochs": 2,
    "batch_size": 32,
    "device": "cpu",
    "validation_fraction": 0.0,
}


@pytest.fixture(scope="module")
def detector(arcs):
    """Return a model with one member, a network that has learned a few arcs."""
    cutouts, y = arcs[0][:64], arcs[1][:64]
    return LensDetector((ConvNetMember(**SMALL),)).fit(cutouts, y, calibration=(cutouts, y))


@pytest.fixture(scope="module")
def bundle(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    detector.save(path)
    return path


def weights_of(**parameters):
    return build_network(ConvNetMember(**{**SMALL, **parameters}).settings).state_dict()


def test_weights_come_from_a_model_whose_files_agree_with_its_manifest(detector, bundle, tmp_path):
    expected = detector.stack_.members_[0].network_.state
    detector.save(tmp_path / "model.zip")
    for path in (bundle, tmp_path / "model.zip", bundle / "convnet"):
        taken = weights_of(pretrained=str(path))
        assert all(np.array_equal(taken[name].numpy(), value) for name, value in expected.items())
    (tmp_path / "other").mkdir()
    for path in bundle.rglob("*"):
        place = tmp_path / "other" / path.relative_to(bundle)
        if path.is_dir():
            place.mkdir()
        else:
            place.write_bytes(path.read_bytes())
    weights = tmp_path / "other" / "convnet" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(WeightsError, match=r"Got '.*other' instead: The (file|model).*convnet/weights\.safetensors"):
        weights_of(pretrained=str(tmp_path / "other"))


def test_fine_tuning_keeps_the_normalisation_and_uses_all_of_few_rows(arcs, detector, bundle):
    before = detector.stack_.members_[0].network_.state
    member = ConvNetMember(**{**SMALL, "epochs": 1, "validation_fraction": 0.15}, pretrained=str(bundle))
    assert member.settings.learning_rate == pytest.approx(0.1 * ConvNetMember(**SMALL).settings.learning_rate)
    member.fit(arcs[0][:24], arcs[1][:24])
    assert (member.history_, member.temperature_) == ([], 1.0)
    after = member.network_.state
    kept = {name for name in before if name.endswith(("running_mean", "running_var"))}
    assert len(kept) == 32
    for name, value in before.items():
        assert np.array_equal(after[name], value) == (name in kept or name.endswith("num_batches_tracked")), name


def test_other_pretrained_networks_are_refused(bundle, tmp_path):
    with pytest.raises(WeightsError, match=r"has no member 'convnet'\. It has lightgbm, patch; choose a model"):
        weights_of(pretrained="default")
    with pytest.raises(WeightsError, match=r"or a model with the member 'convnet'\. Got 'nowhere' instead: The model"):
        weights_of(pretrained="nowhere")
    with pytest.raises(WeightsError, match=r"The 'size' parameter must equal .* weights, 32\. Got 48 instead"):
        weights_of(pretrained=str(bundle), size=48)
    with pytest.raises(WeightsError, match=r"The 'pixel_scale' parameter must equal .* weights, 2\. Got 1 instead"):
        weights_of(pretrained=str(bundle), pixel_scale=1.0)
    with pytest.raises(WeightsError, match=r"belong to another network: \d+ layers differ, .*\(24, 4, 5, 5\)"):
        weights_of(pretrained=str(bundle), variant="wide")
    (tmp_path / "parameters.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"parameters\.json .* cannot be read \(TypeError\)\. Save the member again"):
        weights_of(pretrained=str(tmp_path))


def test_the_folder_of_a_member_is_that_of_its_first_fold(detector, tmp_path):
    network = detector.stack_.members_[0]
    detector.stack_.members_[0] = AveragedMember([network, network])
    try:
        detector.save(tmp_path / "model")
    finally:
        detector.stack_.members_[0] = network
    with member_folder(tmp_path / "model", "convnet") as folder:
        assert folder.name == "fold-0"
        assert (folder / "weights.safetensors").is_file()
    with (
        pytest.raises(ModelError, match=r"has no member 'patch'\. It has convnet; choose a model that was trained"),
        member_folder(tmp_path / "model", "patch"),
    ):
        pass


@pytest.mark.slow
def test_the_embedding_keeps_the_contract(bundle):
    check_member(EmbeddingMember(str(bundle)))


def test_few_labels_of_arcs_are_learned(arcs, bundle, tmp_path):
    cutouts, y = arcs
    member = EmbeddingMember(str(bundle))
    embedded = member.prepare(cutouts)
    assert embedded.shape == (240, 192)
    member.fit(embedded[64:104], y[64:104])
    found = member.decision_function(embedded)
    assert roc_auc_score(y[104:], found[104:]) > 0.9
    np.testing.assert_allclose(member.decision_function(cutouts[136:141]), found[136:141], rtol=1e-6)
    member.save(tmp_path)
    (tmp_path / "again").mkdir()
    EmbeddingMember.load(tmp_path).save(tmp_path / "again")
    for name in ("regression.json", "parameters.json", "network/weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_saved_regression_scores_with_its_own_network(arcs, detector, tmp_path):
    detector.save(tmp_path / "model")
    member = EmbeddingMember(str(tmp_path / "model")).fit(arcs[0][:24], arcs[1][:24])
    (tmp_path / "saved").mkdir()
    member.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "model")
    again = EmbeddingMember.load(tmp_path / "saved")
    expected = member.predict_proba(arcs[0][24:30])
    # Folds that are scored together share what the first of them prepares.
    np.testing.assert_allclose(AveragedMember([again, again]).predict_proba(arcs[0][24:30]), expected, rtol=1e-6)
    with pytest.raises(WeightsError, match="Got 'elsewhere' instead"):
        again.set_params(pretrained="elsewhere").prepare(arcs[0][:2])


def test_invalid_inputs_are_refused(arcs, bundle, tmp_path):
    member = EmbeddingMember(str(bundle))
    embedded = np.random.default_rng(0).normal(size=(12, 192)).astype(np.float32)
    with pytest.raises(ValueError, match=r"embeddings of shape \(n, 192\) .*\. Got shape \(12, 7\) instead"):
        member.fit(embedded[:, :7], arcs[1][:12])
    with pytest.raises(ValueError, match=r"a 0 or 1 for each of the 12 cutouts, and both among usable"):
        member.fit(embedded, np.ones(12, dtype=int))
    embedded[1::2] = np.nan
    with pytest.raises(ValueError, match=r"among usable cutouts\. Got shape \(12,\) .* 6 usable cutouts, instead"):
        member.fit(embedded, np.arange(12) % 2)


@pytest.mark.parametrize("name, value", [("scale", [0.0] * 193), ("coef", [1.0] * 3), ("intercept", float("nan"))])
def test_a_damaged_regression_is_refused(arcs, bundle, tmp_path, name, value):
    EmbeddingMember(str(bundle)).fit(arcs[0][:12], arcs[1][:12]).save(tmp_path)
    path = tmp_path / "regression.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(WeightsError, match=r"regression\.json must hold 193 finite numbers each"):
        EmbeddingMember.load(tmp_path)
