"""Tests of arcs injected into cutouts of clusters, and of the controls made from them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlens.cutouts import CutoutSet, get_survey
from gridlens.simulate import INJECTED_COLUMNS, ImageSky, inject_arcs
from gridlens.simulate._backgrounds import RealImage
from gridlens.simulate._cluster_arcs import INJECTED
from gridlens.simulate._no_arcs import Pasted, turned_images
from gridlens.simulate._noise_texture import Texture, gaussian_kernel
from gridlens.simulate._observe import Conditions, photon_noise

SKY = ImageSky(seeing=(0.9, 0.8, 0.7))
SIZE = 64


def clusters(n=4, seed=0, size=SIZE, scale=0.6, **metadata):
    """Return cutouts of noise with a red BCG and a few galaxies, at the AB zero point 27."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - 0.5 * (size - 1)
    pixels = rng.normal(scale=0.5, size=(n, size, size, 3)) + 3.0
    for k in range(n):
        for flux, at in ((40.0, (0.0, 0.0)), *((8.0, rng.uniform(-20.0, 20.0, 2)) for _ in range(4))):
            light = flux * np.exp(-0.5 * np.hypot(x - at[0], y - at[1]) / 2.0)
            pixels[k] += light[:, :, None] * np.array([0.3, 1.0, 1.6])
    return CutoutSet(pixels, pixel_scale=scale, ids=[f"c{k}" for k in range(n)], metadata=metadata or None)


@pytest.fixture(scope="module")
def plain():
    return clusters(4, redshift=[0.3, np.nan, 0.5, 0.4])


@pytest.fixture(scope="module")
def with_arcs(plain):
    return inject_arcs(plain, SKY, 1)


def test_arcs_add_light_with_the_truth_of_their_cluster(plain, with_arcs):
    truth = with_arcs.truth
    assert tuple(truth.columns) == INJECTED_COLUMNS
    assert truth["id"].tolist() == [f"c{k}+arc" for k in range(4)] == with_arcs.cutouts.ids.tolist()
    assert truth["cutout"].tolist() == plain.ids.tolist()
    assert truth["redshift"][0] == 0.3
    assert 0.2 <= truth["redshift"][1] <= 0.7
    assert (truth["arc_snr"] >= 10.0).all()
    added = with_arcs.cutouts.pixels.astype(float) - plain.pixels
    light = 10.0 ** (-0.4 * (truth["arc_mag_r"] - 27.0))
    # The photon noise has a mean of 0 and is small compared with the light.
    np.testing.assert_allclose(added[..., 1].sum(axis=(1, 2)), light, rtol=0.2)


def test_metadata_and_positions_are_unchanged(plain, with_arcs):
    for name in ("bcg_xy", "pixel_scale", "paths", "flags", "sky_axes", "bcg_radec"):
        np.testing.assert_array_equal(getattr(with_arcs.cutouts, name), getattr(plain, name))
    assert with_arcs.cutouts.metadata.equals(plain.metadata)


def test_an_injection_without_flux_changes_no_bit(plain):
    pixels = plain.pixels.copy()
    pixels[2, 5:9, 7] = np.nan
    cutouts = CutoutSet(pixels, pixel_scale=plain.pixel_scale, ids=plain.ids, metadata=plain.metadata)
    null = inject_arcs(cutouts, SKY, 1, "null")
    np.testing.assert_array_equal(null.cutouts.pixels, pixels)
    # It uses the same arcs as the other kinds.
    assert null.truth["arc_snr"].equals(inject_arcs(cutouts, SKY, 1).truth["arc_snr"])


def test_arcs_depend_only_on_seed_and_id(plain, with_arcs):
    again = inject_arcs(plain[[2, 0]], SKY, 1)
    np.testing.assert_array_equal(again.cutouts.pixels, with_arcs.cutouts.pixels[[2, 0]])
    assert not np.array_equal(inject_arcs(plain, SKY, 2).cutouts.pixels, with_arcs.cutouts.pixels)


def test_bad_pixels_stay_bad_and_unusable_cutouts_are_skipped(plain):
    pixels = plain.pixels.copy()
    pixels[0, 20:30, 10:14, 1] = np.nan
    pixels[1] = np.nan
    pixels[3] = 1.0
    injected = inject_arcs(CutoutSet(pixels, pixel_scale=0.6, ids=plain.ids), SKY, 1)
    assert injected.truth["cutout"].tolist() == ["c0", "c2"]
    np.testing.assert_array_equal(np.isnan(injected.cutouts.pixels), np.isnan(pixels[[0, 2]]))
    nothing = inject_arcs(plain[:0], SKY, 1)
    assert len(nothing.cutouts) == len(nothing.truth) == 0


@given(st.floats(-3.0, 4.0))
@settings(max_examples=5, deadline=None)
def test_without_zero_points_the_unit_does_not_matter(power):
    plain = clusters(1)
    sky, factor = replace(SKY, preset=get_survey("hsc")), np.float32(10.0**power)
    scaled = CutoutSet(plain.pixels * factor, pixel_scale=0.6, ids=plain.ids)
    one, other = (inject_arcs(cutouts, sky, 3).cutouts.pixels for cutouts in (plain, scaled))
    np.testing.assert_allclose(other / factor, one, rtol=1e-3, atol=1e-3)


def test_a_wider_point_spread_function_smooths_the_arcs(plain):
    peaks = [
        (inject_arcs(plain, ImageSky(seeing=(width,) * 3), 5).cutouts.pixels - plain.pixels).max()
        for width in (0.7, 2.0)
    ]
    assert peaks[1] < 0.8 * peaks[0]


def test_own_seeing_follows_the_metadata():
    sky = ImageSky(seeing=(1.0, 0.8, 0.6), own_seeing=True)
    np.testing.assert_allclose(sky.seeing_of(1.6), [2.0, 1.6, 1.2])
    np.testing.assert_allclose(sky.seeing_of(np.nan), sky.seeing)
    np.testing.assert_allclose(replace(sky, own_seeing=False).seeing_of(1.6), sky.seeing)


def test_the_noise_of_the_arcs_has_the_correlation_of_the_images():
    light, sigma = np.full((3, 96, 96), 1e3), np.full(3, 0.5)
    texture = Texture((gaussian_kernel(0.8, 0.8, 0.0),) * 3)
    noise = photon_noise(np.random.default_rng(0), light, sigma, 0.5, texture)
    white = photon_noise(np.random.default_rng(0), light, sigma, 0.5)
    for band in range(3):
        assert noise[band].std() == pytest.approx(white[band].std(), rel=0.03)
        neighbours = np.mean(noise[band][:, 1:] * noise[band][:, :-1]) / noise[band].var()
        assert neighbours == pytest.approx(np.exp(-1.0 / (4.0 * 0.8**2)), abs=0.05)


@pytest.mark.parametrize("width", [0.0, 0.5, 0.9])
def test_the_rms_of_correlated_noise_matches_its_pixels(width):
    kernel = gaussian_kernel(width, width, 0.0)
    noise = Texture((kernel,) * 3).apply(np.random.default_rng(0).normal(size=(3, 256, 256))) * 2.5
    sky = ImageSky(seeing=(0.9, 0.8, 0.7), kernels=(kernel,) * 3)
    np.testing.assert_allclose(sky.rms_of(np.moveaxis(noise, 0, 2).astype(np.float32)), 2.5, rtol=0.03)


def test_rich_clusters_have_wider_arcs():
    poor, rich = (
        inject_arcs(clusters(12, size=96, richness=[value] * 12, redshift=[0.3] * 12), SKY, 1).truth["theta_e"].median()
        for value in (20.0, 250.0)
    )
    assert rich > 1.3 * poor


def test_recoloured_arcs_have_the_colours_of_the_bcg(plain, with_arcs):
    added = inject_arcs(plain, SKY, 1, "recoloured").cutouts.pixels.astype(float) - plain.pixels
    arcs = with_arcs.cutouts.pixels.astype(float) - plain.pixels
    total, real = added.sum(axis=(1, 2)), arcs.sum(axis=(1, 2))
    np.testing.assert_allclose(total[:, 0] / total[:, 1], 0.3, rtol=0.15)
    np.testing.assert_allclose(total[:, 2] / total[:, 1], 1.6, rtol=0.15)
    np.testing.assert_allclose(total[:, 1], real[:, 1], rtol=0.1)


def test_turned_images_keep_their_flux_and_change_their_direction():
    y, x = np.indices((SIZE, SIZE)).astype(float)
    arc = np.zeros((3, SIZE, SIZE))
    for x0, y0, length, width in ((20, 45, 6.0, 1.5), (44, 15, 1.5, 6.0)):
        arc += 50.0 * np.exp(-0.5 * (((x - x0) / length) ** 2 + ((y - y0) / width) ** 2))
    image = RealImage(np.zeros((SIZE, SIZE, 3), dtype=np.float32), 0.6, np.ones(3))
    conditions = Conditions(np.full(3, 0.8), np.full(3, 25.0), np.ones(3), 0.0, np.ones(3), np.zeros((3, 2)))
    turned = turned_images(Pasted(arc, image, (0.0, 0.0), conditions), np.random.default_rng(0))
    assert turned.sum() == pytest.approx(arc.sum(), rel=0.02)
    for side in (slice(None, 32), slice(32, None)):
        before, after = (_direction(light[1][:, side]) for light in (arc, turned))
        apart = abs((after - before + 0.5 * np.pi) % np.pi - 0.5 * np.pi)
        assert apart > 0.2 * np.pi


def _direction(light):
    y, x = np.indices(light.shape)
    dx, dy = x - np.average(x, weights=light), y - np.average(y, weights=light)
    return 0.5 * np.arctan2(2.0 * (light * dx * dy).sum(), (light * (dx**2 - dy**2)).sum())


def test_a_straight_trail_has_one_direction(plain):
    added = inject_arcs(plain, SKY, 1, "straight").cutouts.pixels.astype(float) - plain.pixels
    for light in added[..., 1]:
        y, x = np.nonzero(light > 0.5 * light.max())
        along = np.linalg.svd(np.column_stack([x - x.mean(), y - y.mean()]))[1]
        assert along[1] < 0.1 * along[0]


def test_an_unknown_kind_is_refused(plain):
    with pytest.raises(ValueError, match=r"The 'kind' parameter must be one of arc, null, .* Got 'bow' instead\."):
        inject_arcs(plain, SKY, 1, "bow")
    assert set(INJECTED) == {"arc", "null", "recoloured", "turned", "straight"}
