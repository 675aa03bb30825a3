"""Tests of networks as members: the contract, what they learn, and their error messages."""

import dataclasses
import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from gridlens_deep import DeviceError, ResNetMember, ViTMember, WeightsError, embed
from gridlens_deep._module import LensModule
from gridlens_deep._networks import Network, build_network
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from gridlens import CutoutSet
from gridlens.errors import GridlensError
from gridlens.testing import check_member

SMALL = {"size": 32, "pixel_scale": 2.0, "epochs": 2, "batch_size": 32, "device": "cpu"}
MEMBERS = [ResNetMember("10", **{**SMALL, "epochs": 1}), ViTMember("tiny", **{**SMALL, "epochs": 1})]


@pytest.mark.slow
@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_members_keep_the_contract(member):
    check_member(member)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross-entropy", "nnpu"])
def test_arcs_are_learned(arcs, loss):
    cutouts, y = arcs
    s = y * (np.random.default_rng(0).random(len(y)) < 0.7) if loss == "nnpu" else y
    member = ResNetMember("10", **{**SMALL, "epochs": 12, "size": 48, "pixel_scale": 1.0}, loss=loss, class_prior=0.4)
    member.fit(cutouts[:180], s[:180], groups=np.arange(180) // 2)
    assert roc_auc_score(y[180:], member.predict_proba(cutouts[180:])[:, 1]) > 0.9
    assert len(member.history_) > 2
    assert 0.05 <= member.temperature_ <= 20.0
    embedded = member.embed(cutouts[:7])
    assert embedded.shape == (7, 128)
    assert np.isfinite(embedded).all()


@pytest.mark.slow
def test_an_interrupted_training_is_resumed(arcs, tmp_path):
    cutouts, y = arcs[0][:64], arcs[1][:64]
    whole = ResNetMember("10", **{**SMALL, "epochs": 3}).fit(cutouts, y)
    folder = tmp_path / "state"
    first = ResNetMember("10", **{**SMALL, "epochs": 3}, checkpoints=str(folder))

    class Cut(Exception):
        pass

    before = LensModule.training_step

    def cut(self, batch, index):
        if self.current_epoch == 2 and index == 1:
            raise Cut
        return before(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LensModule, "training_step", cut)
        with pytest.raises(Cut):
            clone(first).fit(cutouts, y)
    (state,) = folder.glob("*/last.ckpt")
    assert torch.load(state, weights_only=True)["epoch"] == 1  # Two epochs are done, and only the third is lost.
    resumed = clone(first).fit(cutouts, y)
    assert resumed.history_ == pytest.approx(whole.history_, rel=1e-6)
    assert resumed.temperature_ == pytest.approx(whole.temperature_, rel=1e-4)
    np.testing.assert_allclose(
        resumed.predict_proba(cutouts)[:, 1], whole.predict_proba(cutouts)[:, 1], rtol=1e-4, atol=1e-6
    )
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"last\.ckpt cannot be read \(.*Remove its folder"):
        clone(first).fit(cutouts, y)


def pretrained(variant, folder, kind=ResNetMember, **parameters):
    """Return the backbone of a network that starts from the weights in a folder."""
    member = kind(variant, **{**SMALL, **parameters}, pretrained=str(folder))
    return build_network(member.settings).backbone


def test_pretrained_weights_come_from_a_folder(arcs, tmp_path):
    backbone = build_network(ResNetMember("10", **SMALL).settings).backbone
    with torch.no_grad():
        for value in backbone.parameters():
            value.fill_(0.25)
    backbone.save_pretrained(tmp_path / "weights")
    taken = pretrained("10", tmp_path / "weights")
    assert all(bool((value == 0.25).all()) for value in taken.parameters())
    with pytest.raises(WeightsError, match=r"differs in \d+ layers: .*\(.*, not .*\)"):
        pretrained("18", tmp_path / "weights")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"a folder with model.safetensors and config.json"):
        pretrained("10", tmp_path / "empty")


def test_weights_of_other_bands_and_grids_are_adapted(tmp_path):
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(
        num_channels=5, layer_type="basic", depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 64, 128], embedding_size=16
    )
    five = ResNetModel(config)
    five.save_pretrained(tmp_path / "five")
    stem = "embedder.embedder.convolution.weight"
    taken = pretrained("10", tmp_path / "five").state_dict()[stem]
    expected = five.state_dict()[stem].mean(dim=1) * 5 / 3
    for band in range(3):
        torch.testing.assert_close(taken[:, band], expected)
    build_network(ViTMember("tiny", **SMALL).settings).backbone.save_pretrained(tmp_path / "vit")
    wide = pretrained("tiny", tmp_path / "vit", ViTMember, size=64)
    assert wide.embeddings.position_embeddings.shape[1] == 17


def test_saved_weights_of_another_network_are_refused_by_layer(arcs, tmp_path):
    cutouts, y = arcs[0][:32], arcs[1][:32]
    member = ResNetMember("10", **{**SMALL, "epochs": 1}).fit(cutouts, y)
    member.save(tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".safetensors"]
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1  # All files have the same permissions.
    text = (tmp_path / "parameters.json").read_text()
    (tmp_path / "parameters.json").write_text(text.replace('"variant": "10"', '"variant": "18"'))
    with pytest.raises(WeightsError, match=r"belong to another network: .* layers differ, backbone"):
        ResNetMember.load(tmp_path)
    (tmp_path / "parameters.json").write_text(text)
    with pytest.MonkeyPatch.context() as patch, pytest.warns(UserWarning, match="torch finds none here: it scores on"):
        patch.setattr(torch.cuda, "is_available", lambda: False)
        (tmp_path / "parameters.json").write_text(text.replace('"device": "cpu"', '"device": "cuda"'))
        elsewhere = ResNetMember.load(tmp_path)
        np.testing.assert_array_equal(elsewhere.predict_proba(cutouts), member.predict_proba(cutouts))
    (tmp_path / "parameters.json").write_text(text)
    state = load_file(tmp_path / "weights.safetensors")
    stem = "backbone.embedder.embedder.convolution.weight"
    save_file({**state, stem: torch.full_like(state[stem], torch.nan)}, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=rf"must be finite\. 1 layers are not, {stem}"):
        ResNetMember.load(tmp_path)
    save_file(state, tmp_path / "weights.safetensors")
    known = (tmp_path / "state.json").read_text()
    for wrong in ({"temperature": float("nan"), "class_prior": None}, {"temperature": 1.0, "class_prior": 1.5}):
        (tmp_path / "state.json").write_text(json.dumps(wrong))
        with pytest.raises(WeightsError, match="a temperature above 0, and a class prior between 0 and 1"):
            ResNetMember.load(tmp_path)
    (tmp_path / "state.json").write_text(known)
    save_file({**state, stem: state[stem].repeat(1, 2, 1, 1)[:, :5].contiguous()}, tmp_path / "weights.safetensors")
    # The weights are for five bands, but a set of cutouts has three.
    with pytest.raises(WeightsError, match=rf"1 layers differ, {stem} \(\(16, 5, 7, 7\), not \(16, 3, 7, 7\)\)"):
        ResNetMember.load(tmp_path)


def test_labels_match_the_log_odds_and_a_fit_prints_nothing(arcs, capsys):
    cutouts, y = arcs[0][:32], arcs[1][:32]
    member = ResNetMember("10", **{**SMALL, "epochs": 1}).fit(cutouts, y)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    np.testing.assert_array_equal(member.predict(cutouts), member.decision_function(cutouts) > 0)
    assert member.score(cutouts, y) == np.mean(member.predict(cutouts) == y)
    again = pickle.loads(pickle.dumps(member))
    np.testing.assert_array_equal(again.decision_function(cutouts), member.decision_function(cutouts))
    pixels = cutouts.pixels.copy()
    pixels[0] = np.nan
    rejected = CutoutSet(pixels, pixel_scale=cutouts.pixel_scale)
    assert np.isnan(member.decision_function(rejected)[0])
    assert member.predict(rejected)[0] == 0


def test_settings_match_the_parameters_and_are_frozen():
    member = ViTMember(size=64, random_state=None)
    settings = member.settings
    assert (settings.variant, settings.learning_rate, settings.random_state) == ("small", ViTMember.usual_rate, 0)
    own = {"variant", "learning_rate", "random_state"}
    assert all(getattr(settings, name) == value for name, value in member.get_params().items() if name not in own)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.size = 32


def test_a_member_of_version_0_1_loads_under_the_names_of_its_parameters(arcs, tmp_path):
    member = ResNetMember("10", **{**SMALL, "epochs": 1}, n_iter_no_change=3, validation_fraction=0.2)
    member.fit(arcs[0][:32], arcs[1][:32]).save(tmp_path)
    parameters = json.loads((tmp_path / "parameters.json").read_text())
    old = {"n_iter_no_change": "patience", "validation_fraction": "validation"}
    parameters = {old.get(name, name): value for name, value in parameters.items() if name != "verbose"}
    (tmp_path / "parameters.json").write_text(json.dumps(parameters))
    loaded = ResNetMember.load(tmp_path)
    assert loaded.get_params() == member.get_params()
    np.testing.assert_array_equal(loaded.predict_proba(arcs[0][:5]), member.predict_proba(arcs[0][:5]))


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        (
            {"variant": "50"},
            ValueError,
            "'variant' parameter of ResNetMember must be one of '18', '34', '10'. Got '50'",
        ),
        ({"loss": "hinge"}, ValueError, "'loss' parameter must be one of 'cross-entropy', 'nnpu'. Got 'hinge'"),
        ({"loss": "nnpu"}, ValueError, "'class_prior' parameter must be the fraction of lenses"),
        ({"loss": "nnpu", "class_prior": 1.0}, ValueError, "'class_prior' parameter must lie between 0 and 1. Got 1.0"),
        ({"n_devices": 0}, ValueError, "'n_devices' parameter must be 1 or more. Got 0"),
        ({"device": "tpu"}, ValueError, "'device' parameter must be one of 'auto', 'cpu', 'cuda'. Got 'tpu'"),
        ({"turns": 3}, ValueError, "'turns' parameter must be 1, 2, 4 or 8, True for 8 or False for 1. Got 3 instead"),
        ({"pretrained": "/no/such/folder"}, WeightsError, "must be a folder, or a name on the hub"),
    ],
)
def test_invalid_parameters_are_refused(arcs, parameters, error, words):
    with pytest.raises(error, match=words):
        ResNetMember(**{"variant": "10", **SMALL, **parameters}).fit(arcs[0][:16], arcs[1][:16])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is available")
def test_a_missing_gpu_is_reported(arcs):
    with pytest.raises(DeviceError, match=r"torch finds no GPU\. 'auto' uses a GPU if there is one"):
        ResNetMember("10", **{**SMALL, "device": "cuda"}).fit(arcs[0][:16], arcs[1][:16])


def test_too_many_gpus_are_refused(arcs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    member = ResNetMember("10", **{**SMALL, "device": "cuda"}, n_devices=2)
    with pytest.raises(DeviceError, match=r"at most the number of GPUs found by torch, 1\. Got 2 instead"):
        member.fit(arcs[0][:16], arcs[1][:16])


def test_invalid_inputs_are_refused(arcs):
    member = ResNetMember("10", **SMALL)
    with pytest.raises(ValueError, match=r"'y' parameter must contain a 0 or 1 .* with the values \[1\] instead"):
        member.fit(arcs[0][:16], np.ones(16, dtype=int))
    with pytest.raises(TypeError, match=r"must be a CutoutSet\. Got ndarray instead"):
        member.fit(np.zeros((4, 315)), np.arange(4) % 2)
    broken = arcs[0].pixels[:16].copy()
    broken[1::2] = np.nan
    with pytest.raises(ValueError, match=r"usable cutouts of both labels\. Got 8 usable ones of 16"):
        member.fit(CutoutSet(broken), np.arange(16) % 2)


def test_a_batch_that_exceeds_the_memory_is_halved(arcs, monkeypatch):
    cutouts, y = arcs[0][:32], arcs[1][:32]
    member = ResNetMember("10", **{**SMALL, "epochs": 1}).fit(cutouts, y)
    expected = member.predict_proba(cutouts)
    # A seventh of the 32 rows is held out: 27 are used for training, in batches of 27, 13 and 6.
    most, before = 8, Network.embed

    def embedded(self, images):
        if len(images) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return before(self, images)

    monkeypatch.setattr(Network, "embed", embedded)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    with pytest.warns(UserWarning, match="scoring 16 cutouts at a time"):
        p = member.predict_proba(cutouts)
    np.testing.assert_allclose(p, expected, rtol=1e-4)
    with pytest.warns(UserWarning, match="training continues with batches of 6"):
        clone(member).fit(cutouts, y)
    most = 0
    with warnings.catch_warnings(), pytest.raises(DeviceError, match="too little memory for a single cutout of 32 px"):
        warnings.simplefilter("ignore")
        member.predict_proba(cutouts)
    with warnings.catch_warnings(), pytest.raises(DeviceError, match="too little memory for a single cutout of 32 px"):
        warnings.simplefilter("ignore")
        clone(member).fit(cutouts, y)


def test_embeddings_come_from_a_member_or_a_model_that_contains_one(arcs):
    member = ResNetMember("10", **{**SMALL, "epochs": 1}).fit(arcs[0][:32], arcs[1][:32])
    np.testing.assert_array_equal(embed(arcs[0][:5], member), member.embed(arcs[0][:5]))
    with pytest.raises(GridlensError, match=r"must be a network, or a model that contains one\. Got 'default'"):
        embed(arcs[0][:5], "default")
