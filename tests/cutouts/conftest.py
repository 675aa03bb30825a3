"""Fixtures of the tests of cutouts."""

import numpy as np
import pytest
from astropy.io import fits

RA, DEC, SCALE = 150.0, 2.2, 0.263


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture
def cutout(rng):
    """Return a cutout of noise of shape (60, 60, 3). The bands have different levels, so that a swap is detected."""
    return rng.normal(loc=(10, 20, 30), size=(60, 60, 3)).astype(np.float32)


@pytest.fixture
def wcs_header():
    """Return a function that builds a header of 0.263 arcsec per pixel in one of the usual forms."""

    def build(form="CD", angle=0.0, size=60, scale=SCALE):
        header = fits.Header()
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
        header["CRVAL1"], header["CRVAL2"] = RA, DEC
        header["CRPIX1"] = header["CRPIX2"] = (size + 1) / 2
        step, cos, sin = scale / 3600, np.cos(np.radians(angle)), np.sin(np.radians(angle))
        matrix = {"1_1": -cos, "1_2": sin, "2_1": sin, "2_2": cos}
        if form == "CD":
            header.update({f"CD{key}": value * step for key, value in matrix.items()})
            return header
        header["CDELT1"] = header["CDELT2"] = step
        if form == "PC":
            header.update({f"PC{key}": value for key, value in matrix.items()})
        elif form == "PC001001":
            header.update({f"PC00{key.replace('_', '00')}": value for key, value in matrix.items()})
        else:
            header["CDELT1"] = -step
            header["CROTA2"] = angle
        return header

    return build


@pytest.fixture
def write_bands():
    """Return a function that writes NAME_g.fits, NAME_r.fits and NAME_i.fits, with further cards by band in `extra`."""

    def write(folder, pixels, header, name="A1", pattern="{name}_{band}.fits", bands="gri", **extra):
        for k, band in enumerate("gri"):
            if band in bands:
                own = header.copy()
                own.update(extra.get(band, {}))
                fits.writeto(folder / pattern.format(name=name, band=band), pixels[..., k], own)
        return folder

    return write
