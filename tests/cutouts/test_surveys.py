"""Tests of survey presets, of the photometry in headers, and of the precedence between them."""

import math
import pickle

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from gridlens.cli import main
from gridlens.cutouts import SURVEYS, CutoutSet, count_cutouts, get_survey
from gridlens.cutouts._bands import name_bands
from gridlens.cutouts._file_names import parse_stem
from gridlens.cutouts._surveys import SIMULATED_SURVEYS
from gridlens.cutouts.images._photometry import (
    KEPT_KEYS,
    full_header,
    header_saturation,
    header_seeing,
    header_zeropoint,
)
from gridlens.cutouts.images._wcs import wcs_cards
from gridlens.cutouts.readers._scan import find_entries
from gridlens.errors import CutoutError

HST = ("F475W", "F606W", "F814W")


# --- the presets ------------------------------------------------------------------------------------------------------


def test_simulated_surveys_are_unchanged():
    """Scenes and the bundled model depend on these numbers and on their order."""
    assert SIMULATED_SURVEYS == ("hsc", "des", "lsst", "kids", "cfhtls", "ps1")
    assert [(SURVEYS[name].pixel_scale, SURVEYS[name].seeing, SURVEYS[name].depth) for name in SIMULATED_SURVEYS] == [
        (0.168, (0.79, 0.75, 0.61), (26.5, 26.5, 26.2)),
        (0.263, (1.11, 0.95, 0.88), (25.6, 25.4, 24.9)),
        (0.2, (0.87, 0.83, 0.80), (27.4, 27.5, 26.8)),
        (0.2, (0.88, 0.70, 0.80), (25.4, 25.6, 24.1)),
        (0.186, (0.85, 0.78, 0.72), (25.7, 25.1, 24.7)),
        (0.25, (1.31, 1.19, 1.11), (23.3, 23.2, 23.1)),
    ]


def test_simulator_and_recipe_use_the_simulated_surveys():
    from gridlens.simulate import SceneSettings
    from gridlens.training import Recipe

    assert SceneSettings().surveys == Recipe().surveys == SIMULATED_SURVEYS
    for name in set(SURVEYS) - set(SIMULATED_SURVEYS):
        with pytest.raises(ValueError, match=f"one of hsc, des, lsst, kids, cfhtls, ps1. Got '{name}'"):
            SceneSettings(surveys=(name,))


def test_all_surveys_of_the_list_are_there():
    assert tuple(SURVEYS) == (*SIMULATED_SURVEYS, "sdss", "euclid", "hst")


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=lambda survey: survey.name)
def test_a_preset_is_consistent(survey):
    assert survey.title and survey.source
    assert 0.03 <= survey.pixel_scale <= 2.0
    assert survey.zeropoint is None or math.isfinite(survey.zeropoint)
    assert list(survey.bands) == ["g", "r", "i"]
    names = [name for band in "gri" for name in survey.bands[band]]
    assert all(names) and len({name.lower() for name in names}) == len(names)
    for k in range(3):
        assert math.isnan(survey.seeing[k]) or survey.pixel_scale < survey.seeing[k] < 2.0
        assert math.isnan(survey.depth[k]) or 22.0 < survey.depth[k] < 28.0
    assert math.isfinite(survey.seeing[1])
    for band, filters in survey.bands.items():
        for name in filters:
            assert name_bands([name], survey.filters) == (band,), name
    assert pickle.loads(pickle.dumps(survey)).name == survey.name
    assert hash(survey) == hash(get_survey(survey.name.upper()))


def test_an_unknown_survey_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=r"one of hsc, .*, hst\. Got 'panda'"):
        get_survey("panda")
    with pytest.raises(CutoutError, match=r"'survey' parameter must be one of hsc, .*, hst\. Got 'panda'"):
        CutoutSet.read(tmp_path, survey="panda")


def test_the_command_line_refuses_an_unknown_survey(tmp_path):
    result = CliRunner().invoke(main, ["score", str(tmp_path), "--survey", "panda"])
    assert result.exit_code == 2
    for name in SURVEYS:
        assert name in result.stderr
    result = CliRunner().invoke(main, ["simulate", str(tmp_path / "new"), "--n", "1", "--survey", "hst"])
    assert result.exit_code == 2
    assert "hsc, des, lsst, kids, cfhtls, ps1. Got 'hst'" in result.stderr


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"MAGZERO": 30.0}, 30.0),
        ({"MAGZERO": 0.0, "MZP_AB": 30.0}, 30.0),
        ({"ZEROPNT": 0.0}, None),
        ({"MAGZERO": True}, None),
        ({"MAGZERO": "27"}, 27.0),
        ({"HIERARCH FPA.ZP": 25.0, "EXPTIME": 100.0}, 30.0),
        ({"HIERARCH FPA.ZP": 25.0}, None),
        ({"FLUXMAG0": 10**10.8}, 27.0),
        ({"FLUXMAG0": 0.0}, None),
        # Sirianni et al. 2005, table 10, F606W of the WFC: AB 26.486, ST 26.655, pivot wavelength 5917.7 Angstrom
        ({"PHOTFLAM": 10 ** (-0.4 * (26.655 + 21.1)), "PHOTPLAM": 5917.7}, 26.486),
        ({"PHOTFLAM": 10 ** (-0.4 * 47.755), "PHOTPLAM": 5917.7, "BUNIT": "ELECTRONS/S", "EXPTIME": 100.0}, 26.486),
        ({"PHOTFLAM": 10 ** (-0.4 * 47.755), "PHOTPLAM": 5917.7, "BUNIT": "ELECTRONS", "EXPTIME": 100.0}, 31.486),
        ({"PHOTFLAM": 10 ** (-0.4 * 47.755), "PHOTPLAM": 5917.7, "BUNIT": "ELECTRONS"}, None),
        ({"PHOTFLAM": 7.8e-20}, None),
        ({"PHOTFLAM": 0.0, "PHOTPLAM": 5917.7}, None),
        ({}, None),
    ],
)
def test_zero_point_of_a_header(cards, expected):
    found = header_zeropoint(fits.Header(cards))
    assert found == (None if expected is None else pytest.approx(expected, abs=2e-3))


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (("IQIMAGE", 0.879, "Image Quality of this T0007 stack (arcsec)"), 0.879),
        (("PSF_FWHM", 0.8, "Spatial resolution"), 0.8),
        (("PSF_FWHM", 4.0, "[pix] median FWHM"), None),
        (("PSF_RAD", 0.73, ""), 0.73),
        (("SEEING", 0.7, "[arcsec] FWHM"), 0.7),
        (("SEEING", 2.6, "Average FWHM (pixels)"), None),
        (("FWHM", 2.6, ""), None),
        (("HIERARCH CHIP.SEEING", "NaN", "Seeing FWHM (pixels)"), None),
        (("IQIMAGE", 0.0, "(arcsec)"), None),
        (("IQIMAGE", "0.8", "(arcsec)"), 0.8),
    ],
)
def test_seeing_of_a_header_with_a_known_unit(card, expected):
    assert header_seeing(fits.Header([card])) == expected


def test_saturation_of_a_header():
    assert header_saturation(fits.Header({"SATURATE": 5270.0})) == 5270.0
    for cards in ({}, {"SATURATE": 0.0}, {"SATURATE": -1}):
        assert header_saturation(fits.Header(cards)) == np.inf
    with pytest.warns(UserWarning, match="SATURATE = 'high', which is not a number and is ignored"):
        assert header_saturation(fits.Header({"SATURATE": "high"})) == np.inf


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
def test_the_primary_header_completes_that_of_an_extension(tmp_path, kind):
    primary = fits.PrimaryHDU()
    primary.header["EXPTIME"] = 100.0
    primary.header["SEEING"] = (0.7, "arcsec")
    primary.header["MAGZERO"] = 25.0
    primary.header["OBSERVER"] = "somebody"
    primary.header["HIERARCH FPA.ZP"] = 25.0
    extension = kind(np.zeros((4, 4), np.float32))
    extension.header["MAGZERO"] = 30.0
    fits.HDUList([primary, extension]).writeto(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        header = full_header(hdus, hdus[1])
        assert (header["EXPTIME"], header["FPA.ZP"], header["MAGZERO"]) == (100.0, 25.0, 30.0)
        assert header_seeing(header) == 0.7
        assert "OBSERVER" not in header and "EXPTIME" not in hdus[1].header
        assert full_header(hdus, hdus[0]) is hdus[0].header


def test_kept_keywords_suffice_for_the_photometry():
    """With only these cards and the cards of the WCS, a header gives the same photometry as a whole one."""
    for cards in (
        {"HIERARCH FPA.ZP": 25.0, "EXPTIME": 100.0},
        {"PHOTFLAM": 7.8e-20, "PHOTPLAM": 5921.0, "BUNIT": "ELECTRONS", "EXPTIME": 10.0},
        {"FLUXMAG0": 1e10, "SATURATE": 9.0, "IQIMAGE": 0.8},
    ):
        whole = fits.Header({"OBJECT": "A1703", **cards})
        kept = fits.Header([card for card in whole.cards if card.keyword in KEPT_KEYS])
        for function in (header_zeropoint, header_seeing, header_saturation):
            assert function(kept) == function(whole)
    photometry = fits.Header(dict.fromkeys(sorted(KEPT_KEYS - {"FPA.ZP"}), 1.0) | {"CTYPE1": "RA---TAN"})
    assert wcs_cards(photometry) == wcs_cards(fits.Header({"CTYPE1": "RA---TAN"}))


# --- reading with a survey --------------------------------------------------------------------------------------------


def test_pixel_scale_of_files_without_a_wcs(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, fits.Header())
    with pytest.raises(CutoutError, match="survey="):
        CutoutSet.read(tmp_path)
    assert CutoutSet.read(tmp_path, survey="HSC").pixel_scale[0] == 0.168
    assert CutoutSet.read(tmp_path, survey="hsc", pixel_scale=0.2).pixel_scale[0] == 0.2
    (tmp_path / "with").mkdir()
    write_bands(tmp_path / "with", cutout, wcs_header(scale=0.3))
    assert CutoutSet.read(tmp_path / "with", survey="hsc").pixel_scale[0] == pytest.approx(0.3)


def test_pixel_scale_of_arrays(tmp_path, cutout, recwarn):
    np.save(tmp_path / "a.npy", cutout)
    np.savez(tmp_path / "b.npz", pixels=cutout, pixel_scale=0.4)
    cutouts = CutoutSet.read(tmp_path, survey="des", bands="gri")
    assert cutouts.pixel_scale.tolist() == [0.263, 0.4]
    assert not recwarn
    # The zero point of a survey is for headers without one, and arrays have no header.
    np.testing.assert_array_equal(cutouts.pixels[0], cutout)


def test_zero_points_missing_from_headers(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header())
    for survey, zeropoint in (("des", 30.0), ("hsc", 27.0), ("sdss", 22.5), ("kids", 0.0)):
        pixels = CutoutSet.read(tmp_path, survey=survey).pixels[0]
        np.testing.assert_allclose(pixels, cutout * 10 ** (0.4 * (27 - zeropoint)), rtol=1e-5)
    # A survey without a zero point does not change the flux.
    np.testing.assert_array_equal(CutoutSet.read(tmp_path, survey="ps1").pixels[0], cutout)
    stated = CutoutSet.read(tmp_path, survey="des", zeropoint=27.0).pixels[0]
    np.testing.assert_array_equal(stated, cutout)


def test_headers_override_the_zero_point_of_the_survey(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), g={"MAGZERO": 25.0})
    with pytest.raises(CutoutError, match="for some bands only"):
        CutoutSet.read(tmp_path)
    pixels = CutoutSet.read(tmp_path, survey="des").pixels[0]
    np.testing.assert_allclose(pixels, cutout * 10 ** (0.4 * (27 - np.array([25.0, 30.0, 30.0]))), rtol=1e-5)
    with pytest.raises(CutoutError, match="for some bands only"):
        CutoutSet.read(tmp_path, survey="euclid")


def test_a_survey_zero_point_is_not_used_for_two_units(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), g={"BUNIT": "adu"}, r={"BUNIT": "electron"}, i={"BUNIT": "electron"})
    with pytest.raises(CutoutError, match="have different units"):
        CutoutSet.read(tmp_path, survey="lsst")


def test_headers_and_catalogues_override_seeing_and_depth_of_the_survey(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), g={"IQIMAGE": 0.9}, r={"IQIMAGE": 0.8}, i={"IQIMAGE": 0.6})

    def known(**options):
        return CutoutSet.read(tmp_path, **options).metadata[["seeing", "depth"]].iloc[0].tolist()

    np.testing.assert_array_equal(known(), [0.8, np.nan])
    assert known(survey="cfhtls") == [0.8, 25.1]
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("id,seeing,depth\nA1,0.7,24.0\n")
    assert known(survey="cfhtls", catalog=catalog) == [0.7, 24.0]
    np.testing.assert_array_equal(known(survey="hst"), [0.8, np.nan])


def test_seeing_and_depth_of_arrays(tmp_path, rng):
    seeing = [0.7, np.nan]
    np.savez(tmp_path / "a.npz", pixels=rng.normal(size=(2, 48, 48, 3)), pixel_scale=0.2, seeing=seeing)
    metadata = CutoutSet.read(tmp_path, survey="kids").metadata
    assert metadata["seeing"].tolist() == [0.7, 0.70]
    assert metadata["depth"].tolist() == [25.6, 25.6]


def test_extensions_named_by_filter(tmp_path, cutout, wcs_header):
    order = (2, 0, 1)
    hdus = [fits.ImageHDU(cutout[..., k], wcs_header(), name=HST[k]) for k in order]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "A1.fits")
    with pytest.raises(CutoutError):
        CutoutSet.read(tmp_path)
    with pytest.raises(CutoutError):
        CutoutSet.read(tmp_path, survey="hsc")
    np.testing.assert_array_equal(CutoutSet.read(tmp_path, survey="hst").pixels[0], cutout)


def test_an_extension_named_by_letter_overrides_a_filter(tmp_path, cutout, wcs_header):
    names = {"g": 0, "VIS": 2, "r": 1, "i": 2}
    hdus = [fits.ImageHDU(cutout[..., k], wcs_header(), name=name) for name, k in names.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "A1.fits")
    np.testing.assert_array_equal(CutoutSet.read(tmp_path, survey="euclid").pixels[0], cutout)


def test_a_missing_filter_lists_the_existing_ones(tmp_path, cutout, wcs_header):
    hdus = [fits.ImageHDU(cutout[..., k], wcs_header(), name=HST[k]) for k in (0, 2)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "A1.fits")
    with pytest.raises(CutoutError, match="The band r is missing: the extensions are f475w, f814w"):
        CutoutSet.read(tmp_path, survey="hst")


@pytest.mark.parametrize(
    "keys",
    [
        {"BANDS": "F475W,F606W,F814W"},
        {"BAND0": "F475W", "BAND1": "F606W", "BAND2": "F814W"},
        {"FILTER1": "F475W", "FILTER2": "f606w", "FILTER3": "F814W"},
    ],
)
def test_cubes_whose_header_names_filters(tmp_path, cutout, wcs_header, keys):
    header = wcs_header()
    header.update(keys)
    fits.writeto(tmp_path / "cube.fits", np.moveaxis(cutout, -1, 0), header)
    with pytest.raises(CutoutError, match="missing"):
        CutoutSet.read(tmp_path)
    np.testing.assert_array_equal(CutoutSet.read(tmp_path, survey="hst").pixels[0], cutout)


def test_arrays_that_name_filters(tmp_path, cutout):
    np.savez(tmp_path / "a.npz", pixels=cutout[..., ::-1], bands=list(HST[::-1]))
    np.testing.assert_array_equal(CutoutSet.read(tmp_path, survey="hst").pixels[0], cutout)


def test_letters_override_filters_and_the_first_filter_is_used():
    assert name_bands(["VIS", "g", "r", "i"], get_survey("euclid").filters) == ("VIS", "g", "r", "i")
    assert name_bands(["HSC-R2", "HSC-R", "HSC-G", "HSC-I2"], get_survey("hsc").filters) == ("HSC-R2", "r", "g", "i")
    assert name_bands(["g", "r", "i1", "i2"], get_survey("kids").filters) == ("g", "r", "i", "i2")
    assert name_bands(["F606W", "clear"], {}) == ("F606W", "clear")


@pytest.mark.parametrize("pattern", ["{name}_{filter}.fits", "h_{name}_{filter}_v1_drz.fits", "{filter}-{name}.fits"])
def test_band_files_named_by_filter(tmp_path, cutout, wcs_header, pattern):
    for k, name in enumerate(HST):
        header = wcs_header(scale=0.05)
        header["PHOTFLAM"], header["PHOTPLAM"] = 10 ** (-0.4 * (26 + k + 2.408)) / 5000.0**2, 5000.0
        path = tmp_path / pattern.format(name="a383", filter=name.lower() if k else name)
        fits.writeto(path, cutout[..., k], header)
        fits.writeto(path.with_name(path.name.replace(".fits", "_wht.fits")), cutout[..., k], header)
    assert (count_cutouts(tmp_path), count_cutouts(tmp_path, survey="hst")) == (3, 1)
    cutouts = CutoutSet.read(tmp_path, survey="hst")
    assert len(cutouts) == 1 and "a383" in cutouts.ids[0] and "606" not in cutouts.ids[0]
    assert cutouts.metadata["seeing"].tolist() == [0.12]
    np.testing.assert_allclose(cutouts.pixels[0], cutout * 10 ** (0.4 * (27 - np.array([26, 27, 28]))), rtol=1e-3)


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=lambda survey: survey.name)
def test_every_filter_of_a_survey_is_found_in_names_of_files(survey):
    for band, names in survey.bands.items():
        for name in names:
            for pattern in ("A1_{}", "{}_A1", "calexp-{}-9813-4,5", "{}"):
                stem = pattern.format(name.replace(" ", "_"))
                assert parse_stem(stem, survey.filters)[1] == band, stem


def test_filters_of_several_tokens_in_hsc_file_names(tmp_path, cutout):
    names = ("HSC-G", "HSC-R2", "HSC-I")
    for k, name in enumerate(names):
        header = fits.Header({"FLUXMAG0": 10**10.8})
        fits.writeto(tmp_path / f"calexp-{name}-9813-4,5.fits", cutout[..., k], header)
        # Another patch of the sky is another cutout.
        fits.writeto(tmp_path / f"calexp-{name}-9813-4,6.fits", 2 * cutout[..., k], header)
    assert (count_cutouts(tmp_path), count_cutouts(tmp_path, survey="hsc")) == (6, 2)
    cutouts = CutoutSet.read(tmp_path, survey="hsc")
    assert cutouts.ids.tolist() == ["calexp-9813-4,5", "calexp-9813-4,6"]
    np.testing.assert_allclose(cutouts.pixels, [cutout, 2 * cutout], rtol=1e-6)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("A1_HSC-R", ("A1", "r", False)),
        ("HSC-R_A1", ("A1", "r", False)),
        ("HSC_R2-A1_sci", ("A1", "r", False)),
        ("HSC-R", ("", "r", False)),
        ("HSC-R_A1_HSC-I2", ("HSC-R_A1", "i", False)),
        ("A1_HSC-R_wht", ("A1_HSC-R_wht", "", True)),
        ("A1_wht_HSC-R", ("A1_wht_HSC-R", "", True)),
        ("wht_HSC-R", ("wht", "r", False)),
        ("A1_HSC-R3", ("A1_HSC-R3", "", False)),
        ("A1-XHSC-R", ("A1-XHSC-R", "", False)),
        ("HSC-R_A1_g", ("HSC-R_A1", "g", False)),
    ],
)
def test_a_filter_of_two_tokens_is_parsed_as_one(stem, expected):
    assert parse_stem(stem, get_survey("hsc").filters) == expected


def test_two_filters_of_one_letter_are_not_mixed(tmp_path):
    for name in ("HSC-G", "HSC-R", "HSC-R2", "HSC-I"):
        (tmp_path / f"A1_{name}.fits").touch()
    (entry,) = find_entries(tmp_path, filters=get_survey("hsc").filters)
    assert "2 files for the band r: A1_HSC-R.fits and A1_HSC-R2.fits" in entry.problem


def test_files_named_by_letter_override_filters(tmp_path, cutout, wcs_header, write_bands):
    write_bands(tmp_path, cutout, wcs_header(), name="F606W_A1")
    cutouts = CutoutSet.read(tmp_path, survey="hst")
    assert cutouts.ids.tolist() == ["F606W_A1"]
    np.testing.assert_array_equal(cutouts.pixels[0], cutout)
