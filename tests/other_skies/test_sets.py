"""Tests of the sets: pairs with and without arcs, presets that no recipe simulates, the cache, and the table."""

import _other_skies
import numpy as np
import other_skies
import pandas as pd
import pytest
from _other_arcs import FAINTEST_ARC, HstSource, Picture, arc_snr, load_hst_sources
from _other_skies import OtherSky
from _real_windows import REAL_SURVEYS, _RealSurvey, complete_survey, inject, survey_windows
from real_images import DATA

from gridlens.cutouts import CutoutSet
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.simulate._backgrounds import Backgrounds, RealImage, sky_rms, whole_window

SIZE, SCALE = 96, 0.5


def backgrounds(count=2):
    """Return small images, each with a galaxy in the middle."""
    rows, columns = np.indices((SIZE, SIZE)) - 0.5 * (SIZE - 1)
    galaxy = 80.0 * np.exp(-0.5 * (rows**2 + columns**2) / 9.0)[..., None]
    images, windows = [], []
    for number in range(count):
        noise = np.random.default_rng(number).normal(size=(SIZE, SIZE, 3))
        pixels = (noise + galaxy).astype(np.float32)
        images.append(RealImage(pixels, SCALE, sky_rms(pixels)))
        windows.append(whole_window(images[-1], np.full(2, 0.5 * (SIZE - 1)), number))
    return Backgrounds(tuple(images), tuple(windows))


def source():
    rows, columns = np.indices((41, 41)) - 20.0
    light = np.exp(-0.5 * (rows**2 + columns**2) / 64.0)
    return HstSource("blob", np.stack([0.7 * light, 0.3 * light]) / light.sum(), 23.0, (0.2, 0.1), 2.0)


def pictures():
    rng = np.random.default_rng(0)
    arc = np.zeros((3, 64, 64))
    arc[:, 20:24, 10:40] = 30.0
    return [
        Picture(
            rng.normal(size=(64, 64, 3)).astype(np.float32), (31.0, 32.0), 0.5, light, np.ones(3), {"redshift": 0.4}
        )
        for light in (arc, np.zeros_like(arc))
    ]


def test_pairs_differ_only_by_the_arc():
    windows, sources = backgrounds(), [source()]
    plain, lens = inject(7, 0, windows, "kids", sources)
    assert np.array_equal(inject(7, 0, windows, "kids", sources)[1].pixels, lens.pixels)
    assert not plain.arc.any()
    assert arc_snr(lens.arc, lens.sky_sigma) > FAINTEST_ARC
    added = np.moveaxis(lens.pixels - plain.pixels, 2, 0)
    dark = lens.arc < 1e-4 * lens.arc.max()
    assert abs(added[dark]).max() < 0.2
    assert added.sum() == pytest.approx(lens.arc.sum(), rel=0.1)
    assert plain.truth["field"] == lens.truth["field"]
    assert lens.truth["lens"] in ("two-halo", "dpie")


def test_a_narrow_field_has_windows_about_its_red_galaxies(monkeypatch):
    pixels = np.random.default_rng(0).normal(size=(160, 160, 3))
    rows, columns = np.indices((160, 160))
    red, blue = np.array([0.3, 1.0, 1.3]), np.array([1.2, 1.0, 0.9])
    # x, y, width, peak, colour: a red galaxy with room, a red galaxy without, blue galaxies, stars.
    for x, y, width, peak, colour in (
        (76, 84, 3.0, 60.0, red),
        (20, 80, 3.0, 90.0, red),
        (100, 60, 3.0, 90.0, blue),
        (60, 60, 3.0, 50.0, blue),
        (130, 130, 3.0, 50.0, blue),
        (30, 30, 0.9, 300.0, blue),
        (130, 20, 0.9, 300.0, blue),
    ):
        light = peak * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / width**2)
        pixels += light[..., None] * colour
    image = pixels.astype(np.float32), SCALE
    survey = _RealSurvey(lambda folder: iter([image]), 100)
    monkeypatch.setitem(REAL_SURVEYS, "hsc", survey)
    windows = survey_windows(DATA, "hsc").windows
    assert [tuple(np.round(window.bcg_xy)) for window in windows] == [(76.0, 84.0)]
    assert windows[0].size == 100
    assert windows[0].members[0, :2].tolist() == list(windows[0].bcg_xy)


def test_windows_take_turns():
    windows, sources = backgrounds(3), [source()]
    numbers = [inject(1, index, windows, "kids", sources)[0].truth["window"] for index in range(6)]
    assert sorted(numbers[:3]) == [0, 1, 2]
    assert numbers[:3] == numbers[3:]


@pytest.mark.parametrize("name", ["sdss", "euclid", "kids"])
def test_presets_have_all_bands(name):
    survey = complete_survey(name)
    assert np.isfinite([*survey.seeing, *survey.depth]).all()
    assert survey.name == name


def test_the_presets_of_the_table_are_not_used_by_any_recipe():
    assert not set(other_skies.PRESETS) & set(SIMULATED_SURVEYS)


def test_scenes_of_an_unseen_preset_are_reproducible():
    scene = _other_skies._preset_scene("euclid", 5, 0)
    assert scene.truth["survey"] == "euclid"
    again = _other_skies._preset_scene("euclid", 5, 0)
    assert np.array_equal(again.pixels, scene.pixels, equal_nan=True)


def test_a_set_is_created_once_and_cached(tmp_path, monkeypatch):
    monkeypatch.setattr(_other_skies, "cache_path", lambda name: tmp_path / name)
    calls = []

    def make():
        calls.append(1)
        return _other_skies._sky("a set", pictures(), ["x", "y"])

    first, second = (_other_skies._cached("a-set", (2, 1), make) for _ in range(2))
    assert len(calls) == 1
    assert first.name == second.name == "a set"
    assert second.label.tolist() == [1, 0]
    assert second.groups.tolist() == ["x", "y"]
    assert second.cutouts[0].ids.tolist() == ["a-set-00000", "a-set-00001"] == second.truth["id"].tolist()
    assert np.array_equal(second.cutouts[0].pixels[0], pictures()[0].pixels)
    assert second.truth["arc_snr"][0] == pytest.approx(arc_snr(pictures()[0].arc, np.ones(3)))
    assert second.truth["arc_snr"][1] == 0.0
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def sky(n=400):
    label = np.arange(n) % 2
    cutouts = CutoutSet(np.zeros((1, 48, 48, 3), np.float32))
    return OtherSky("s", (cutouts,), label, np.array([str(k // 4) for k in range(n)]), pd.DataFrame())


def test_models_use_the_same_draws(monkeypatch):
    monkeypatch.setattr(other_skies, "DRAWS", 20)
    rng = np.random.default_rng(0)
    score = rng.normal(size=400) + sky().label
    found = other_skies.measured(sky(), [score, score, score + 2.0 * sky().label], 0)
    auroc = found["AUROC"]
    assert auroc.shape == (3, 21)
    assert np.array_equal(auroc[0], auroc[1])
    assert (auroc[2] > auroc[0]).all()
    assert other_skies.cell(auroc[1] - auroc[0], "+") == "+0.000 [+0.000, +0.000]"


def test_a_row_rejected_by_one_model_is_excluded_for_all(monkeypatch):
    monkeypatch.setattr(other_skies, "DRAWS", 2)
    score = sky().label.astype(float)
    other = score.copy()
    other[:2] = [np.nan, np.nan]
    wrong_there = np.where(np.arange(400) < 2, 1.0 - score, score)
    assert other_skies.measured(sky(), [wrong_there, other], 0)["AUROC"][:, 0].tolist() == [1.0, 1.0]


def test_the_mean_is_taken_of_values_and_draws(monkeypatch):
    parts = [{name: np.full((1, 3), value) for name in other_skies.METRICS} for value in (0.8, 0.9)]
    assert other_skies.mean(parts)["AUROC"].tolist() == [pytest.approx([0.85] * 3)]
    assert other_skies.cell(np.array([np.nan, np.nan])) == "not resolvable"


@pytest.mark.real
@pytest.mark.slow
def test_real_windows_and_sources():
    windows = survey_windows(DATA, "des")
    assert len(windows) == 46
    assert {window.size for window in windows.windows} == {91}
    sources = load_hst_sources(DATA / "real_fields" / "hst_sources_krojas")
    assert len(sources) == 9
    assert all(2.0 > source.r_mag - 22.0 > 0.0 for source in sources)
    assert [source.shape.sum() for source in sources] == pytest.approx([1.0] * 9)
    with pytest.raises(FileNotFoundError):
        survey_windows(DATA / "absent", "des")
