"""Simulated survey images: one sky of stars on tiles of any grid."""

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, Sip

RA, DEC = 150.0, 2.0


def gnomonic(scale=0.2, size=400, turn=0.0, flip=False, ra=RA, dec=DEC, crpix=None, sip=False):
    """Return the WCS of an image; `turn` is in degrees, and `sip` adds a distortion of a few px at the corners."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if sip else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(size + 1) / 2] * 2 if crpix is None else crpix
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    east = 1.0 if flip else -1.0
    wcs.wcs.cd = np.array([[east * c, s], [-east * s, c]]) * scale / 3600
    if sip:
        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], a[1, 1], b[0, 2], b[1, 1] = 4e-5, -3e-5, 5e-5, 2e-5
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def stars(wcs, size, sky, flux, fwhm):
    """Return an image of Gaussian stars, each of `flux`, integrated over pixels by fine sampling; `fwhm` in px."""
    image = np.zeros((size, size))
    sigma = fwhm / 2.3548
    reach = int(np.ceil(6 * sigma)) + 1
    for place in sky:
        x0, y0 = wcs.world_to_pixel(place)
        x = np.arange(round(float(x0)) - reach, round(float(x0)) + reach + 1)
        y = np.arange(round(float(y0)) - reach, round(float(y0)) + reach + 1)
        fine = np.arange(-0.4, 0.5, 0.2)
        along = [np.exp(-((v[:, None] + fine - v0) ** 2) / (2 * sigma**2)).sum(axis=1) for v, v0 in ((x, x0), (y, y0))]
        star = flux * np.outer(along[1] / along[1].sum(), along[0] / along[0].sum())
        inside = np.ix_((y >= 0) & (y < size), (x >= 0) & (x < size))
        image[np.ix_(y[(y >= 0) & (y < size)], x[(x >= 0) & (x < size)])] += star[inside]
    return image.astype(np.float32)


def measured(image, x, y, reach):
    """Return the flux and the centroid in a box around a position, without background subtraction."""
    x0, y0 = round(float(x)) - reach, round(float(y)) - reach
    box = image[y0 : y0 + 2 * reach + 1, x0 : x0 + 2 * reach + 1].astype(float)
    v, u = np.mgrid[y0 : y0 + box.shape[0], x0 : x0 + box.shape[1]]
    return box.sum(), (box * u).sum() / box.sum(), (box * v).sum() / box.sum()


def header_of(wcs, **cards):
    """Return a header with a WCS, including its distortion, and further cards."""
    header = wcs.to_header(relax=True)
    if wcs.sip is not None:
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header.update(cards)
    return header


def write_image(path, data, wcs, **cards):
    """Write a FITS file with a single image."""
    fits.PrimaryHDU(data, header_of(wcs, **cards)).writeto(path, overwrite=True)
    return path
