"""Tests of units and zero points, with the same rules for cutouts and for survey images."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from skies import DEC, RA, gnomonic, header_of

from gridlens.cutouts import CutoutSet, extract
from gridlens.cutouts.images._flux import NotLinearError, band_zeropoints, pixel_unit
from gridlens.errors import CutoutError

SCALE, SIDE = 0.3, 80
CLUSTER = pd.DataFrame({"id": ["A1"], "ra": [RA], "dec": [DEC]})
# Solid angle of 1 sr in arcsec2
SR = np.degrees(3600.0) ** 2


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def unit_of(text, **cards):
    return pixel_unit(fits.Header({"BUNIT": text, **cards}))


@pytest.mark.parametrize(
    ("text", "zeropoint", "solid_angle"),
    [
        ("nJy", 31.4, None),
        ("uJy", 23.9, None),
        ("Jy/pixel", 8.9, None),
        ("10^-9 Jy", 31.4, None),
        ("10.0*nanoJansky", 28.9, None),
        ("nanomaggy", 22.5, None),
        ("nanomaggies", 22.5, None),
        ("maggies", 0.0, None),
        ("MJy/sr", -6.1, SR),
        ("MJy sr-1", -6.1, SR),
        ("nJy/arcsec2", 31.4, 1.0),
        ("erg/s/cm2/Hz/arcsec2", -48.6, 1.0),
        ("counts/s/arcsec2", None, 1.0),
        ("ELECTRONS/S", None, None),
        ("ADU", None, None),
        ("Data Value", None, None),
        ("", None, None),
    ],
)
def test_units_as_headers_write_them(text, zeropoint, solid_angle):
    unit = unit_of(text)
    assert unit.zeropoint == (None if zeropoint is None else pytest.approx(zeropoint, abs=2e-3))
    assert unit.solid_angle == (None if solid_angle is None else pytest.approx(solid_angle))


@pytest.mark.parametrize("text", ["mag", "mag/arcsec2", "AB mag", "mag(AB)", "log(Jy)", "asinh mag"])
def test_non_linear_units_are_refused(text):
    with pytest.raises(NotLinearError, match=r"magnitudes or another logarithm .*linear flux"):
        unit_of(text)


def test_flux_per_beam_is_refused():
    with pytest.raises(CutoutError, match="flux per beam"):
        unit_of("Jy/beam")


def test_flux_per_wavelength_needs_the_wavelength():
    unit = unit_of("erg/s/cm2/Angstrom", PHOTPLAM=5921.0)
    assert unit.zeropoint == pytest.approx(-21.1 + 18.6921 - 5 * np.log10(5921.0))
    assert unit_of("erg s-1 cm-2 A-1", PHOTPLAM=5921.0).zeropoint == pytest.approx(unit.zeropoint)
    header = fits.Header({"BUNIT": "1e-18 erg/s/cm2/Angstrom"})
    with pytest.raises(CutoutError, match=r"flux per wavelength .*PHOTPLAM.*zeropoint="):
        band_zeropoints([header] * 3, None, None)
    assert band_zeropoints([header] * 3, dict.fromkeys("gri", 25.0), None) == [25.0] * 3


def test_contradictory_zero_points_are_refused():
    header = fits.Header({"BUNIT": "nJy", "MAGZERO": 27.0})
    with pytest.raises(CutoutError, match=r"two zero points: 27\.000 mag, and 31\.400 mag from its unit 'nJy'"):
        band_zeropoints([header] * 3, None, None)
    agreeing = fits.Header({"BUNIT": "nJy", "MAGZERO": 31.4})
    assert band_zeropoints([agreeing] * 3, None, None) == pytest.approx([31.4] * 3)


def both_ways(folder, rng, headers, values):
    """Read the bands as a cutout, and cut them out as survey images on the same pixels."""
    folder.mkdir()
    for band in "gri":
        header = header_of(gnomonic(SCALE, SIDE))
        header.update(headers[band])
        if "FPA.ZP" in headers[band]:
            header["HIERARCH FPA.ZP"] = headers[band]["FPA.ZP"]
        fits.PrimaryHDU(values[band].astype(np.float32), header).writeto(folder / f"a_{band}.fits")
    cut = extract(CLUSTER, dict.fromkeys("gri", str(folder)), size=SCALE * SIDE, npix=SIDE)
    return CutoutSet.read(folder), cut


def test_units_are_converted_by_both_readers(tmp_path, rng):
    """Flux in nJy, in nanomaggies and as surface brightness is converted to one unit."""
    flux = {band: rng.normal(100.0, 5.0, size=(SIDE, SIDE)) for band in "gri"}
    in_unit = {
        "g": flux["g"] * 10 ** (0.4 * 4.4),
        "r": flux["r"] * 10 ** (-0.4 * 4.5),
        "i": flux["i"] * 10 ** (-0.4 * 33.1) / (SCALE**2 / SR),
    }
    headers = {"g": {"BUNIT": "nJy"}, "r": {"BUNIT": "nanomaggy"}, "i": {"BUNIT": "MJy/sr"}}
    read, cut = both_ways(tmp_path / "a", rng, headers, in_unit)
    truth = np.stack([flux[band] for band in "gri"], axis=-1)
    np.testing.assert_allclose(read.pixels[0], truth, rtol=2e-3)
    np.testing.assert_allclose(cut.cutouts.pixels[0], truth, rtol=2e-3)
    assert cut.zeropoint.tolist() == [27.0]


def test_asinh_magnitudes_of_pan_starrs_are_made_linear_by_both_readers(tmp_path, rng):
    flux = {band: rng.normal(20.0, 5.0, size=(SIDE, SIDE)) for band in "gri"}
    values = {band: 2.5 / np.log(10) * np.arcsinh((one - 0.5) / 6.0) for band, one in flux.items()}
    cards = {"BOFFSET": 0.5, "BSOFTEN": 3.0, "EXPTIME": 100.0, "FPA.ZP": 22.0}
    read, cut = both_ways(tmp_path / "a", rng, dict.fromkeys("gri", cards), values)
    truth = np.stack([flux[band] for band in "gri"], axis=-1)
    np.testing.assert_allclose(read.pixels[0], truth, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(cut.cutouts.pixels[0], truth, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"BSOFTEN": 3.0, "BOFFSET": 0.5}, "asinh magnitudes"),
        ({"BSOFTEN": 3.0, "FPA.ZP": 25.0, "EXPTIME": 1.0}, "asinh magnitudes"),
        ({"BUNIT": "mag/arcsec2"}, "magnitudes or another logarithm"),
    ],
)
def test_non_linear_pixels_reject_the_row_in_both_readers(tmp_path, rng, cards, words):
    values = {band: rng.normal(20.0, 1.0, size=(SIDE, SIDE)) for band in "gri"}
    with pytest.raises(CutoutError, match=words):
        both_ways(tmp_path / "a", rng, {"g": {}, "r": cards, "i": {}}, values)
    cutouts, failures, *_ = extract(CLUSTER, dict.fromkeys("gri", str(tmp_path / "a")), size=20.0)
    assert cutouts is None
    assert [words in failure.message for failure in failures] == [True]


def test_a_quoted_zero_point_is_parsed_and_other_text_is_ignored(tmp_path, cutout, wcs_header, write_bands):
    cards = {band: {"MAGZERO": "29.5"} for band in "gri"}
    write_bands(tmp_path, cutout, wcs_header(), **cards)
    np.testing.assert_allclose(CutoutSet.read(tmp_path).pixels[0], cutout * 0.1, rtol=1e-5)
    cards = {band: {"MAGZERO": "unknown"} for band in "gri"}
    write_bands(tmp_path, cutout, wcs_header(), name="B", **cards)
    with pytest.warns(UserWarning, match="MAGZERO = 'unknown', which is not a number and is ignored"):
        CutoutSet.read(tmp_path / "B_*.fits")
