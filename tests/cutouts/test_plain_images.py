"""Tests that plain FITS images, which are read without astropy, give bitwise the same results as with astropy."""

import sys
import warnings

import numpy as np
import pytest
from astropy.io import fits

from gridlens.cutouts import CutoutSet
from gridlens.cutouts.images import _fits_open, _wcs
from gridlens.cutouts.images._fits_open import PlainImage, open_fits, opened
from gridlens.cutouts.images._kept_cards import kept_cards
from gridlens.errors import CutoutError

SIDE = 60
WCS_CARDS = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.1,
    "CRVAL2": -2.3,
    "CRPIX1": 31.0,
    "CRPIX2": 29.5,
    "CD1_1": -7.3e-5,
    "CD1_2": 1.1e-6,
    "CD2_1": 1.1e-6,
    "CD2_2": 7.3e-5,
}
TURNED = {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8, "CDELT1": -7e-5, "CDELT2": 7e-5}
VARIANTS = {
    "plain": {},
    "ICRS": {"RADESYS": "ICRS"},
    "FK5": {"RADESYS": "FK5", "EQUINOX": 2000.0, "CUNIT1": "deg", "CUNIT2": "deg"},
    "FK4": {"RADECSYS": "FK4", "EQUINOX": 1950.0},
    "PC": {"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None, **TURNED},
    "CROTA": {"CD1_1": None, "CD1_2": None, "CD2_1": None, "CD2_2": None, "CDELT1": -7e-5, "CDELT2": 7e-5}
    | {"CROTA2": 30.0},
    "orthographic": {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "LONPOLE": 180.0},
    "exchanged": {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": -2.3, "CRVAL2": 150.1},
    "galactic": {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
    "SIP": {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6},
    "SIP without a polynomial": {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
    "PV of SCAMP": {"PV1_1": 1.001, "PV2_1": 1.001},
    "in quotes": {"CRVAL1": "150.1", "CD1_1": "-7.3D-5", "MAGZERO": "26.5"},
    "no number": {"CRPIX1": "abc"},
    "no area": {"CD1_1": 0.0, "CD1_2": 0.0},
    "no second axis": {"CTYPE2": None},
    "not of the sky": {"CTYPE1": "X", "CTYPE2": "Y", "PIXSCALE": 0.3},
    "photometry": {"MAGZERO": 26.5, "SEEING": (0.7, "FWHM (arcsec)"), "BUNIT": "adu"},
    "HIERARCH": {"HIERARCH FPA.ZP": 25.0, "EXPTIME": 100.0},
    "record": {"FPA.ZP": 25.0, "EXPTIME": 100.0},
    "scaled": {"BSCALE": 0.5, "BZERO": 3.0},
    "a map": {"EXTNAME": "WEIGHT"},
    "comments": {"COMMENT": "of the pipeline", "HISTORY": "CRVAL1 = 3", "OBJECT": "A1703"},
    "long text": {"OBSERVER": "a name " * 20, "RADESYS": "ICRS"},
}


def header(**cards):
    made = fits.Header(WCS_CARDS)
    for key, card in cards.items():
        if card is None:
            del made[key]
        else:
            made[key] = card
    return made


def write_triplet(folder, rng, made):
    for band in "gri":
        pixels = rng.normal(100.0, 5.0, size=(SIDE, SIDE)).astype(np.float32)
        fits.PrimaryHDU(pixels, made).writeto(folder / f"a_{band}.fits", output_verify="ignore")


def outcome(folder):
    """Return all results of reading a folder as bytes, or the message of the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            cutouts = CutoutSet.read(folder)
        except CutoutError as exc:
            return str(exc)
    columns = [cutouts.pixels, cutouts.pixel_scale, cutouts.metadata.to_numpy(), cutouts.sky_axes, cutouts.flags]
    return [column.tobytes() for column in columns]


def use_only_astropy(monkeypatch):
    monkeypatch.setattr(_fits_open, "_plain_image", lambda *_: None)
    monkeypatch.setattr(_wcs, "_projected_wcs", lambda _: None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", VARIANTS)
def test_a_triplet_is_read_as_by_astropy(tmp_path, rng, monkeypatch, name):
    write_triplet(tmp_path, rng, header(**VARIANTS[name]))
    found = outcome(tmp_path)
    use_only_astropy(monkeypatch)
    assert found == outcome(tmp_path)


# Start of the card that is replaced, and its replacement.
ODD_CARDS = {
    "lower case": (b"CRVAL1  =", b"crval1  ="),
    "no equals sign where it belongs": (b"CRVAL1  =  ", b"CRVAL1=    "),
    "an exponent of FORTRAN": (b"CD1_1   =             -7.3E-05", b"CD1_1   =             -7.3D-05"),
    "a sign that is alone": (b"CRVAL2  =                 -2.3", b"CRVAL2  =                - 2.3"),
    "text that goes on": (b"CUNIT1  = 'deg     '", b"CUNIT1  = 'deg&'    "),
    "twice": (b"MAGZERO =", b"CRVAL1  ="),
    "no value": (b"MAGZERO =                 26.5", b"MAGZERO =                     "),
    "letters beyond ASCII": (b"OBJECT  = 'A1703", b"OBJECT  = 'A17\xe93"),
    "zero bytes": (b"OBJECT  = 'A1703", b"OBJECT  = 'A170\x00"),
    "a file that is no FITS file by its own account": (
        b"SIMPLE  =                    T",
        b"SIMPLE  =                    F",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODD_CARDS)
def test_unusual_cards_are_read_as_by_astropy(tmp_path, rng, monkeypatch, name):
    write_triplet(tmp_path, rng, header(CUNIT1="deg", CUNIT2="deg", MAGZERO=26.5, OBJECT="A1703"))
    standard, odd = ODD_CARDS[name]
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert content.count(standard) == 1
        path.write_bytes(content.replace(standard, odd))
    found = outcome(tmp_path)
    use_only_astropy(monkeypatch)
    assert found == outcome(tmp_path)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("shape", [(SIDE, SIDE), (3, SIDE, SIDE + 2), (1, 1, SIDE, SIDE)])
def test_stored_values_match_astropy(tmp_path, rng, dtype, shape):
    values = rng.integers(0, 100, size=shape).astype(dtype)
    fits.PrimaryHDU(values, header(BZERO=3.0)).writeto(tmp_path / "a.fits")
    with opened(str(tmp_path / "a.fits"), max_side=100) as (hdu,):
        assert isinstance(hdu, PlainImage)
        assert (hdu.shape, hdu.name) == (shape, "PRIMARY")
    with open_fits(str(tmp_path / "a.fits")) as hdus:
        assert hdu.data.dtype == hdus[0].data.dtype
        np.testing.assert_array_equal(hdu.data, hdus[0].data)


def test_other_files_are_left_to_astropy(tmp_path, rng):
    pixels = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    fits.HDUList([fits.PrimaryHDU(pixels), fits.ImageHDU(pixels)]).writeto(tmp_path / "extension.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)]).writeto(tmp_path / "empty.fits")
    fits.PrimaryHDU(pixels).writeto(tmp_path / "plain.fits.gz")
    fits.PrimaryHDU(pixels).writeto(tmp_path / "longer.fits")
    with open(tmp_path / "longer.fits", "ab") as file:
        file.write(bytes(2880))
    for path in tmp_path.iterdir():
        with opened(str(path)) as hdus:
            assert not isinstance(hdus[0], PlainImage)


@pytest.mark.filterwarnings("ignore")
def test_all_required_cards_are_kept(tmp_path, rng, monkeypatch):
    asked = set()

    def note(key):
        # astropy looks up further cards for the WCS, which are kept separately.
        if isinstance(key, str) and sys._getframe(2).f_globals["__name__"].startswith("gridlens"):
            asked.add(key)

    class Asked(fits.Header):
        def __getitem__(self, key):
            note(key)
            return super().__getitem__(key)

        def __contains__(self, key):
            note(key)
            return super().__contains__(key)

        def get(self, key, default=None):
            note(key)
            return super().get(key, default)

    monkeypatch.setattr(fits, "Header", Asked)
    write_triplet(tmp_path, rng, header(MAGZERO=26.5))
    CutoutSet.read(tmp_path)
    cube = fits.PrimaryHDU(np.zeros((3, SIDE, SIDE), np.float32), header(BAND0="g", BAND1="r", BAND2="i"))
    cube.writeto(tmp_path / "cube.fits")
    for path in tmp_path.glob("a_*"):
        path.unlink()
    CutoutSet.read(tmp_path, zeropoint=25.0)
    assert {"MAGZERO", "BUNIT", "CTYPE1", "BANDS", "BAND0", "EXTNAME", "BZERO"} <= asked
    for key in asked:
        name = f"HIERARCH {key} =" if len(key) > 8 or "." in key else f"{key:8s}="
        assert kept_cards(f"{name} 1".ljust(80).encode()), key
