"""Tests of the comparison of networks: turned filters, bands without the BCG, paired scenes, rows of several files."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from _arch_images import Inputs, Pictures, without_bcg  # noqa: E402
from _arch_networks import NETWORKS, build  # noqa: E402
from _arch_pairs import paired_scene  # noqa: E402

from gridlens.simulate import SceneSettings  # noqa: E402

SOFTENING = 3.0


def test_c4_networks_are_invariant_to_quarter_turns():
    network = build("c4", 4, 32)
    images = torch.randn(3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network(images)  # sets the statistics of the normalisation
        network.eval()
        found = [network(torch.rot90(images, turns, (2, 3))) for turns in range(4)]
        flipped = network(images.flip(3))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-5)
    assert (flipped - found[0]).abs().max() > 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_from_all_channels(name):
    network = build(name, 7, 32)
    images = torch.randn(4, 7, 32, 32, requires_grad=True)
    network(images).sum().backward()
    assert (images.grad.abs().amax(dim=(0, 2, 3)) > 0).all()


def test_a_smooth_ellipse_is_subtracted_but_not_its_neighbour():
    y, x = np.indices((64, 64)) - 31.5
    bcg = 500.0 * np.exp(-np.hypot(x, y / 0.6) / 2.0)
    neighbour = 20.0 * np.exp(-0.5 * (np.hypot(x - 20.0, y) / 1.5) ** 2)
    sky = np.random.default_rng(0).normal(size=(3, 64, 64))
    images = np.arcsinh((sky + bcg + neighbour) / SOFTENING)[None]
    (left,) = SOFTENING * np.sinh(without_bcg(images, 1.0))
    ring = (np.hypot(x, y) > 3.0) & (np.hypot(x, y) < 12.0)
    assert np.abs(left[:, ring]).mean() < 0.2 * bcg[ring].mean()
    assert left[:, neighbour > 10.0].mean() > 0.8 * neighbour[neighbour > 10.0].mean()


def test_pixels_of_zero_stay_zero():
    images = np.ones((1, 3, 32, 32))
    images[..., :4] = 0.0
    assert not without_bcg(images, 1.0)[..., :4].any()


@pytest.mark.slow
def test_a_pair_has_one_lens_and_two_sources():
    first, second = (paired_scene(5, 1, SceneSettings(varied_fraction=0.0, lens_fraction=1.0), k) for k in (0, 1))
    for name in ("theta_e", "halo_angle", "bcg_mag_r", "bcg_x", "impostor"):
        assert first.truth[name] == second.truth[name]
    assert first.truth["source_mag_r"] != second.truth["source_mag_r"]
    # Without their arcs, the scenes differ only by their noise, and by artefacts, which are drawn after it.
    left = [(scene.pixels - scene.arc)[54:74, 54:74, 1] for scene in (first, second)]
    assert not np.array_equal(*left)
    assert np.corrcoef(left[0].ravel(), left[1].ravel())[0, 1] > 0.98


def test_rows_of_several_files_are_read_in_the_requested_order(tmp_path):
    values = np.arange(5, dtype=np.float16)[:, None, None, None] * np.ones((1, 4, 2, 2), dtype=np.float16)
    paths = (tmp_path / "a.npy", tmp_path / "b.npy")
    np.save(paths[0], values[:3])
    np.save(paths[1], values[3:])
    pictures = Pictures({2: paths}, np.zeros(5), np.zeros(5), np.ones(5, dtype=bool))
    seen = pictures.seen(Inputs(size=2, blue_map=False))
    rows = np.array([4, 0, 3, 2])
    assert seen.read(rows).shape == (4, 3, 2, 2)
    assert seen.read(rows)[:, 0, 0, 0].tolist() == rows.tolist()
