"""Tests of networks in onnxruntime: the same numbers as torch, and the messages about missing packages."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from gridlens_deep import ConvNetMember, DeviceError, WeightsError
from gridlens_deep import _fitted as fitted
from gridlens_deep._fitted import FittedNetwork, runtime_of
from gridlens_deep._layers import PLANS, convnet_shapes
from gridlens_deep._onnx_format import node
from gridlens_deep._onnx_graph import convnet_model
from gridlens_deep._onnx_runtime import OnnxRuntime
from gridlens_deep._orbit import orbit, turned_array
from gridlens_deep._weights import write_weights
from scipy.signal import correlate2d

from gridlens import CutoutSet
from gridlens.errors import GridlensError

pytest.importorskip("onnxruntime")
pytest.importorskip("safetensors")

WITHOUT_TORCH = """
import sys
from pathlib import Path


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Blocked())
from gridlens import CutoutSet
from gridlens_deep import ConvNetMember

folder = Path(sys.argv[1])
member = ConvNetMember.load(folder)
print(member.decision_function(CutoutSet.read(folder / "skies.npz")).tolist(), "lightning" in sys.modules)
"""
SMALL = {"variant": "compact", "size": 48, "pixel_scale": 4.0 / 3.0, "device": "cpu"}
WIDTHS = {"equivariant": 24, "compact": 192, "wide": 256}


def made(variant="compact", n_channels=4):
    """Return random weights of a network, with normalisation statistics that change the result."""
    rng = np.random.default_rng(0)
    state = {}
    for name, shape in convnet_shapes(n_channels, PLANS[variant]).items():
        if name.endswith("num_batches_tracked"):
            state[name] = np.array(7)
        elif len(shape) == 4:
            state[name] = rng.normal(scale=np.sqrt(2.0 / np.prod(shape[1:])), size=shape).astype(np.float32)
        elif name.endswith(("running_var", "norm.weight", "1.weight")):
            state[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        else:
            state[name] = rng.normal(scale=0.3, size=shape).astype(np.float32)
    return state


def member_with(state, **parameters):
    member = ConvNetMember(**{**SMALL, **parameters})
    member.network_, member.temperature_, member.class_prior_ = FittedNetwork(state), 1.5, None
    member.classes_ = np.array([0, 1])
    return member


@pytest.fixture
def only(monkeypatch):
    """Return a function that hides packages from the members; the tests can still use imported packages."""

    def hide(*absent):
        monkeypatch.setattr(fitted, "_is_installed", lambda module: module not in absent)

    return hide


@pytest.fixture(scope="module")
def skies():
    """Return plain, constant, noisy, bright and negative images, one of which is rejected."""
    rng = np.random.default_rng(5)
    pixels = rng.normal(size=(8, 64, 64, 3)).astype(np.float32)
    pixels[1] = 1.0 + 1e-3 * pixels[1]
    pixels[2] *= 100.0
    pixels[3, 20:40, 25:45] += 1e5
    pixels[4, 30:33] -= 50.0
    pixels[5, 10:20, 10:30] = np.nan
    pixels[6] = np.nan
    return CutoutSet(pixels, pixel_scale=1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "turns"), [("compact", 8), ("wide", 2), ("equivariant", 8)])
def test_both_runtimes_give_the_same_scores(skies, only, variant, turns):
    pytest.importorskip("torch")
    member = member_with(made(variant), variant=variant, turns=turns)
    found = []
    for absent in ("torch", "onnxruntime"):
        only(absent)
        assert runtime_of(member.settings) != absent
        found.append((member.decision_function(skies), *member.predict_with_spread(skies), member.embed(skies)))
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(np.isnan(first), np.isnan(second))
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)
    log_odds, _, spread, embedded = found[0]
    np.testing.assert_allclose(log_odds, found[1][0], rtol=1e-5, atol=1e-4)
    assert np.nanstd(log_odds) > 0.1
    assert np.nanmin(spread) > 0.0
    assert embedded.shape == (8, WIDTHS[variant])


@pytest.mark.parametrize("version", range(8))
def test_an_equivariant_network_is_invariant_to_rotations_and_flips(version):
    member = member_with(made("equivariant"), variant="equivariant")
    assert member.settings.versions == (0,)
    images = np.random.default_rng(3).normal(size=(3, 4, 48, 48)).astype(np.float32)
    runtime = OnnxRuntime(fitted.onnx_model(member.network_.state, member.settings), 1)
    expected, found = runtime.embeddings(images, (0, version))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.std(axis=0).max() > 0.1


@pytest.mark.parametrize("lifts", [True, False])
@pytest.mark.parametrize("n_copies", [4, 8])
def test_copies_of_a_filter_are_equivariant(n_copies, lifts):
    rng = np.random.default_rng(0)
    n_channels = 3 if lifts else 2 * n_copies
    weights, image = (rng.normal(size=(n_channels, size, size)) for size in (3, 9))
    copies = weights.ravel()[orbit(n_channels, 3, n_copies, lifts=lifts)].reshape(n_copies, *weights.shape)
    np.testing.assert_array_equal(copies[0], weights)

    def maps(image):
        return [sum(map(correlate2d, image, copy, ["same"] * n_channels)) for copy in copies]

    # Index of the flip or turn that equals two of them in succession.
    square = np.arange(4).reshape(2, 2)
    turns = [turned_array(square, k).tolist() for k in range(n_copies)]
    for version in range(n_copies):
        leads_to = [turns.index(turned_array(np.array(one), version).tolist()) for one in turns]
        turned = turned_array(image, version)
        if not lifts:
            turned = turned.reshape(n_copies, 2, 9, 9)[np.argsort(leads_to)].reshape(image.shape)
        found = maps(turned)
        for k, plain in enumerate(maps(image)):
            np.testing.assert_allclose(found[leads_to[k]], turned_array(plain, version), atol=1e-12)


@pytest.mark.parametrize("version", range(8))
def test_each_turn_matches_torch(version):
    torch = pytest.importorskip("torch")
    from gridlens_deep._augment import turned

    images = np.random.default_rng(version).normal(size=(2, 4, 6, 6)).astype(np.float32)
    expected = turned(torch.from_numpy(images), version).numpy()
    np.testing.assert_array_equal(turned_array(images, version), expected)


@pytest.mark.parametrize("variant", WIDTHS)
def test_the_layers_match_the_module(variant):
    pytest.importorskip("torch")
    from gridlens_deep._networks import build_network

    state = build_network(ConvNetMember(**{**SMALL, "variant": variant}).settings).state_dict()
    assert convnet_shapes(4, PLANS[variant]) == {name: tuple(value.shape) for name, value in state.items()}


def test_fewer_turns_are_a_subset_of_the_eight(skies):
    state = made()
    seen = {}
    for turns, number in [(True, 8), (False, 1), (1, 1), (2, 2), (4, 4), (8, 8)]:
        member = member_with(state, turns=turns)
        assert len(member.settings.versions) == number
        seen[repr(turns)] = member.decision_function(skies[:3])
    np.testing.assert_array_equal(seen["True"], seen["8"])
    np.testing.assert_array_equal(seen["False"], seen["1"])
    # Four turns of a turned image are the same four images.
    four = member_with(state, turns=4)
    images = four.prepare(skies[:3])
    runtime = OnnxRuntime(fitted.onnx_model(state, four.settings), 1)
    read = images.read(np.arange(3))
    again = np.ascontiguousarray(np.rot90(read, 1, (2, 3)))
    means = [np.mean(runtime.embeddings(one, four.settings.versions), axis=0) for one in (read, again)]
    np.testing.assert_allclose(means[0], means[1], atol=1e-5)


def test_scores_do_not_depend_on_the_batch_nor_on_the_threads(skies):
    state = made()
    whole = member_with(state).decision_function(skies)
    for parameters in ({"batch_size": 1}, {"batch_size": 3}, {"n_jobs": 2}):
        np.testing.assert_allclose(member_with(state, **parameters).decision_function(skies), whole, atol=1e-6)


@pytest.mark.slow
def test_a_saved_member_scores_without_torch(skies, tmp_path):
    member = member_with(made())
    expected = member.decision_function(skies)
    member.save(tmp_path)
    np.savez(tmp_path / "skies.npz", pixels=skies.pixels[:2], pixel_scale=skies.pixel_scale[:2])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    values, lightning = done.stdout.strip().rsplit(" ", 1)
    assert lightning == "False"
    np.testing.assert_allclose(json.loads(values), expected[:2], atol=1e-6)


def test_a_session_is_not_pickled(skies):
    member = member_with(made())
    expected = member.decision_function(skies)
    assert member.network_._runtimes
    again = pickle.loads(pickle.dumps(member))
    assert not again.network_._runtimes
    np.testing.assert_array_equal(again.decision_function(skies), expected)


def test_an_exported_network_is_one_standalone_file(tmp_path):
    import onnxruntime

    state = made("compact", 3)
    member = member_with(state)
    member.blue_map = False  # three channels
    member.export(tmp_path / "network.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).normal(size=(5, 3, 48, 48)).astype(np.float32)
    embedded, log_odds = session.run(["embedding", "log_odds"], {"images": images})
    weights, bias = member.network_.last
    assert embedded.shape == (5, 192)
    np.testing.assert_allclose(log_odds, embedded @ weights + bias, rtol=1e-5, atol=1e-5)


def test_weights_of_another_network_are_refused_without_torch(only, tmp_path):
    only("torch")
    state = made()
    member_with(state).save(tmp_path)
    weights = tmp_path / "weights.safetensors"
    stem = "backbone.stem.0.weight"
    for changed, words in (
        (made("wide"), r"belong to another network: \d+ layers differ, backbone\.stem\.0\.weight \(\(24, 4, 5, 5\)"),
        ({**state, stem: np.full_like(state[stem], np.nan)}, rf"must be finite\. 1 layers are not, {stem}"),
        ({**state, "more": np.zeros(3)}, r"1 layers differ, more \(unknown\)"),
        ({name: state[name] for name in state if name != stem}, rf"1 layers differ, {stem} \(missing\)"),
    ):
        write_weights(changed, weights)
        with pytest.raises(WeightsError, match=words):
            ConvNetMember.load(tmp_path)
    write_weights(state, weights)
    content = weights.read_bytes()
    for damaged, kind in ((content[:200], "SafetensorError"), (content.replace(b'"F32"', b'"F31"'), "SafetensorError")):
        weights.write_bytes(damaged)
        with pytest.raises(WeightsError, match=rf"must be a safetensors file\. Got .*cannot be read \({kind}\)"):
            ConvNetMember.load(tmp_path)


def test_half_precision_weights_are_loaded(skies, tmp_path):
    state = {name: value.astype(np.float16) if value.dtype.kind == "f" else value for name, value in made().items()}
    member = member_with(state)
    member.save(tmp_path)
    loaded = ConvNetMember.load(tmp_path)
    assert loaded.network_.state["last.weight"].dtype == np.float32
    assert np.isfinite(loaded.decision_function(skies[:2])).all()


def test_missing_packages_are_reported(skies, only, tmp_path):
    member = member_with(made())
    member.save(tmp_path)
    only("torch", "onnxruntime")
    for call in (lambda: ConvNetMember.load(tmp_path), lambda: member.decision_function(skies[:1])):
        with pytest.raises(DeviceError, match=r"onnxruntime or torch, but neither .*gridlens\[onnx\]'`; the model"):
            call()
    only("torch")
    with pytest.raises(DeviceError, match=r"must be 'auto' or 'cpu' if torch is not installed\. Got 'cuda'"):
        member_with(made(), device="cuda").decision_function(skies[:1])
    (tmp_path / "parameters.json").write_text(json.dumps({**member.get_params(), "device": "cuda"}))
    with pytest.warns(UserWarning, match="torch finds none here: it scores on the CPU"):
        assert ConvNetMember.load(tmp_path).device == "auto"


def test_a_fit_without_torch_says_what_to_install(skies, monkeypatch):
    monkeypatch.setitem(sys.modules, "gridlens_deep._training", None)
    with pytest.raises(DeviceError, match=r"'convnet' requires torch and lightning for fitting, .*gridlens\[deep\]"):
        ConvNetMember(**SMALL).fit(skies, np.arange(8) % 2)


def test_an_onnxruntime_without_the_operators_is_reported(skies, only, monkeypatch):
    member = member_with(made())
    monkeypatch.setattr("gridlens_deep._onnx_format.OPSET", 999)
    with pytest.raises(GridlensError, match=r"onnxruntime [\d.]+ cannot run the network, .* opset 13 \("):
        member.decision_function(skies[:1])
    only()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(GridlensError, match="onnxruntime is installed but cannot be imported"):
        member.decision_function(skies[:1])


def test_exported_models_are_byte_identical():
    state = made()
    assert convnet_model(state, 4, PLANS["compact"], 48) == convnet_model(state, 4, PLANS["compact"], 48)
    # 300 takes two groups of seven bits, the lower group first.
    assert node("Relu", ["a"], "b", axis=300).endswith(b"\x0a\x04axis\x18\xac\x02\xa0\x01\x02")
