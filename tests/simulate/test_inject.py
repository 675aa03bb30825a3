"""Tests of arcs injected into real images; most of the fields are made here, from known sources."""

import math

import numpy as np
import pandas as pd
import pytest
from real_images import DATA

from gridlens import CutoutSet
from gridlens.cutouts import band_noise, get_survey, write_npz
from gridlens.cutouts._reject import reject_reason
from gridlens.errors import CutoutError
from gridlens.simulate import (
    TRUTH_COLUMNS,
    SceneSettings,
    inject_scene,
    load_backgrounds,
    write_injected_set,
)
from gridlens.simulate._backgrounds import corner
from gridlens.simulate._observe import sky_noise

SIDE, SIZE, SCALE = 420, 80, 0.5
SIGMA = np.array([1.0, 1.2, 2.0])
LENSES = SceneSettings(("kids",), lens_fraction=1.0)
OTHERS = SceneSettings(("kids",), lens_fraction=0.0)

# x, y, Gaussian width (px), flux in r, g-r. Windows of 80 px need 40 px on every side.
RED = [
    (70.3, 80.6, 3.0, 6e3, 1.3),
    (200.4, 90.2, 2.6, 4e3, 1.2),
    (330.0, 110.0, 3.4, 9e3, 1.5),
    (90.0, 300.7, 2.8, 3e3, 1.4),
]
# Also red, but beside a brighter galaxy, within a third of a window of one, and beside a brighter star.
NEIGHBOUR = [(209.0, 95.0, 2.6, 3.5e3, 1.3)]
CLOSE = [(350.0, 112.0, 2.8, 3e3, 1.4)]
OUTSHONE = [(270.0, 320.0, 2.8, 3e3, 1.4)]
EDGE = [(20.0, 200.0, 3.0, 6e3, 1.4), (400.0, 200.0, 3.0, 6e3, 1.4)]
BLUE = [(150.0, 200.0, 3.0, 6e3, 0.3), (260.0, 180.0, 2.8, 5e3, 0.4), (60.0, 150.0, 2.7, 4e3, 0.2)] + [
    (110.0 + 40.0 * k, 395.0, 2.4, 1e3, 0.5) for k in range(6)
]
STARS = [
    (120.0, 130.0, 0.9, 8e3, 1.4),
    (300.0, 300.0, 0.9, 2e4, 1.3),
    (250.0, 250.0, 0.9, 5e3, 0.4),
    (180.0, 270.0, 0.9, 4e3, 0.6),
    (278.0, 325.0, 0.9, 2e4, 0.9),
]


def draw(pixels, x, y, width, flux, gr):
    yy, xx = np.indices(pixels.shape[:2])
    light = np.exp(-0.5 * ((xx - x) ** 2 + (yy - y) ** 2) / width**2) / (2.0 * math.pi * width**2)
    pixels += light[..., None] * flux * np.array([10.0 ** (-0.4 * gr), 1.0, 10.0**0.16])


def make_field(sources=(*RED, *NEIGHBOUR, *CLOSE, *OUTSHONE, *EDGE, *BLUE, *STARS), unit=1.0):
    rng = np.random.default_rng(8)
    pixels = rng.normal(size=(SIDE, SIDE, 3)) * SIGMA + [5.0, -3.0, 0.0]
    for source in sources:
        draw(pixels, *source)
    return (unit * pixels).astype(np.float32)


def load(folder, pixels, **kwargs):
    np.save(folder / "field.npy", pixels)
    return load_backgrounds(folder / "field.npy", **({"pixel_scale": SCALE, "bands": "gri", "size": SIZE} | kwargs))


@pytest.fixture(scope="module")
def field():
    return make_field()


@pytest.fixture(scope="module")
def backgrounds(field, tmp_path_factory):
    return load(tmp_path_factory.mktemp("field"), field)


def turned(pixels):
    """Yield the eight flips and rotations."""
    for flipped in (pixels, pixels[:, ::-1]):
        for turns in range(4):
            yield np.rot90(flipped, turns)


def test_windows_are_centred_on_bright_red_galaxies_away_from_the_edge(backgrounds):
    found = np.array([window.bcg_xy for window in backgrounds.windows])
    wanted = np.array(sorted(RED, key=lambda source: -source[3]))[:, :2]
    np.testing.assert_allclose(found, wanted, atol=0.2)
    assert len(backgrounds) == 4
    assert repr(backgrounds) == "Backgrounds(4 windows in 1 images)"


def test_members_are_galaxies_near_the_bcg_without_stars(backgrounds):
    window = backgrounds.windows[2]  # the second of RED, and the third brightest
    np.testing.assert_allclose(window.members[0, :2], window.bcg_xy)
    near = [s for s in (*NEIGHBOUR, *BLUE) if max(abs(s[0] - 200.4), abs(s[1] - 90.2)) < 40]
    np.testing.assert_allclose(sorted(window.members[1:, 0]), sorted(s[0] for s in near), atol=1.0)
    assert window.members[1, 2] / window.members[0, 2] == pytest.approx(3.5 / 4.0, rel=0.1)
    assert all(len(w.members) <= 25 and w.members[:, 2].max() == w.members[0, 2] for w in backgrounds.windows)


def test_the_angle_follows_the_light(tmp_path):
    yy, xx = np.indices((96, 96)) - 47.5
    for angle in (0.4, 2.0):
        u, v = xx * math.cos(angle) + yy * math.sin(angle), -xx * math.sin(angle) + yy * math.cos(angle)
        pixels = np.random.default_rng(1).normal(size=(96, 96, 3))
        pixels += (50.0 * np.exp(-0.5 * (u**2 / 16.0 + v**2 / 4.0)))[..., None]
        (window,) = load(tmp_path, pixels.astype(np.float32)).windows
        assert math.cos(2.0 * (window.bcg_angle - angle)) > 0.99


def test_default_window(tmp_path, field):
    assert {window.size for window in load(tmp_path, field, size=None).windows} == {128}
    assert {window.size for window in load(tmp_path, field, size=None, pixel_scale=0.3).windows} == {147}


def test_an_empty_field_has_no_window(tmp_path):
    message = r"None of the 1 images has a usable window. The first is .*field.npy: no bright, extended, red .* Use a"
    with pytest.raises(CutoutError, match=message):
        load(tmp_path, make_field(sources=BLUE[:1] + STARS))


def test_a_field_without_noise_or_data_has_no_window(tmp_path):
    for value in (0.0, np.nan):
        with pytest.raises(CutoutError, match="has a usable window"):
            load(tmp_path, np.full((SIDE, SIDE, 3), value, dtype=np.float32))


def test_windows_with_many_bad_pixels_are_skipped(tmp_path, field):
    holed = field.copy()
    holed[85:150, 320:380] = np.nan
    holed[100:121, 320:341] = field[100:121, 320:341]  # the galaxy itself stays
    assert len(load(tmp_path, holed)) == 3


def test_a_window_that_is_too_small_is_refused(tmp_path, field):
    with pytest.raises(CutoutError, match=r"'size' parameter must be 48 or more\. Got 20"):
        load(tmp_path, field, size=20)


def test_cutouts_are_used_as_whole_windows(tmp_path, field):
    cut = np.stack([field[60:156, 160:256], field[70:166, 280:376]])
    write_npz(tmp_path / "two.npz", CutoutSet(cut, bcg_xy=[[40.4, 30.2], [50.0, 40.0]], pixel_scale=0.4))
    backgrounds = load_backgrounds(tmp_path / "two.npz", size=96)
    assert [window.bcg_xy for window in backgrounds.windows] == [(40.4, 30.2), (50.0, 40.0)]
    for index in range(6):
        scene = inject_scene(1, index, backgrounds, OTHERS)
        assert scene.pixel_scale == 0.4
        assert any(np.array_equal(scene.pixels, image) for part in cut for image in turned(part))


def test_unusable_images_are_skipped_with_a_warning(tmp_path, field):
    np.save(tmp_path / "good.npy", field[60:156, 160:256])
    np.save(tmp_path / "oblong.npy", field[60:156, 160:250])
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    with pytest.warns(UserWarning, match="2 images are omitted as backgrounds. The first one is .*(oblong|torn).npy: "):
        backgrounds = load_backgrounds(tmp_path, pixel_scale=0.5, bands="gri")
    assert len(backgrounds) == 1


def test_a_scene_without_an_arc_is_an_unchanged_window_of_the_field(backgrounds, field):
    used = []
    for index in range(8):
        scene = inject_scene(3, index, backgrounds, OTHERS)
        assert not scene.arc.any()
        assert (scene.truth["label"], scene.truth["kind"]) == (0, "none")
        for number, window in enumerate(backgrounds.windows):
            x, y = corner(window.bcg_xy, SIZE)
            for dy, dx in np.ndindex(5, 5):
                part = field[y + dy - 2 : y + dy - 2 + SIZE, x + dx - 2 : x + dx - 2 + SIZE]
                if any(np.array_equal(scene.pixels, image) for image in turned(part)):
                    used.append(number)
    # The first four scenes use each of the four windows once, and later scenes use them again in the same order.
    assert sorted(used[:4]) == [0, 1, 2, 3]
    assert used[4:] == used[:4]


def test_bcg_and_members_turn_with_the_pixels(backgrounds):
    turns = set()
    for index in range(24):
        scene = inject_scene(4, index, backgrounds, OTHERS)
        x, y = scene.bcg_xy
        assert (scene.truth["bcg_x"], scene.truth["bcg_y"]) == (x, y)
        assert max(abs(x - 39.5), abs(y - 39.5)) <= 3.0
        box = scene.pixels[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7, 1].astype(float)
        bright = np.clip(box - 0.5 * box.max(), 0.0, None)
        yy, xx = np.indices(box.shape) - 6
        assert (bright * xx).sum() / bright.sum() == pytest.approx(x - round(x), abs=0.3)
        assert (bright * yy).sum() / bright.sum() == pytest.approx(y - round(y), abs=0.3)
        turns.add((round(x, 2), round(y, 2)))
    assert len(turns) > 12


def test_the_members_of_the_lens_are_at_their_pixels(backgrounds, monkeypatch):
    from gridlens.simulate import _inject

    seen = []
    monkeypatch.setattr(
        _inject, "draw_lens", lambda rng, canvas, cluster, *rest: (seen.append(cluster), (np.zeros((3, 80, 80)), {}))[1]
    )
    for index in range(16):
        scene = inject_scene(4, index, backgrounds, LENSES)
        cluster = seen[-1]
        np.testing.assert_allclose(39.5 + np.array(cluster.bcg) / SCALE, scene.bcg_xy)
        np.testing.assert_allclose(cluster.members[0, :2], cluster.bcg)
        for x, y, _ in cluster.members:
            column, row = round(39.5 + x / SCALE), round(39.5 + y / SCALE)
            if 1 <= column < SIZE - 1 and 1 <= row < SIZE - 1:
                assert scene.pixels[row - 1 : row + 2, column - 1 : column + 2, 1].min() > -3.0 + 8.0 * SIGMA[1]
    assert max(len(cluster.members) for cluster in seen) > 1


def test_the_same_seed_gives_the_same_scenes(backgrounds):
    settings = SceneSettings(("kids",), lens_fraction=0.5)
    first = [inject_scene(5, index, backgrounds, settings) for index in range(6)]
    for index in (4, 1):
        again = inject_scene(5, index, backgrounds, settings)
        np.testing.assert_array_equal(again.pixels, first[index].pixels)
        assert repr(again.truth) == repr(first[index].truth)
    assert {scene.truth["label"] for scene in first} == {0, 1}
    other = inject_scene(6, 1, backgrounds, settings)
    assert other.pixels.shape == first[1].pixels.shape
    assert not np.array_equal(other.pixels, first[1].pixels)


def test_the_added_light_is_the_arc_and_its_photon_noise(backgrounds):
    pulls = []
    for index in range(6):
        # Without and with an arc, the window, the position and the orientation are the same.
        without = inject_scene(2, index, backgrounds, OTHERS).pixels.astype(float)
        scene = inject_scene(2, index, backgrounds, LENSES)
        added, arc = scene.pixels - without, scene.arc.astype(float)
        unlit = arc < 1e-9 * arc.max()
        assert np.abs(added[unlit]).max(initial=0.0) < 1e-3
        # Photon noise with the survey's sky of 22.3, 21.2, 20.5 mag per square arcsec, in units of the sky noise.
        sigma = band_noise(without.astype(np.float32))
        unit = scene.arc[..., 1].sum() / 10.0 ** (-0.4 * (scene.truth["arc_mag_r"] - 27.0))
        sky = unit * 10.0 ** (-0.4 * (np.array([22.3, 21.2, 20.5]) - 27.0)) * SCALE**2
        photons = np.sqrt(sigma**2 * np.clip(arc, 0.0, None) / sky)
        bright = arc > sigma
        pulls.extend((added - arc)[bright] / photons[bright])
        assert abs(added.sum() - arc.sum()) < 4.0 * math.sqrt((photons**2).sum())
    assert len(pulls) > 1000
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.1)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.05)


def test_truth_of_a_lens(backgrounds):
    survey = get_survey("kids")
    for index in range(4):
        scene = inject_scene(9, index, backgrounds, LENSES)
        truth = scene.truth
        assert tuple(truth) == TRUTH_COLUMNS
        assert truth["id"] == f"inj-9-{index:06d}"
        assert (truth["label"], truth["kind"], truth["survey"]) == (1, "injected", "kids")
        assert (truth["size"], truth["pixel_scale"]) == (SIZE, SCALE)
        assert truth["seeing"] == survey.seeing[1]
        assert truth["theta_e"] > 5.0
        assert truth["theta_e_halo"] <= 0.5 * SIZE * SCALE
        assert 0.2 <= truth["redshift"] <= 0.7 < truth["source_redshift"]
        for name in ("bcg_mag_r", "richness", "log_mass", "ra", "dec", "velocity_dispersion", "log_xray_luminosity"):
            assert math.isnan(truth[name])
        sigma = band_noise(inject_scene(9, index, backgrounds, OTHERS).pixels)
        bright = [scene.arc[..., b][scene.arc[..., b] > sigma[b]] for b in range(3)]
        snr = sum(b.sum() / (sigma[k] * math.sqrt(b.size)) for k, b in enumerate(bright) if b.size)
        assert truth["arc_snr"] == pytest.approx(snr, rel=1e-3)


def test_metadata_of_a_lens_and_another_scene_agree(backgrounds):
    for index in range(3):
        lens, other = (inject_scene(9, index, backgrounds, settings).truth for settings in (LENSES, OTHERS))
        for name in ("seeing", "depth", "redshift", "bcg_x", "bcg_y", "size", "pixel_scale", "survey"):
            assert lens[name] == other[name], name


def test_arcs_depend_on_the_noise_of_the_image_not_on_its_unit(tmp_path, backgrounds):
    tiny = load(tmp_path, make_field(unit=1e-11))
    for index in range(3):
        one, two = inject_scene(1, index, backgrounds, LENSES), inject_scene(1, index, tiny, LENSES)
        assert one.truth["arc_mag_r"] == pytest.approx(two.truth["arc_mag_r"], abs=1e-3)
        assert one.truth["arc_snr"] == pytest.approx(two.truth["arc_snr"], rel=1e-3)
        np.testing.assert_allclose(two.arc, 1e-11 * one.arc, rtol=1e-3, atol=1e-11 * 1e-3)


def test_noise_at_the_depth_of_the_survey_gives_zero_point_27(tmp_path):
    """An image with the depth of the preset in all bands has the simulator's own zero point."""
    survey = get_survey("kids")
    sigma = sky_noise(np.array(survey.depth), np.array(survey.seeing), SCALE)
    rng = np.random.default_rng(8)
    pixels = rng.normal(size=(SIDE, SIDE, 3))
    for x, y, width, flux, gr in (*RED, *BLUE):
        draw(pixels, x, y, width, flux, gr)
    backgrounds = load(tmp_path, (pixels * sigma).astype(np.float32))
    scene = inject_scene(1, 0, backgrounds, LENSES)
    assert 27.0 - 2.5 * math.log10(scene.arc[..., 1].sum()) == pytest.approx(scene.truth["arc_mag_r"], abs=0.03)
    assert scene.truth["depth"] == pytest.approx(survey.depth[1], abs=0.1)


def test_a_deeper_survey_has_brighter_arcs(backgrounds):
    for index in range(3):
        deep, shallow = (
            inject_scene(1, index, backgrounds, SceneSettings((name,), lens_fraction=1.0)) for name in ("lsst", "ps1")
        )
        assert deep.truth["source_mag_r"] == shallow.truth["source_mag_r"]
        assert deep.arc.sum() > 10.0 * shallow.arc.sum()
        assert deep.truth["arc_snr"] > 2.0 * shallow.truth["arc_snr"]


def test_bad_pixels_stay_bad_and_do_not_spread(tmp_path, field):
    holed = field.copy()
    for x, y, *_ in RED:
        holed[int(y) + 10 : int(y) + 22, int(x) - 20 : int(x) - 5, 2] = np.nan
    backgrounds = load(tmp_path, holed)
    for index in range(4):
        lens, other = (inject_scene(1, index, backgrounds, settings).pixels for settings in (LENSES, OTHERS))
        assert np.count_nonzero(np.isnan(lens)) == 12 * 15
        np.testing.assert_array_equal(np.isnan(lens), np.isnan(other))


def test_a_set_on_disk(tmp_path, backgrounds):
    settings = SceneSettings(("kids",), lens_fraction=0.5)
    seen = []
    truth = write_injected_set(
        tmp_path / "set", 7, backgrounds, settings=settings, seed=5, n_jobs=1, progress=seen.append
    )
    assert seen == [7]
    cutouts = CutoutSet.read(tmp_path / "set")
    assert cutouts.ids.tolist() == truth["id"].tolist() == [f"inj-5-{index:06d}" for index in range(7)]
    assert pd.read_csv(tmp_path / "set" / "truth.csv")["label"].tolist() == truth["label"].tolist()
    for index in (0, 6):
        scene = inject_scene(5, index, backgrounds, settings)
        np.testing.assert_array_equal(cutouts.pixels[index], scene.pixels)
        assert truth["label"][index] == scene.truth["label"]
    np.testing.assert_allclose(cutouts.bcg_xy, truth[["bcg_x", "bcg_y"]])
    with pytest.raises(ValueError, match="'n' parameter"):
        write_injected_set(tmp_path / "none", 0, backgrounds)


@pytest.fixture(scope="module")
def kids():
    return load_backgrounds(DATA / "kids_field", pixel_scale=0.34)


@pytest.mark.slow
@pytest.mark.real
def test_kids_field_has_at_least_200_windows(kids):
    assert len(kids) >= 200
    places = np.array([window.bcg_xy for window in kids.windows])
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert apart[~np.eye(len(kids), dtype=bool)].min() >= 128 / 3.0
    assert places.min() > 60.0
    assert places.max() < 2540.0
    assert {window.size for window in kids.windows} == {128}
    for index in range(0, len(kids), 40):
        scene = inject_scene(1, index, kids, LENSES)
        assert reject_reason(scene.pixels, scene.bcg_xy, scene.pixel_scale) == ""


@pytest.mark.real
def test_kids_field_noise_gives_its_zero_point(kids):
    """The field is in maggies (zero point 0), and the preset's depth recovers it to a few tenths of a magnitude."""
    for index in range(3):
        scene = inject_scene(1, index, kids, LENSES)
        zero_point = scene.truth["arc_mag_r"] + 2.5 * math.log10(scene.arc[..., 1].astype(float).sum())
        assert zero_point == pytest.approx(0.0, abs=0.3)
