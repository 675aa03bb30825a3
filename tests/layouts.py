"""Miniature versions of the folders that surveys publish: file names, header cards, units and auxiliary maps.

Each function writes the images of one position into a folder. A star of known AB magnitudes lies in the middle, so that
the flux that is read can be compared with its flux at zero point 27.
"""

import bz2
import gzip

import numpy as np
from astropy.io import fits
from skies import DEC, RA, gnomonic, header_of

MAGNITUDES = {"g": 20.0, "r": 19.0, "i": 18.5}
FLUX = np.array([10 ** (0.4 * (27.0 - MAGNITUDES[band])) for band in "gri"])
POGSON = 2.5 / np.log(10.0)
SIDE = 160


def star(band, zeropoint, scale, seed=0, side=SIDE, shift=(0.0, 0.0)):
    """Return the flux per pixel (float64) of a star of 1.2 arcsec, with noise at an S/N of a few hundred."""
    total = 10 ** (0.4 * (zeropoint - MAGNITUDES[band]))
    y, x = np.indices((side, side)) - (side - 1) / 2
    sigma = 0.5 / scale
    r2 = (x - shift[0]) ** 2 + (y - shift[1]) ** 2
    light = np.exp(-r2 / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return total * (light + np.random.default_rng((seed, ord(band))).normal(scale=2e-5, size=light.shape))


def wcs_cards(scale, side=SIDE, **cards):
    return header_of(gnomonic(scale, side), **cards)


def constant(value, header, side=SIDE):
    """Return a constant map that must not be mistaken for the image: it would be cut out as a bright constant."""
    return np.full((side, side), value, dtype=np.float32), header


def write(path, *hdus):
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList(list(hdus)).writeto(path, overwrite=True)


def ps1(folder):
    """Write Pan-STARRS stacks: scaled integers of asinh magnitudes, compressed; FPA.ZP per second, and the exposure."""
    zeropoint = 25.0 + 2.5 * np.log10(600.0)
    for band in "gri":
        stem = f"rings.v3.skycell.1405.053.stk.{band}.unconv"
        header = wcs_cards(0.25, EXPTIME=600.0, BOFFSET=0.5, BSOFTEN=3.0)
        header["HIERARCH FPA.ZP"] = 25.0
        flux = star(band, zeropoint, 0.25)
        packed = fits.CompImageHDU((POGSON * np.arcsinh((flux - 0.5) / 6.0)).astype("f4"), header)
        packed.scale("int16", bscale=5e-4, bzero=8.0)
        write(folder / f"{stem}.fits", fits.PrimaryHDU(), packed)
        for k, name in enumerate(("wt", "mask", "num", "exp", "expwt")):
            write(folder / f"{stem}.{name}.fits", fits.PrimaryHDU(), fits.CompImageHDU(*constant(40.0 + k, header)))
    return {}


def legacy(folder):
    """Write Legacy Surveys bricks in nanomaggies; each band with its inverse variance, chi2, models and depths."""
    brick = folder / "coadd" / "150" / "1500p020"
    for band in "gri":
        header = wcs_cards(0.262, BUNIT="nanomaggy", MAGZERO=22.5, FILTER=band)
        image = fits.CompImageHDU(star(band, 22.5, 0.262).astype("f4"), header, quantize_level=64.0)
        write(brick / f"legacysurvey-1500p020-image-{band}.fits.fz", fits.PrimaryHDU(), image)
        for name in ("invvar", "chi2", "model", "blobmodel", "depth", "galdepth", "nexp", "psfsize"):
            data = fits.CompImageHDU(*constant(900.0, header))
            write(brick / f"legacysurvey-1500p020-{name}-{band}.fits.fz", fits.PrimaryHDU(), data)
    write(brick / "legacysurvey-1500p020-maskbits.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(*constant(1, header)))
    return {}


def des(folder):
    """Write a DES tile: image, mask and weight in one file per band, identified by EXTNAME."""
    for band in "gri":
        header = wcs_cards(0.263, MAGZERO=30.0, FILTER=f"{band} DECam SDSS c0001 4720.0 1520.0")
        planes = [
            fits.CompImageHDU(star(band, 30.0, 0.263).astype("f4"), header, name="SCI", quantize_level=64.0),
            fits.CompImageHDU(np.full((SIDE, SIDE), 7, dtype=np.int32), header, name="MSK"),
            fits.CompImageHDU(*constant(5e4, header), name="WGT"),
        ]
        write(folder / f"DES0959+0209_r4907p01_{band}.fits.fz", fits.PrimaryHDU(), *planes)
    return {}


def kids(folder):
    """Write KiDS images with a zero point of 0, which only the preset can declare (in a header, 0 means unknown)."""
    for band in "gri":
        header = wcs_cards(0.2, ZEROPNT=0.0)
        stem = f"KiDS_DR4.0_150.0_2.0_{band}"
        write(folder / f"{stem}_sci.fits", fits.PrimaryHDU(star(band, 0.0, 0.2).astype("f4"), header))
        write(folder / f"{stem}_wei.fits", fits.PrimaryHDU(*constant(3.0, header)))
        write(folder / f"{stem}_msk.fits", fits.PrimaryHDU(np.full((SIDE, SIDE), 2, dtype=np.int32), header))
    return {"survey": "kids"}


def hsc(folder):
    """Write HSC patches: image, mask and variance in one file per filter, by EXTTYPE; FLUXMAG0 in the first header."""
    for band in "gri":
        filter_ = f"HSC-{band.upper()}"
        primary = fits.PrimaryHDU()
        primary.header["FLUXMAG0"] = 10 ** (0.4 * 27.0)
        header = wcs_cards(0.168)
        planes = [
            fits.ImageHDU(star(band, 27.0, 0.168).astype("f4"), header),
            fits.ImageHDU(np.full((SIDE, SIDE), 32, dtype=np.int32), header),
            fits.ImageHDU(*constant(500.0, header)),
        ]
        for plane, kind in zip(planes, ("IMAGE", "MASK", "VARIANCE"), strict=True):
            plane.header["EXTTYPE"] = kind
        patch = folder / "deepCoadd-results" / filter_ / "9813" / "4,4"
        write(patch / f"calexp-{filter_}-9813-4,4.fits", primary, *planes)
        write(patch / f"bkgd-{filter_}-9813-4,4.fits", fits.PrimaryHDU(*constant(77.0, header)))
    return {"survey": "hsc"}


def sdss(folder):
    """Write SDSS frames in nanomaggies, zipped; each filter has its own grid, and header numbers are in quotes."""
    for k, band in enumerate("gri"):
        wcs = gnomonic(0.396, SIDE, crpix=[(SIDE + 1) / 2 + 3 * k, (SIDE + 1) / 2 - 2 * k])
        header = header_of(wcs, BUNIT="nanomaggy", EXPTIME="53.907456", FILTER=band)
        flux = star(band, 22.5, 0.396, shift=(3 * k, -2 * k)).astype("f4")
        column = fits.Column("ALLSKY", "16E", array=np.ones((1, 16), dtype=np.float32))
        hdus = fits.HDUList(
            [
                fits.PrimaryHDU(flux, header),
                fits.ImageHDU(np.full(SIDE, 0.005, dtype=np.float32)),
                fits.BinTableHDU.from_columns([column]),
            ]
        )
        folder.mkdir(exist_ok=True)
        hdus.writeto(folder / "frame.fits", overwrite=True)
        content = (folder / "frame.fits").read_bytes()
        (folder / f"frame-{band}-003836-4-0084.fits.bz2").write_bytes(bz2.compress(content))
    (folder / "frame.fits").unlink()
    return {}


def cfhtls(folder):
    """Write CFHTLS stacks by Terapix, with their weights."""
    for band in "gri":
        header = wcs_cards(0.186, MZP_AB=30.0, FILTER=f"{band}.MP9401", SATURATE=5e6)
        stem = f"CFHTLS_W_{band}_100000+020000_T0007_MEDIAN"
        write(folder / f"{stem}.fits", fits.PrimaryHDU(star(band, 30.0, 0.186).astype("f4"), header))
        write(folder / f"{stem}_weight.fits", fits.PrimaryHDU(*constant(12.0, header)))
    return {}


def euclid(folder):
    """Write Euclid MER tiles: VIS and ground-based mosaics with their noise, flags, background and PSFs."""
    names = {"g": "DES-G", "r": "VIS", "i": "DES-I"}
    tail = "TILE102018211"
    for band, name in names.items():
        header = wcs_cards(0.1, side=320, MAGZERO=23.9, BUNIT="uJy", FILTER=name)
        data = star(band, 23.9, 0.1, side=320).astype("f4")
        write(
            folder / f"EUC_MER_BGSUB-MOSAIC-{name}_{tail}-ACBD03_20241018T142710.276838Z_00.00.fits",
            fits.PrimaryHDU(data, header),
        )
        for pattern in ("MOSAIC-{}-RMS", "MOSAIC-{}-FLAG", "BGMOD-{}", "GRID-PSF-{}"):
            path = folder / f"EUC_MER_{pattern.format(name)}_{tail}-CC66F6_20241018T142710.276835Z_00.00.fits"
            write(path, fits.PrimaryHDU(*constant(60.0, header, side=320)))
    return {"survey": "euclid"}


def hst(folder):
    """Write drizzled HST images in electrons/s, with weights and contexts as extensions, and PHOTFLAM and PHOTPLAM."""
    pivots = {"g": ("f475w", 4746.9), "r": ("f606w", 5921.1), "i": ("f814w", 8057.0)}
    for band, (name, pivot) in pivots.items():
        zeropoint = 26.0
        density = 10 ** (-0.4 * (zeropoint + 21.1 - 18.6921 + 5 * np.log10(pivot)))
        primary = fits.PrimaryHDU()
        primary.header["EXPTIME"] = 2000.0
        header = wcs_cards(0.05, side=480, BUNIT="ELECTRONS/S", PHOTFLAM=density, PHOTPLAM=pivot)
        planes = [
            fits.ImageHDU(star(band, zeropoint, 0.05, side=480).astype("f4"), header, name="SCI"),
            fits.ImageHDU(*constant(2000.0, header, side=480), name="WHT"),
            fits.ImageHDU(np.full((480, 480), 3, dtype=np.int32), header, name="CTX"),
        ]
        write(folder / f"hst_12065_01_acs_wfc_{name}_drc.fits", primary, *planes)
    return {"survey": "hst"}


def jwst(folder):
    """Write zipped JWST images in MJy/sr with two pixel sizes; errors, contexts and variances are extensions."""
    names = {"g": ("f090w", 0.03), "r": ("f150w", 0.03), "i": ("f277w", 0.06)}
    for band, (name, scale) in names.items():
        side = round(24.0 / scale)
        header = wcs_cards(scale, side=side, BUNIT="MJy/sr")
        steradians = np.radians(scale / 3600.0) ** 2
        data = (star(band, 8.90 - 15.0, scale, side=side) / steradians).astype("f4")
        planes = [fits.ImageHDU(data, header, name="SCI")]
        for other in ("ERR", "CON", "WHT", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"):
            planes.append(fits.ImageHDU(*constant(0.7, header, side=side), name=other))
        path = folder / f"jw02736001001_t001_nircam_clear-{name}_i2d.fits"
        write(path, fits.PrimaryHDU(), *planes)
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()
    return {"images": {band: str(folder / f"*{name}_i2d.fits.gz") for band, (name, _) in names.items()}}


LAYOUTS = {function.__name__: function for function in (ps1, legacy, des, kids, hsc, sdss, cfhtls, euclid, hst, jwst)}
CLUSTER = {"id": ["A1"], "ra": [RA], "dec": [DEC]}
