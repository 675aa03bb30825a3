"""Tests of the compact network: what it learns, mixed precision, and weights of other networks."""

import json

import numpy as np
import pytest
import torch
from gridlens_deep import ConvNetMember, Grid, ResNetMember, WeightsError, images_of
from gridlens_deep import _devices as devices
from gridlens_deep._augment import turned
from gridlens_deep._images import measured_images
from gridlens_deep._networks import build_network
from gridlens_deep._settings import Regime
from gridlens_deep._store import Images
from gridlens_deep._torch_runtime import TorchRuntime
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from gridlens import CutoutSet
from gridlens.stacking import AveragedMember
from gridlens.testing import check_member

SMALL = {"variant": "compact", "size": 48, "pixel_scale": 4.0 / 3.0, "epochs": 2, "batch_size": 32, "device": "cpu"}


@pytest.fixture(scope="module")
def small(arcs):
    """Return a member after one epoch on 48 cutouts."""
    return ConvNetMember(**{**SMALL, "epochs": 1}).fit(arcs[0][:48], arcs[1][:48])


@pytest.fixture(scope="module")
def learned(arcs):
    """Return a member that has learned the arcs, with the weights of the last epoch."""
    cutouts, y = arcs
    wanted = {**SMALL, "variant": "equivariant", "epochs": 8}
    return ConvNetMember(**wanted, validation_fraction=0.0).fit(cutouts[:180], y[:180])


@pytest.mark.slow
def test_the_member_keeps_the_contract():
    check_member(ConvNetMember(**{**SMALL, "variant": None, "size": 32, "pixel_scale": 2.0, "epochs": 1}))


@pytest.mark.slow
def test_arcs_are_learned_by_the_attribution_map(arcs, learned):
    cutouts, y = arcs
    assert roc_auc_score(y[180:], learned.predict_proba(cutouts[180:])[:, 1]) > 0.9
    lens = 180 + int(np.argmax(y[180:] * learned.decision_function(cutouts[180:])))
    attribution = learned.attribution(cutouts[lens : lens + 1])
    assert attribution.shape == (1, *cutouts.pixels.shape[1:3])
    assert attribution.max() > 0.0


def test_bfloat16_is_used_where_supported_and_gives_similar_scores(arcs, small, monkeypatch):
    found = []
    for has_bfloat16 in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has_bfloat16: has)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert devices.is_mixed(torch.device("cpu"), ConvNetMember.regime) == has_bfloat16
        assert not devices.is_mixed(torch.device("cpu"), Regime())
        trained = ConvNetMember(**{**SMALL, "epochs": 1}).fit(arcs[0][:48], arcs[1][:48])
        # A fitted member gives the same scores with and without bfloat16, bit for bit.
        found.append((trained.network_.state, small.decision_function(arcs[0][:32])))
    np.testing.assert_array_equal(found[0][1], found[1][1])
    weights = [state["last.weight"] for state, _ in found]
    np.testing.assert_allclose(weights[0], weights[1], atol=0.02)
    assert not np.array_equal(weights[0], weights[1])
    images = torch.from_numpy(images_of(arcs[0][:32], small.settings.grid))
    network = TorchRuntime(small.network_.state, small.settings).network
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = network(images)
    assert mixed.dtype == torch.float32
    with torch.inference_mode():
        torch.testing.assert_close(mixed, network(images), rtol=0.02, atol=0.004)


def test_the_networks_are_as_large_as_documented():
    for variant, expected in (("equivariant", 39_621), ("compact", 316_257), ("wide", 654_353)):
        network = build_network(ConvNetMember(variant).settings)
        assert sum(value.numel() for value in network.parameters()) == expected
    assert ConvNetMember().settings.grid == Grid(96, 64.0 / 96.0, blue_map=True)


@pytest.mark.parametrize("version", range(1, 8))
def test_a_turned_cutout_scores_the_same(small, version):
    images = small.prepare(CutoutSet(np.random.default_rng(1).normal(size=(4, 64, 64, 3)), pixel_scale=1.0))
    read = torch.from_numpy(images.read(np.arange(4)))
    network = TorchRuntime(small.network_.state, small.settings).network
    with torch.inference_mode():
        both = (read, turned(read, version))
        expected, found = (torch.stack([network(turned(seen, k)) for k in range(8)]).mean(dim=0) for seen in both)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_saved_member_contains_no_code_and_scores_the_same(arcs, small, tmp_path):
    small.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parameters.json", "state.json", "weights.safetensors"]
    loaded = ConvNetMember.load(tmp_path)
    np.testing.assert_array_equal(loaded.decision_function(arcs[0][:9]), small.decision_function(arcs[0][:9]))
    p, spread = loaded.predict_with_spread(arcs[0][:9])
    np.testing.assert_allclose(p, small.predict_proba(arcs[0][:9]), atol=1e-6)
    assert (spread > 0.0).all()
    assert loaded.embed(arcs[0][:9]).shape == (9, 192)


def test_a_member_saved_without_a_variant_loads_its_network(arcs, small, tmp_path):
    small.save(tmp_path)
    parameters, state = tmp_path / "parameters.json", tmp_path / "state.json"
    parameters.write_text(json.dumps({**json.loads(parameters.read_text()), "variant": None}))
    stored = json.loads(state.read_text())
    assert stored.pop("variant") == "compact"
    for written in (stored, {**stored, "variant": "compact"}):
        state.write_text(json.dumps(written))
        loaded = ConvNetMember.load(tmp_path)
        assert loaded.variant == "compact"
        np.testing.assert_array_equal(loaded.decision_function(arcs[0][:4]), small.decision_function(arcs[0][:4]))


def test_an_equivariant_network_requires_sizes_divisible_by_16():
    with pytest.raises(ValueError, match=r"'size' parameter of the variant 'equivariant' must be .* 16, .*40"):
        _ = ConvNetMember(size=40).settings
    assert ConvNetMember("compact", size=40).settings.versions == tuple(range(8))


def test_training_starts_from_a_saved_member(arcs, small, tmp_path):
    small.save(tmp_path)
    begun = build_network(ConvNetMember(**SMALL, pretrained=str(tmp_path)).settings)
    for name, value in small.network_.state.items():
        np.testing.assert_array_equal(begun.state_dict()[name].numpy(), value)
    with pytest.raises(WeightsError, match=r"belong to another network: \d+ layers differ, .*\(24, 4, 5, 5\)"):
        ConvNetMember(**{**SMALL, "variant": "wide"}, pretrained=str(tmp_path)).fit(arcs[0][:16], arcs[1][:16])
    with pytest.raises(WeightsError, match=r"a folder written by `save` of a member, or a model .*none' instead: The"):
        ConvNetMember(**SMALL, pretrained=str(tmp_path / "none")).fit(arcs[0][:16], arcs[1][:16])


def test_weights_of_another_network_are_refused(arcs, small, tmp_path):
    small.save(tmp_path)
    weights, parameters = tmp_path / "weights.safetensors", tmp_path / "parameters.json"
    text, state = parameters.read_text(), load_file(weights)
    parameters.write_text(json.dumps({**json.loads(text), "variant": "wide"}))
    with pytest.raises(WeightsError, match=r"belong to another network: \d+ layers differ, backbone\.stem"):
        ConvNetMember.load(tmp_path)
    parameters.write_text(text)
    stem = "backbone.stem.0.weight"
    save_file({**state, stem: torch.full_like(state[stem], torch.nan)}, weights)
    with pytest.raises(WeightsError, match=rf"must be finite\. 1 layers are not, {stem}"):
        ConvNetMember.load(tmp_path)
    resnet = build_network(ResNetMember("10", size=32).settings)
    save_file({name: value.contiguous() for name, value in resnet.state_dict().items()}, weights)
    with pytest.raises(WeightsError, match=r"belong to another network: \d+ layers differ"):
        ConvNetMember.load(tmp_path)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"must be a safetensors file\. Got .*cannot be read \(SafetensorError\)"):
        ConvNetMember.load(tmp_path)


def test_networks_with_the_same_input_share_their_images(arcs):
    cutouts = arcs[0][:12]
    compact, wide = ConvNetMember(**SMALL), ConvNetMember(**{**SMALL, "variant": "wide"})
    images = compact.prepare(cutouts)
    assert wide.prepare(cutouts) is images
    # A copy of the cutouts shares the images; other pixels, another grid or another input do not.
    assert wide.prepare(cutouts[:]) is images
    changed = CutoutSet(2.0 * cutouts.pixels, pixel_scale=cutouts.pixel_scale)
    others = [
        wide.prepare(changed),
        wide.prepare(cutouts[:11]),
        ConvNetMember(**{**SMALL, "size": 32}).prepare(cutouts),
        ResNetMember("10", size=48, pixel_scale=4.0 / 3.0).prepare(cutouts),
    ]
    assert len({other.path for other in others} | {images.path}) == 5
    path = images.path
    del images
    assert not path.exists()


def test_averaged_folds_prepare_the_images_once(arcs, small, monkeypatch):
    prepared = []
    monkeypatch.setattr(
        "gridlens_deep._store.measured_images", lambda *args: prepared.append(len(args[0])) or measured_images(*args)
    )
    averaged = AveragedMember([small, small, small])
    p, spread = averaged.predict_with_spread(arcs[0][:9])
    assert prepared == [9]
    np.testing.assert_allclose(p, small.predict_proba(arcs[0][:9]), atol=1e-9)
    np.testing.assert_allclose(spread, 0.0, atol=1e-9)


def test_images_have_one_plane_per_band_and_the_blue_map(arcs):
    images = Images.of(arcs[0][:3], Grid(48, 4.0 / 3.0, blue_map=True))
    assert images.read(np.arange(3)).shape == (3, 4, 48, 48)
