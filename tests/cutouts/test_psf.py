"""Tests of bands matched to one seeing."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from skies import DEC, RA, gnomonic, stars, write_image

from gridlens.cutouts import extract
from gridlens.cutouts.images._psf import blur, matching_sigmas
from gridlens.errors import CutoutError


def width(image):
    """Return the FWHM of a star at the centre in px, from its second moments."""
    image = np.where(np.isfinite(image), image, 0.0).astype(float)
    y, x = np.indices(image.shape)
    total = image.sum()
    x0, y0 = (image * x).sum() / total, (image * y).sum() / total
    return 2.3548 * np.sqrt((image * ((x - x0) ** 2 + (y - y0) ** 2)).sum() / total / 2)


def test_widths_add_in_quadrature():
    sigmas = matching_sigmas([1.2, 0.9, 0.7])
    assert sigmas[0] == 0.0
    np.testing.assert_allclose(np.hypot([1.2, 0.9, 0.7], 2.3548 * sigmas), 1.2, rtol=1e-4)
    assert matching_sigmas([0.8, 0.8, 0.8]).tolist() == [0.0, 0.0, 0.0]


def test_a_blur_conserves_flux_and_widens_as_expected():
    sky = [SkyCoord(RA, DEC, unit="deg")]
    star = stars(gnomonic(0.2, 121), 121, sky, 1000.0, fwhm=4.0)
    wide = blur(star, 3.0)
    assert wide.sum() == pytest.approx(1000.0, rel=1e-4)
    assert width(wide) == pytest.approx(np.hypot(width(star), 2.3548 * 3.0), rel=5e-3)
    assert blur(star, 0.0) is star


def test_bad_pixels_stay_bad_and_do_not_affect_neighbours(rng):
    image = np.full((60, 60), 7.0, np.float32)
    image[20:30, 40:45] = np.nan
    wide = blur(image, 2.0)
    np.testing.assert_array_equal(np.isnan(wide), np.isnan(image))
    np.testing.assert_allclose(wide[np.isfinite(wide)], 7.0, rtol=1e-5)
    assert np.isnan(blur(np.full((9, 9), np.nan, np.float32), 2.0)).all()


@pytest.fixture
def images(tmp_path):
    """Write images of one star in three bands, with a seeing of 1.4, 1.0 and 0.8 arcsec."""
    sky = [SkyCoord(RA, DEC, unit="deg")]
    wcs = gnomonic(0.2, 400)
    seeing = {"g": 1.4, "r": 1.0, "i": 0.8}
    return {
        band: str(write_image(tmp_path / f"{band}.fits", stars(wcs, 400, sky, 1000.0, fwhm / 0.2), wcs))
        for band, fwhm in seeing.items()
    }


def test_matched_bands_leave_no_ring_about_a_star(images):
    clusters = pd.DataFrame({"ra": [RA], "dec": [DEC]})
    seeing = {"g": 1.4, "r": 1.0, "i": 0.8}
    plain = extract(clusters, images, size=48, npix=240).cutouts.pixels[0]
    matched = extract(clusters, images, size=48, npix=240, match_psf=True, seeing=seeing).cutouts.pixels[0]
    assert width(plain[:, :, 2]) < 0.7 * width(plain[:, :, 0])
    for band in range(3):
        assert width(matched[:, :, band]) == pytest.approx(width(plain[:, :, 0]), rel=0.01)
        assert matched[:, :, band].sum() == pytest.approx(1000.0, rel=0.002)
    ring, left = (np.abs(image[:, :, 0] - image[:, :, 2]).max() for image in (plain, matched))
    assert left < 0.02 * ring


def test_an_unknown_seeing_is_refused(images):
    clusters = pd.DataFrame({"ra": [RA], "dec": [DEC]})
    with pytest.raises(CutoutError, match=r"seeing of .* in the band i is unknown.*seeing="):
        extract(clusters, images, match_psf=True, seeing={"g": 1.4, "r": 1.0})
    assert np.isfinite(extract(clusters, images, match_psf=True, survey="des").cutouts.pixels).all()
