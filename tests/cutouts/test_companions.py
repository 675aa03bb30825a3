"""Tests of companion maps: recognised by the names of files and extensions, and refused if they are ambiguous."""

import os

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from skies import DEC, RA, gnomonic, header_of

from gridlens.cutouts import CutoutSet, extract
from gridlens.cutouts._companions import is_companion
from gridlens.cutouts._file_names import parse_stem
from gridlens.cutouts.images._alike import alike_pairs
from gridlens.cutouts.images._tiles import TileIndex
from gridlens.cutouts.readers._scan import find_entries
from gridlens.errors import CutoutError

SIDE, SCALE = 80, 0.3
CLUSTER = pd.DataFrame({"id": ["A1"], "ra": [RA], "dec": [DEC]})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def write(tmp_path, rng):
    """Return a function that writes images of one position under names with {} for the band."""

    def write(*patterns, ra=RA, folder="im"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for pattern in patterns:
            for band in "gri":
                image = rng.normal(100.0, 5.0, size=(SIDE, SIDE)).astype(np.float32)
                path = tmp_path / folder / pattern.format(band)
                fits.PrimaryHDU(image, header_of(gnomonic(SCALE, SIDE, ra=ra))).writeto(path)
        return tmp_path / folder

    return write


@pytest.mark.parametrize(
    "stem",
    [
        *("rings.v3.skycell.1405.053.stk.g.unconv.wt", "rings.v3.skycell.1405.053.stk.g.unconv.exp"),
        *("legacysurvey-1500p020-invvar-g", "legacysurvey-1500p020-maskbits", "legacysurvey-1500p020-blobmodel-g"),
        *("KiDS_DR4.0_180.0_0.5_r_wei", "KiDS_DR4.0_180.0_0.5_r_msk", "A1703_g_bkg", "A1703_std_g", "A1703_g_wht_v2"),
        *("EUC_MER_MOSAIC-VIS-RMS_TILE102018211-CC66F6", "EUC_MER_BGMOD-VIS_TILE102018211-ACBD03"),
        *("EUC_MER_MOSAIC-DES-G-FLAG_TILE102018211-CC66F6", "det_bkgd-HSC-G-9813-4,4", "hst_12065_f606w_drz_wht"),
    ],
)
def test_names_of_maps(stem):
    assert parse_stem(stem)[2]


@pytest.mark.parametrize(
    ("stem", "name", "band"),
    [
        ("rings.v3.skycell.1405.053.stk.g.unconv", "rings.v3.skycell.1405.053.stk.unconv", "g"),
        ("legacysurvey-1500p020-image-g", "legacysurvey-1500p020-image", "g"),
        ("KiDS_DR4.0_180.0_0.5_r_sci", "KiDS_DR4.0_180.0_0.5", "r"),
        ("exp-0012_g", "exp-0012", "g"),
        ("model", "model", ""),
        ("Abell-mask-1_g", "Abell-mask-1", "g"),
    ],
)
def test_names_of_images(stem, name, band):
    expected = (stem, "", True) if stem == "model" else (name, band, False)
    assert parse_stem(stem) == expected


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"EXTNAME": "WHT"}, True),
        ({"EXTNAME": "VAR_POISSON"}, True),
        ({"EXTTYPE": "VARIANCE"}, True),
        ({"DES_EXT": "MASK"}, True),
        ({"PRODTYPE": "wtmap"}, True),
        ({"HDUCLAS2": "ERROR"}, True),
        ({"EXTNAME": "SCI"}, False),
        ({"EXTNAME": "IMAGE"}, False),
        ({"EXTNAME": "COMPRESSED_IMAGE"}, False),
        ({"EXTNAME": "g"}, False),
        ({}, False),
    ],
)
def test_names_of_extensions(cards, expected):
    assert is_companion(fits.Header(cards)) == expected


@pytest.mark.parametrize("first", ["SCI", "ERR", "DQ", "VARIANCE", "MSK"])
def test_the_science_extension_is_used_at_any_place(tmp_path, rng, first):
    header = header_of(gnomonic(SCALE, SIDE))
    (tmp_path / "im").mkdir()
    image = rng.normal(100.0, 5.0, size=(SIDE, SIDE)).astype(np.float32)
    for band in "gri":
        science = fits.ImageHDU(image, header, name="SCI")
        other = fits.ImageHDU(np.full((SIDE, SIDE), 900, np.int32), header, name="WHT" if first == "SCI" else first)
        hdus = (science, other) if first == "SCI" else (other, science)
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "im" / f"a_{band}.fits")
    np.testing.assert_array_equal(CutoutSet.read(tmp_path / "im").pixels[0, :, :, 0], image)
    cutouts = extract(CLUSTER, dict.fromkeys("gri", str(tmp_path / "im")), size=SCALE * SIDE, npix=SIDE).cutouts
    np.testing.assert_allclose(cutouts.pixels[0, :, :, 0], image, rtol=1e-4)


def test_two_indistinguishable_images_are_refused(tmp_path, rng):
    header = header_of(gnomonic(SCALE, SIDE))
    images = [fits.ImageHDU(rng.normal(size=(SIDE, SIDE)).astype("f4"), header) for _ in range(2)]
    for band in "gri":
        fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / f"a_{band}.fits")
    with pytest.raises(CutoutError, match=r"holds 2 images \(unnamed, unnamed\).*Name its extension SCI"):
        CutoutSet.read(tmp_path)
    with pytest.raises(CutoutError, match="several images of the same field"):
        TileIndex([str(tmp_path / "a_g.fits")], "g")


def test_a_file_with_only_maps_is_refused(tmp_path):
    for band in "gri":
        hdu = fits.ImageHDU(np.ones((SIDE, SIDE), "f4"), header_of(gnomonic(SCALE, SIDE)), name="WHT")
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / f"a_{band}.fits")
    with pytest.raises(CutoutError, match=r"only companion maps, no science image \(WHT\)"):
        CutoutSet.read(tmp_path)


def test_unknown_maps_of_the_same_field_are_refused(write):
    folder = write("brick-{}-image.fits", "brick-{}-sharpness.fits")
    with pytest.raises(CutoutError, match=r"brick-g-image.* and brick-g-sharpness.* differ in one word"):
        find_entries(folder)
    with pytest.raises(CutoutError, match=r"brick-g-image.*brick-g-sharpness.*images=\{\"g\": PATH"):
        extract(CLUSTER, dict.fromkeys("gri", str(folder)))
    # A glob states which images are meant.
    cutouts = extract(CLUSTER, {band: str(folder / f"*-{band}-image.fits") for band in "gri"}, size=20.0).cutouts
    assert len(cutouts) == 1


def test_an_additional_word_in_the_name_is_refused(write):
    with pytest.raises(CutoutError, match="differ in one word"):
        find_entries(write("A1703_{}.fits", "A1703_{}_sharpness.fits"))


def test_clusters_may_have_names_that_differ_in_one_word(write):
    write("abell-north_{}.fits")
    folder = write("abell-south_{}.fits", ra=RA + 0.1)
    assert [entry.id for entry in find_entries(folder)] == ["abell-north", "abell-south"]


def test_pairs_of_names_that_differ_in_one_word():
    names = [
        "a/x-image-1_g.fits",
        "a/x-sharp-1_g.fits",
        "a/y-image-1_g.fits",
        "a/y-sharp-1_g.fits",
        "b/x-flat-1_g.fits",
    ]
    assert list(alike_pairs(names)) == [(names[0], names[1])]
    assert list(alike_pairs(["c1_g.fits", "c2_g.fits", "c1_r.fits", "12_g.fits"])) == []
    assert list(alike_pairs(["A_g.fits", "A_g_sharp.fits"])) == [("A_g.fits", "A_g_sharp.fits")]


def test_a_glob_ignores_maps(write, tmp_path):
    folder = write("A_{}.fits", "A_{}_wht.fits")
    cutouts = extract(CLUSTER, {band: str(folder / f"A_{band}*.fits") for band in "gri"}, size=20.0).cutouts
    assert [os.path.basename(path) for path in cutouts.paths[0].split(";")] == ["A_g.fits", "A_r.fits", "A_i.fits"]
