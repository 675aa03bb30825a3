"""Tests of overlapping images: the image with the most valid pixels in the cutout is used, and others fill its gaps."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from skies import DEC, RA, gnomonic, header_of, stars

from gridlens.cutouts import CutoutFlag, CutoutSet, extract
from gridlens.cutouts.images._blank import mark_blank
from gridlens.errors import CutoutError

SIDE, SCALE = 300, 0.3
CLUSTER = pd.DataFrame({"id": ["A1"], "ra": [RA], "dec": [DEC]})
STARS = SkyCoord([RA, RA + 5 / 3600, RA - 6 / 3600], [DEC, DEC - 4 / 3600, DEC + 5 / 3600], unit="deg")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()


def tile(path, blank=None, value=np.nan, shift=0.0, zeropoint=27.0, seed=0, bands="gri", **cards):
    """Write images of the same stars in all bands; `blank` is a slice of columns and `shift` is in arcsec along RA."""
    wcs = gnomonic(SCALE, SIDE, ra=RA + shift / 3600)
    path.parent.mkdir(exist_ok=True)
    for band in bands:
        image = stars(wcs, SIDE, STARS, 1000.0, 4.0) + np.random.default_rng(seed).normal(scale=0.2, size=(SIDE, SIDE))
        image *= 10 ** (0.4 * (zeropoint - 27.0))
        if blank is not None:
            image[:, blank] = value
        fits.PrimaryHDU(image.astype("f4"), header_of(wcs, MAGZERO=zeropoint, **cards)).writeto(f"{path}_{band}.fits")


def cut(folder, **options):
    return extract(CLUSTER, dict.fromkeys("gri", str(folder)), size=24.0, npix=80, **options)


def assert_whole(cutouts):
    assert np.isfinite(cutouts.pixels).all()
    assert cutouts.flags.tolist() == [0]
    np.testing.assert_allclose(cutouts.pixels[0].sum(axis=(0, 1)), 3000.0, rtol=0.02)


@pytest.mark.parametrize("value", [np.nan, 0.0, -99.0])
def test_blank_pixels_are_filled_from_another_image(tmp_path, value):
    # The position is farther from the edges of the image that is blank there.
    tile(tmp_path / "im" / "t1", slice(100, 200), value)
    tile(tmp_path / "im" / "t2", shift=20.0)
    cutouts, failures, *_ = cut(tmp_path / "im")
    assert failures == []
    assert_whole(cutouts)
    assert cutouts.paths[0].split(";")[1].endswith("t2_r.fits")


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_cutout_is_composed_of_two_images(tmp_path, value):
    tile(tmp_path / "im" / "t1", slice(0, 140), value)
    tile(tmp_path / "im" / "t2", slice(160, None), value, zeropoint=30.0, seed=1)
    assert_whole(cut(tmp_path / "im").cutouts)


def test_an_image_that_does_not_contain_the_position_fills_the_rest(tmp_path):
    # The edges are 45 arcsec from the centre: the cluster is 3 arcsec inside one tile and 2 arcsec outside the other.
    tile(tmp_path / "im" / "t1", shift=42.0)
    tile(tmp_path / "im" / "t2", shift=-47.0, seed=1)
    assert_whole(cut(tmp_path / "im").cutouts)


def test_an_unfilled_blank_part_is_flagged(tmp_path):
    tile(tmp_path / "im" / "t1", slice(160, None))
    cutouts, failures, *_ = cut(tmp_path / "im")
    assert failures == []
    assert CutoutFlag(cutouts.flags[0]) == CutoutFlag.EDGE
    assert 0.2 < np.isnan(cutouts.pixels).mean() < 0.5


def test_a_cutout_that_is_blank_in_one_band_is_a_failure(tmp_path):
    tile(tmp_path / "im" / "t1", bands="gr")
    tile(tmp_path / "im" / "t1", slice(0, SIDE), bands="i")
    tile(tmp_path / "im" / "t2", shift=600.0)
    cutouts, failures, *_ = cut(tmp_path / "im")
    assert cutouts is None
    assert [(failure.flags, failure.message) for failure in failures] == [
        (CutoutFlag.NO_IMAGE, "The images of i are blank over the whole cutout.")
    ]


def test_a_damaged_image_is_replaced_by_another(tmp_path):
    tile(tmp_path / "im" / "t1")
    tile(tmp_path / "im" / "t2", shift=20.0)
    path = tmp_path / "im" / "t1_g.fits"
    extracting = extract(CLUSTER, dict.fromkeys("gri", str(tmp_path / "im")), size=24.0, npix=80)
    assert_whole(extracting.cutouts)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.warns(UserWarning, match=r"1 of 2 images of the band g cannot be used"):
        assert_whole(cut(tmp_path / "im").cutouts)


def test_an_image_in_another_unknown_unit_does_not_fill(tmp_path):
    for name, unit, blank, shift in (("t1", "adu", slice(160, None), 0.0), ("t2", "electron", None, 20.0)):
        tile(tmp_path / "im" / name, blank, shift=shift, zeropoint=27.0, BUNIT=unit)
        for band in "gri":
            with fits.open(tmp_path / "im" / f"{name}_{band}.fits", mode="update") as hdus:
                del hdus[0].header["MAGZERO"]
    cutouts = cut(tmp_path / "im").cutouts
    assert np.isnan(cutouts.pixels).any()


def test_constant_regions_become_nan(rng):
    noise = rng.normal(size=(60, 60)).astype(np.float32)
    for value in (0.0, -99.0, np.nan):
        image = noise.copy()
        image[:20] = value
        marked = mark_blank(image.copy())
        assert np.isnan(marked[:20]).all()
        np.testing.assert_array_equal(marked[20:], noise[20:])
    # Light that fades to zero in an image without noise is not a filled region.
    y, x = np.indices((80, 80)) - 39.5
    faded = (100 * np.exp(-(x**2 + y**2) / 10)).astype(np.float32)
    assert (faded == 0.0).any()
    np.testing.assert_array_equal(mark_blank(faded.copy()), faded)
    # Integer noise around zero has no square blocks of equal values.
    counts = rng.poisson(4.0, size=(200, 200)).astype(np.float32) - 4.0
    np.testing.assert_array_equal(mark_blank(counts.copy()), counts)
    assert np.isnan(mark_blank(np.zeros((9, 9), np.float32))).all()
    assert mark_blank(np.empty((0, 4), np.float32)).shape == (0, 4)


def test_constant_regions_of_a_cutout_file_are_bad_pixels(tmp_path):
    tile(tmp_path / "im" / "t1", slice(200, None), 0.0)
    pixels = CutoutSet.read(tmp_path / "im").pixels[0]
    assert np.isnan(pixels[:, 200:]).all()
    assert np.isfinite(pixels[:, :200]).all()


def test_complementary_exposures_are_not_mistaken_for_maps(tmp_path):
    tile(tmp_path / "im" / "early", slice(100, 200))
    tile(tmp_path / "im" / "late", seed=1)
    assert_whole(cut(tmp_path / "im").cutouts)


def test_a_map_without_noise_is_not_used_as_an_exposure(tmp_path):
    tile(tmp_path / "im" / "early", slice(100, 200))
    for band in "gri":
        header = header_of(gnomonic(SCALE, SIDE), MAGZERO=27.0)
        fits.PrimaryHDU(np.full((SIDE, SIDE), 7.0, "f4"), header).writeto(tmp_path / "im" / f"late_{band}.fits")
    with pytest.raises(CutoutError, match=r"early_g.* and late_g.* differ in one word"):
        cut(tmp_path / "im")
