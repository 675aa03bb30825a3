"""Tests of folders as surveys publish them: the science images are read in their units, and maps are left out."""

import numpy as np
import pandas as pd
import pytest
from layouts import CLUSTER, FLUX, LAYOUTS

from gridlens.cutouts import CutoutSet, extract

# Layouts with all bands on one pixel grid, which can be read as cutouts too.
ONE_GRID = ("ps1", "legacy", "des", "kids", "hsc", "cfhtls", "euclid", "hst")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Set a separate cache folder for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()


def flux_of_star(cutouts):
    """Return the flux in g, r and i within 3 arcsec of the centre, above the median of the other pixels."""
    (pixels,) = cutouts.pixels
    y, x = np.indices(pixels.shape[:2]) - (len(pixels) - 1) / 2
    near = np.hypot(x, y) * cutouts.pixel_scale[0] < 3.0
    return (pixels[near] - np.median(pixels[~near], axis=0)).sum(axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_clusters_cut_out_of_a_folder_have_the_flux_of_the_survey(tmp_path, name):
    options = LAYOUTS[name](tmp_path / name)
    images = options.pop("images", dict.fromkeys("gri", str(tmp_path / name)))
    cutouts, failures, _, _, zeropoint = extract(pd.DataFrame(CLUSTER), images, size=20.0, npix=64, **options)
    assert failures == []
    assert zeropoint.tolist() == [27.0]
    np.testing.assert_allclose(flux_of_star(cutouts), FLUX, rtol=0.01)


@pytest.mark.parametrize("name", ONE_GRID)
def test_a_folder_read_as_cutouts_has_the_same_flux(tmp_path, name):
    options = LAYOUTS[name](tmp_path / name)
    cutouts = CutoutSet.read(tmp_path / name, **options)
    assert len(cutouts) == 1
    np.testing.assert_allclose(flux_of_star(cutouts), FLUX, rtol=0.01)


def test_frames_on_different_grids_are_refused(tmp_path):
    LAYOUTS["sdss"](tmp_path / "sdss")
    with pytest.raises(ValueError, match="bands g and r are not on one pixel grid"):
        CutoutSet.read(tmp_path / "sdss")
