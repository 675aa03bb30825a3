"""Tests of WCS cards: those that astropy understands are kept, and headers that would lose information are refused."""

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from skies import DEC, RA, gnomonic, header_of, stars

from gridlens.cutouts import CutoutSet, extract
from gridlens.cutouts.images._wcs import parse_wcs, wcs_cards
from gridlens.errors import CutoutError

SIDE, SCALE = 400, 0.2


def plain(projection="TAN", **cards):
    header = fits.Header({"NAXIS": 2, "NAXIS1": SIDE, "NAXIS2": SIDE})
    header["CTYPE1"], header["CTYPE2"] = f"RA---{projection}", f"DEC--{projection}"
    header["CRVAL1"], header["CRVAL2"] = RA, DEC
    header["CRPIX1"] = header["CRPIX2"] = (SIDE + 1) / 2
    header.update({"CD1_1": -SCALE / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE / 3600})
    header.update(cards)
    return header


def tnx():
    """Return a header with a distortion as IRAF writes it: a polynomial as text, split over several cards."""
    header = plain("TNX", WAT0_001="system=image")
    terms = "3. 3. 3. 2. -0.03 0.03 -0.03 0.03 1e-4 2e-3 1e-2 3e-3 1e-3 2e-3 1e-3 1e-3 2e-3 1e-2 "
    for axis, (kind, name) in enumerate((("ra", "lngcor"), ("dec", "latcor")), 1):
        text = f'wtype=tnx axtype={kind} {name} = "{terms}"'
        for k in range(0, len(text), 68):
            header[f"WAT{axis}_{k // 68 + 1:03d}"] = text[k : k + 68]
    return header


def crota():
    header = plain(CDELT1=-SCALE / 3600, CDELT2=SCALE / 3600, CROTA2=30.0)
    del header["CD?_?"]
    return header


HEADERS = {
    "TAN": plain(),
    "SIP": plain("TAN-SIP", A_ORDER=2, B_ORDER=2, A_2_0=1e-5, B_0_2=2e-5, A_DMAX=1.0),
    "TPV": plain("TPV", PV1_1=1.001, PV1_4=0.1, PV2_1=1.0),
    "TAN with PV of SCAMP": plain(PV1_1=1.001, PV1_4=0.1, PV2_1=1.0),
    "TNX": tnx(),
    "ZPN": plain("ZPN", PV2_1=1.0, PV2_3=42.0),
    "CROTA": crota(),
    "LONPOLE": plain(LONPOLE=170.0),
    "FK4": plain(RADECSYS="FK4", EQUINOX=1950.0),
    "exchanged": plain(CTYPE1="DEC--TAN", CTYPE2="RA---TAN", CRVAL1=DEC, CRVAL2=RA),
}


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("name", HEADERS)
def test_the_kept_cards_give_the_wcs_of_the_whole_header(name):
    header = HEADERS[name]
    whole = header.copy()
    whole["OBJECT"] = "A1703"
    x, y = np.array([0.0, 30.0, 399.0]), np.array([0.0, 350.0, 399.0])
    found, truth = parse_wcs(wcs_cards(whole)).pixel_to_world(x, y), WCS(header).pixel_to_world(x, y)
    assert found.separation(truth).arcsec.max() < 1e-6


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("name", HEADERS)
def test_a_star_is_cut_out_at_its_full_wcs_position(tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    wcs = WCS(HEADERS[name])
    place = wcs.pixel_to_world(250.0, 120.0).icrs
    image = stars(wcs, SIDE, [place], 1000.0, 6.0) + np.random.default_rng(0).normal(scale=0.01, size=(SIDE, SIDE))
    for band in "gri":
        fits.PrimaryHDU(image.astype("f4"), HEADERS[name]).writeto(tmp_path / f"a_{band}.fits", output_verify="ignore")
    catalog = pd.DataFrame({"id": ["A"], "ra": [place.ra.deg], "dec": [place.dec.deg]})
    cutouts, failures, *_ = extract(catalog, dict.fromkeys("gri", str(tmp_path)), size=12.8, npix=64)
    assert failures == []
    pixels = cutouts.pixels[0, :, :, 1]
    y, x = np.indices(pixels.shape)
    assert pixels.sum() == pytest.approx(1000.0, rel=0.01)
    np.testing.assert_allclose([(pixels * x).sum() / 1000, (pixels * y).sum() / 1000], 31.5, atol=0.4)


def test_quoted_numbers_are_parsed_and_other_text_is_refused():
    quoted = plain(CRVAL1=str(RA), CD1_1=str(-SCALE / 3600).upper().replace("E", "D"))
    world = parse_wcs(wcs_cards(quoted)).pixel_to_world_values(10.0, 20.0)
    np.testing.assert_allclose(world, WCS(plain()).pixel_to_world_values(10.0, 20.0))
    with pytest.raises(CutoutError, match="CRPIX1 = 'abc', but the WCS needs a number"):
        wcs_cards(plain(CRPIX1="abc"))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (plain(CPDIS1="LOOKUP"), r"cannot be used \(.*HDUList is required"),
        (plain("TNX"), "names a distortion whose cards are missing"),
        (plain("TAN", CTYPE1="RA---XYZ", CTYPE2="DEC--XYZ"), "cannot be used"),
    ],
)
def test_an_unusable_wcs_is_refused(header, words):
    with pytest.raises(CutoutError, match=words):
        parse_wcs(wcs_cards(header))


def test_a_quoted_scale_of_a_cutout(tmp_path, cutout, wcs_header, write_bands):
    header = wcs_header()
    header["CD1_1"] = str(header["CD1_1"])
    write_bands(tmp_path, cutout, header)
    assert CutoutSet.read(tmp_path).pixel_scale[0] == pytest.approx(0.263)


def test_a_third_axis_of_one_does_not_hide_a_distortion():
    header = plain("TAN-SIP", A_ORDER=2, B_ORDER=2, A_2_0=1e-5, NAXIS=3, NAXIS3=1)
    assert parse_wcs(wcs_cards(header)).sip is not None


def test_wcs_cards_exclude_other_cards():
    header = header_of(gnomonic(SCALE, SIDE), OBJECT="A1703", MAGZERO=27.0)
    assert "OBJECT" not in wcs_cards(header)
    assert "MAGZERO" not in wcs_cards(header)
