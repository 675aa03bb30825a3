"""Tests of drawn scenes: the meaning of a seed, and that only the arcs distinguish lenses from other scenes."""

import math

import numpy as np
import pytest
from scipy import stats

from gridlens.cutouts import get_survey
from gridlens.cutouts._reject import reject_reason
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.simulate import TRUTH_COLUMNS, SceneSettings, simulate_scene
from gridlens.simulate import _canvas as canvas_module
from gridlens.simulate import _scene as scene_module
from gridlens.simulate._canvas import Geometry, flux_of
from gridlens.simulate._observe import Conditions, add_noise, draw_conditions, photon_noise, sky_noise
from gridlens.simulate._scene import arc_truth

LENSES, OTHERS = SceneSettings(lens_fraction=1.0), SceneSettings(lens_fraction=0.0)
ARC_NUMBERS = [
    "theta_e",
    "theta_e_halo",
    "halo_axis_ratio",
    "halo_angle",
    "shear",
    "n_sources",
    "source_redshift",
    "source_mag_r",
    "source_gr",
    "source_ri",
    "magnification",
    "arc_mag_r",
    "arc_snr",
    "arc_length",
    "arc_width",
    "arc_distance",
]

# Quantities measured on the arcs: their last digits depend on the code of the lens.
MEASURED = ("magnification", "arc_mag_r", "arc_snr", "arc_length", "arc_width", "arc_distance")


def same_truth(one, other):
    """Return whether two rows agree; NaN equals NaN."""
    return one.keys() == other.keys() and all(
        one[name] == other[name] or (one[name] != one[name] and other[name] != other[name]) for name in one
    )


@pytest.fixture(scope="module")
def lenses():
    return [simulate_scene(11, index, LENSES) for index in range(8)]


@pytest.fixture(scope="module")
def others():
    return [simulate_scene(11, index, OTHERS) for index in range(5)]


def test_a_scene_depends_only_on_its_seed_and_number(lenses):
    for index in (5, 0, 3):
        again = simulate_scene(11, index, LENSES)
        np.testing.assert_array_equal(again.pixels, lenses[index].pixels)
        np.testing.assert_array_equal(again.arc, lenses[index].arc)
        assert same_truth(again.truth, lenses[index].truth)


def test_scenes_differ_between_seeds_and_numbers(lenses):
    mags = {scene.truth["bcg_mag_r"] for scene in lenses} | {simulate_scene(12, 0, LENSES).truth["bcg_mag_r"]}
    assert len(mags) == 9


def test_pixels_and_truth_agree(lenses, others):
    for scene in lenses + others:
        truth, size = scene.truth, scene.pixels.shape[0]
        assert tuple(truth) == TRUTH_COLUMNS
        assert scene.pixels.shape == scene.arc.shape == (size, size, 3)
        assert scene.pixels.dtype == scene.arc.dtype == np.float32
        assert (truth["size"], truth["pixel_scale"]) == (size, scene.pixel_scale)
        assert (truth["bcg_x"], truth["bcg_y"]) == scene.bcg_xy
        assert np.hypot(*(np.array(scene.bcg_xy) - 0.5 * (size - 1))) * scene.pixel_scale < 0.5
        assert truth["survey"] in SIMULATED_SURVEYS
        assert reject_reason(scene.pixels, scene.bcg_xy, scene.pixel_scale) == ""
        if not truth["varied"]:
            assert (size, scene.pixel_scale) == (128, 0.5)
        else:
            assert 0.19 <= scene.pixel_scale <= 0.7
            assert 29.9 <= size * scene.pixel_scale <= 90.1


def test_a_lens_has_arcs_with_truth(lenses):
    for scene in lenses:
        truth = scene.truth
        assert (truth["label"], truth["kind"]) == (1, "galaxy-cluster")
        assert 8.0 <= truth["theta_e_halo"] <= 32.0
        # Members enlarge the critical curve.
        assert 0.8 * truth["theta_e_halo"] < truth["theta_e"] < 1.7 * truth["theta_e_halo"] + 4.0
        assert truth["source_redshift"] > truth["redshift"] or math.isnan(truth["redshift"])
        assert truth["arc_mag_r"] == pytest.approx(27.0 - 2.5 * math.log10(scene.arc[..., 1].sum()), abs=1e-3)
        assert np.isnan(truth["core"]) != np.isnan(truth["scale_radius"])
    assert np.median([scene.truth["magnification"] for scene in lenses]) > 2.0


def test_a_scene_without_a_lens_has_no_arc_and_no_arc_truth(others):
    for scene in others:
        assert (scene.truth["label"], scene.truth["kind"]) == (0, "none")
        assert not scene.arc.any()
        assert all(np.isnan(scene.truth[name]) for name in ARC_NUMBERS)


def test_arcs_of_one_source_have_one_colour():
    """The seeing differs between bands, but does not change the colour of the light as a whole."""
    found = 0
    for index in range(40):
        scene = simulate_scene(11, index, SceneSettings(("lsst",), lens_fraction=1.0, varied_fraction=0.0))
        if scene.truth["n_sources"] > 1 or scene.truth["arc_mag_r"] > 24.0:
            continue
        found += 1
        g, r, i = scene.arc.reshape(-1, 3).astype(float).sum(axis=0)
        assert -2.5 * math.log10(g / r) == pytest.approx(scene.truth["source_gr"], abs=0.03)
        assert -2.5 * math.log10(r / i) == pytest.approx(scene.truth["source_ri"], abs=0.03)
        if found == 3:
            return
    pytest.fail("no scene with a single source")


def test_cluster_cluster_scenes():
    scene = simulate_scene(4, 1, SceneSettings(lens_fraction=1.0, varied_fraction=0.0, cluster_cluster=1.0))
    assert scene.truth["kind"] == "cluster-cluster"
    assert scene.pixels.shape == (192, 192, 3)
    assert scene.truth["theta_e_halo"] >= 20.0
    assert scene.truth["n_sources"] >= 6


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [{"varied_fraction": 0.0}, {"varied_fraction": 1.0}, {"cluster_cluster": 1.0}])
def test_scenes_match_lenstronomy(kwargs):
    pytest.importorskip("lenstronomy")
    from lenstronomy_scenes import reference_scene

    settings = SceneSettings(lens_fraction=1.0, **kwargs)
    for index in range(4):
        scene, reference = simulate_scene(31, index, settings), reference_scene(31, index, settings)
        drawn = {name: scene.truth[name] for name in TRUTH_COLUMNS if name not in MEASURED}
        assert same_truth(drawn, {name: reference.truth[name] for name in drawn})
        assert scene.arc.sum(dtype=float) == pytest.approx(reference.arc.sum(dtype=float), rel=1e-3)
        assert scene.truth["magnification"] == pytest.approx(reference.truth["magnification"], rel=0.01)
        # Differences of neighbours give the sky rms, at least a quarter of which is left where noise is correlated.
        rms = np.nanmedian(np.abs(np.diff(scene.pixels.astype(float), axis=0)), axis=(0, 1)) / 0.954
        assert np.nanmax(np.abs(scene.pixels.astype(float) - reference.pixels) / rms) < 0.02


@pytest.fixture
def truths(monkeypatch):
    """Return a function that makes rows of truth quickly: the contents of the scenes are drawn, but not rendered."""
    for name in ("add_sersic", "add_arc"):
        monkeypatch.setattr(canvas_module, name, lambda *args: None)
    monkeypatch.setattr(canvas_module.Canvas, "observe", lambda self, *args: np.zeros((3, *[self.geometry.size] * 2)))
    monkeypatch.setattr(scene_module, "draw_lensed", lambda *args: 1.0)
    monkeypatch.setattr(scene_module, "critical_radius", lambda *args: (1.0, np.empty((0, 2))))
    return lambda n, **settings: [simulate_scene(21, index, SceneSettings(**settings)).truth for index in range(n)]


def test_lens_fraction(truths):
    assert 20 <= sum(row["label"] for row in truths(100, lens_fraction=0.3)) <= 40


@pytest.mark.slow
def test_clusters_and_skies_do_not_differ_between_lenses_and_others(truths):
    """Richness, seeing, depth and the BCG must not reveal a lens."""
    rows = truths(300)
    lens, other = ([row for row in rows if row["label"] == label] for label in (1, 0))
    assert min(len(lens), len(other)) > 120
    for name in ("richness", "seeing", "depth", "bcg_mag_r", "redshift", "pixel_scale", "log_mass"):
        one, two = ([row[name] for row in part if row[name] == row[name]] for part in (lens, other))
        assert stats.ks_2samp(one, two).pvalue > 1e-3, name
    for name in ("impostor", "artefact", "varied"):
        one, two = (np.mean([bool(row[name]) for row in part]) for part in (lens, other))
        # The limit is more than three sigma.
        assert abs(one - two) < 0.17, name


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"surveys": ()}, "'surveys' parameter must name at least one"),
        ({"surveys": ("sdss",)}, "one of hsc, des"),
        ({"lens_fraction": 1.1}, "'lens_fraction' parameter must be between 0 and 1. Got 1.1"),
        ({"varied_fraction": -0.1}, "'varied_fraction'"),
        ({"cluster_cluster": math.nan}, "'cluster_cluster'"),
    ],
)
def test_settings_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SceneSettings(**kwargs)


def conditions(correlation=0.0, sigma=(1.0, 2.0, 3.0)):
    return Conditions(np.ones(3), np.full(3, 25.0), np.array(sigma), correlation, np.ones(3), np.zeros((3, 2)))


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_noise_has_the_given_sigma(correlation):
    noise = add_noise(np.random.default_rng(1), np.zeros((3, 256, 256)), conditions(correlation), 0.5)
    np.testing.assert_allclose(noise.std(axis=(1, 2)), [1.0, 2.0, 3.0], rtol=0.02)
    neighbours = np.corrcoef(noise[1, :, 1:].ravel(), noise[1, :, :-1].ravel())[0, 1]
    assert (abs(neighbours) < 0.02) if correlation == 0.0 else (neighbours > 0.3)


def test_light_adds_photon_noise_with_or_without_existing_sky_noise():
    # Light that is as bright as the sky doubles the variance.
    sky = flux_of([22.3, 21.2, 20.5]) * 0.5**2
    light = np.ones((3, 256, 256)) * sky[:, None, None]
    whole = add_noise(np.random.default_rng(1), light, conditions(), 0.5) - light
    added = photon_noise(np.random.default_rng(2), light, np.array([1.0, 2.0, 3.0]), 0.5)
    np.testing.assert_allclose(whole.std(axis=(1, 2)), np.array([1.0, 2.0, 3.0]) * math.sqrt(2.0), rtol=0.02)
    np.testing.assert_allclose(added.std(axis=(1, 2)), [1.0, 2.0, 3.0], rtol=0.02)
    assert not photon_noise(np.random.default_rng(2), -light, np.ones(3), 0.5).any()


@pytest.mark.parametrize("correlation", [0.0, 0.7, 1.1])
def test_a_star_at_the_depth_is_seen_at_five_sigma(correlation):
    scale, seeing, depth = 0.25, np.full(3, 1.0), np.full(3, 25.0)
    sigma = sky_noise(depth, seeing, scale, correlation)
    y, x = np.indices((256, 256)) - 128
    star = np.exp(-0.5 * (np.hypot(x, y) * scale / (1.0 / 2.3548)) ** 2)
    star /= star.sum()
    noise = add_noise(np.random.default_rng(5), np.zeros((3, 256, 256)), conditions(correlation, sigma), scale)
    filtered = np.fft.irfft2(np.fft.rfft2(noise) * np.conj(np.fft.rfft2(np.fft.ifftshift(star))))
    signal = flux_of(25.0) * (star**2).sum()
    np.testing.assert_allclose(signal / filtered.std(axis=(1, 2)), 5.0, rtol=0.1)


def test_conditions_scatter_about_the_preset():
    survey = get_survey("des")
    drawn = [draw_conditions(np.random.default_rng(seed), survey, Geometry(), varied=False) for seed in range(300)]
    np.testing.assert_allclose(np.median([c.seeing for c in drawn], axis=0), survey.seeing, rtol=0.02)
    np.testing.assert_allclose(np.median([c.depth for c in drawn], axis=0), survey.depth, atol=0.03)
    assert np.std([c.seeing[1] / survey.seeing[1] for c in drawn]) == pytest.approx(0.067, abs=0.02)
    assert 0.2 < np.mean([c.correlation > 0.0 for c in drawn]) < 0.45


def test_arc_truth_of_a_strip():
    arc = np.zeros((3, 64, 64))
    arc[:, 50, 20:40] = 4.0
    truth = arc_truth(arc, np.array([1.0, 1.0, 2.0]), (0.0, 0.0), Geometry(64, 0.5))
    assert truth["arc_mag_r"] == pytest.approx(27.0 - 2.5 * math.log10(80.0))
    assert truth["arc_snr"] == pytest.approx((4.0 + 4.0 + 2.0) * math.sqrt(20.0))
    assert truth["arc_length"] == pytest.approx(9.5, rel=0.05)
    assert truth["arc_width"] == pytest.approx(20 * 0.25 / truth["arc_length"])
    assert truth["arc_distance"] == pytest.approx(math.hypot(18.5, 2.0) * 0.5, rel=0.01)


def test_arc_truth_without_a_significant_pixel():
    truth = arc_truth(np.full((3, 48, 48), 0.01), np.ones(3), (0.0, 0.0), Geometry(48, 0.5))
    assert truth["arc_snr"] == 0.0
    assert np.isnan(truth["arc_length"])
    assert math.isnan(arc_truth(np.zeros((3, 48, 48)), np.ones(3), (0.0, 0.0), Geometry(48, 0.5))["arc_mag_r"])
