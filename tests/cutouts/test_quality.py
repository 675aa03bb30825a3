"""Tests of the flags computed from pixels, and of the registry with the meanings of all flags."""

import numpy as np
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import FLAG_MEANINGS, CutoutFlag, flag_names, is_rejected, quality_flags, write_npz
from gridlens.cutouts._flags import REJECTING_FLAGS, flag_message
from gridlens.errors import CutoutError


def moffat(size, xy, fwhm, beta):
    """Return a star of flux 1, integrated over pixels by fine sampling; `fwhm` is in px."""
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    y, x = np.mgrid[0:size, 0:size]
    fine = np.arange(-0.4, 0.5, 0.2)
    image = sum((1 + ((x + dx - xy[0]) ** 2 + (y + dy - xy[1]) ** 2) / alpha**2) ** -beta for dx in fine for dy in fine)
    return image / image.sum()


def de_vaucouleurs(size, xy, radius, fwhm):
    """Return a galaxy of flux 1, finely sampled and convolved with a PSF; `radius` (effective) and `fwhm` are in px."""
    from scipy.signal import fftconvolve

    y, x = np.mgrid[0:size, 0:size]
    fine = np.arange(-0.4, 0.5, 0.2)
    image = sum(
        np.exp(-7.67 * ((np.hypot(x + dx - xy[0], y + dy - xy[1]) / radius) ** 0.25 - 1)) for dx in fine for dy in fine
    )
    return fftconvolve(image / image.sum(), moffat(41, (20, 20), fwhm, 3.0), mode="same")


def cutout_of(image, rng, flux, seeing, scale, **kwargs):
    pixels = rng.normal(size=(1, *image.shape, 3)) + flux * image[None, :, :, None]
    return CutoutSet(pixels, pixel_scale=scale, metadata={"seeing": [seeing]}, **kwargs)


@pytest.mark.parametrize("beta", [2.5, 3.0, 4.5])
@pytest.mark.parametrize(("scale", "seeing"), [(0.5, 0.6), (0.5, 1.2), (0.2, 0.7), (0.263, 0.95), (0.7, 0.7)])
def test_a_star_is_distinguished_from_a_galaxy(rng, beta, scale, seeing):
    for _ in range(5):
        xy = 63.5 + rng.uniform(-1, 1, 2)
        star = cutout_of(moffat(128, xy, seeing / scale, beta), rng, 1e5, seeing, scale)
        assert quality_flags(star).tolist() == [CutoutFlag.STAR]
        galaxy = de_vaucouleurs(128, xy, 2.5 / scale, seeing / scale)
        assert quality_flags(cutout_of(galaxy, rng, 1e6, seeing, scale)).tolist() == [0]


def test_a_star_is_not_flagged_without_seeing_signal_or_margin(rng):
    star = moffat(96, (47.5, 47.5), 2.4, 3.0)
    assert quality_flags(cutout_of(star, rng, 1e5, np.nan, 0.5)).tolist() == [0]
    assert quality_flags(cutout_of(star, rng, 20.0, 1.2, 0.5)).tolist() == [0]
    assert quality_flags(cutout_of(star, rng, 1e5, 1.2, 0.5, bcg_xy=(2, 3))).tolist() == [0]
    assert quality_flags(cutout_of(star, rng, 1e5, 1.2, 0.5, bcg_xy=(np.nan, 3))).tolist() == [0]
    assert quality_flags(cutout_of(star, rng, 1e5, 1.2, 0.5, bcg_xy=(-40, 300))).tolist() == [0]
    holes = cutout_of(star, rng, 1e5, 1.2, 0.5)
    holes.pixels[0, 40:55, 40:55] = np.nan
    assert quality_flags(holes).tolist() == [0]


def test_saturation(rng):
    pixels = rng.normal(size=(4, 64, 64, 3))
    pixels[1, :, :, 2] = np.minimum(pixels[1, :, :, 2], np.quantile(pixels[1, :, :, 2], 0.975))
    pixels[2, :, :, 2] = np.minimum(pixels[2, :, :, 2], np.quantile(pixels[2, :, :, 2], 0.985))
    pixels[3, 5, 5] = np.nan
    assert quality_flags(CutoutSet(pixels)).tolist() == [0, CutoutFlag.SATURATED, 0, 0]
    assert quality_flags(CutoutSet(pixels, flags=int(CutoutFlag.UNCALIBRATED))).tolist() == [0, 0, 0, 0]
    assert quality_flags(CutoutSet(np.full((1, 48, 48, 3), np.nan))).tolist() == [0]
    assert quality_flags(CutoutSet(np.empty((0, 48, 48, 3)))).tolist() == []


def test_every_flag_has_one_bit_and_a_meaning():
    assert set(FLAG_MEANINGS) == set(CutoutFlag)
    assert sorted(int(flag) for flag in CutoutFlag) == [1 << k for k in range(len(CutoutFlag))]
    assert all(text.endswith(".") for text in FLAG_MEANINGS.values())


def test_messages_begin_with_the_rejecting_flag():
    both = CutoutFlag.DUPLICATE | CutoutFlag.NO_IMAGE | CutoutFlag.STAR
    assert flag_message(both).startswith(FLAG_MEANINGS[CutoutFlag.NO_IMAGE])
    assert flag_names(both) == "no_image|star|duplicate"
    assert flag_message(0) == flag_names(0) == ""
    assert is_rejected([0, int(both), int(CutoutFlag.STAR)]).tolist() == [False, True, False]
    assert is_rejected(int(REJECTING_FLAGS))


def test_a_set_keeps_its_flags(tmp_path, rng):
    cutouts = CutoutSet(rng.normal(size=(3, 48, 48, 3)), flags=[0, 512, 64])
    assert cutouts[1:].flags.tolist() == [512, 64]
    assert CutoutSet.concatenate([cutouts, cutouts[:1]]).flags.tolist() == [0, 512, 64, 0]
    write_npz(tmp_path / "a.npz", cutouts)
    assert CutoutSet.read(tmp_path / "a.npz").flags.tolist() == [0, 512, 64]
    with pytest.raises(CutoutError, match="'flags' parameter must be integers"):
        CutoutSet(rng.normal(size=(3, 48, 48, 3)), flags=[0.5, 1, 2])
    with pytest.raises(CutoutError, match="'flags' parameter must be integers"):
        CutoutSet(rng.normal(size=(3, 48, 48, 3)), flags=[1, 2])


def test_the_table_rejects_and_warns_by_flags(detector, noise):
    pixels = noise(3)
    cutouts = CutoutSet(pixels, flags=[0, int(CutoutFlag.STAR), int(CutoutFlag.SATURATED)])
    table = detector.score_cutouts(cutouts).set_index("id")
    assert table["status"].to_dict() == {"0": "ok", "1": "ok", "2": "rejected"}
    assert table["message"]["1"].startswith(FLAG_MEANINGS[CutoutFlag.STAR])
    assert table["message"]["2"].startswith(FLAG_MEANINGS[CutoutFlag.SATURATED])
    assert (table["flags"].to_numpy() & [0, 512, 64] != 0).tolist()[1:] == [True, True]
    assert np.isnan(table["score"]["2"])
    assert table["rank"]["2"] == 0
