"""Tests on real survey images beside the checkout, which are described in their README."""

import numpy as np
import pytest
from real_images import DATA

from gridlens import CutoutSet
from gridlens.cutouts import CutoutFlag, extract, read_batches, read_catalog
from gridlens.cutouts._reject import field_warning, reject_reason
from gridlens.errors import CutoutError

pytestmark = pytest.mark.real


def test_ps1_old_wcs_keywords_and_counts_per_exposure():
    cutouts = CutoutSet.read(DATA / "ps1")
    assert cutouts.pixels.shape == (10, 120, 120, 3)
    np.testing.assert_allclose(cutouts.pixel_scale, 0.25, rtol=1e-6)
    for cutout in cutouts:
        assert reject_reason(cutout.pixels[0], cutout.bcg_xy[0], cutout.pixel_scale[0]) == ""
        assert "30.0 arcsec" in field_warning(120, cutout.pixel_scale[0])
    # The Cosmic Horseshoe is at 11:48:33.1 +19:30:03.
    horseshoe = cutouts[cutouts.ids == "SDSSJ1148_1930"].metadata
    np.testing.assert_allclose(horseshoe[["ra", "dec"]], [[177.138, 19.5008]], atol=2e-3)


def test_ps1_cutouts_match_their_catalogue_rows():
    catalog = read_catalog(DATA / "catalogues" / "sled_galaxies.csv")
    with_catalog = CutoutSet.read(DATA / "ps1", catalog=catalog).metadata[["ra", "dec"]]
    np.testing.assert_allclose(with_catalog, CutoutSet.read(DATA / "ps1").metadata[["ra", "dec"]], atol=5 / 3600)


def test_des_science_images_without_their_companions():
    cutouts = CutoutSet.read(DATA / "des_j0330")
    assert cutouts.ids.tolist() == ["DESJ033056.9318-522813.0188"]
    assert cutouts.pixels.shape == (1, 100, 100, 3)
    assert cutouts.pixel_scale[0] == pytest.approx(0.263)
    np.testing.assert_allclose(cutouts.metadata[["ra", "dec"]], [[52.7372, -52.4703]], atol=1e-4)


def test_cfhtls_and_kids_of_two_sizes():
    found = {b.cutouts.ids[0]: b.cutouts for b in read_batches(DATA / "cfhtls_kids_humvi")}
    assert found["CFHTLS-test"].pixel_scale[0] == pytest.approx(0.186)
    assert found["KiDS-test"].pixel_scale[0] == pytest.approx(0.2)
    assert found["CFHTLS-test"].pixels.shape == (1, 440, 440, 3)
    assert found["KiDS-test"].pixels.shape == (1, 101, 101, 3)


@pytest.mark.slow
def test_kids_field_needs_its_pixel_scale():
    with pytest.raises(CutoutError, match="pixel_scale=ARCSEC"):
        CutoutSet.read(DATA / "kids_field")
    cutouts = CutoutSet.read(DATA / "kids_field", pixel_scale=0.34)
    assert cutouts.ids.tolist() == ["kids_field"]
    assert cutouts.pixels.shape == (1, 2600, 2600, 3)
    assert reject_reason(cutouts.pixels[0], cutouts.bcg_xy[0], 0.34) == ""


def test_sl2s_group_is_read_and_too_small():
    (cutout,) = CutoutSet.read(DATA / "sl2s_group")
    assert cutout.pixel_scale[0] == pytest.approx(0.186)
    assert "41 x 41 px" in reject_reason(cutout.pixels[0], cutout.bcg_xy[0], cutout.pixel_scale[0])


def test_hsc_names_its_five_bands_and_is_not_square():
    for path in sorted((DATA / "hsc_scarlet").glob("*.npz")):
        (cutout,) = CutoutSet.read(path, pixel_scale=0.168)
        with np.load(path) as file:
            np.testing.assert_array_equal(cutout.pixels[0], np.moveaxis(file["images"][:3], 0, -1))
        assert "need a square one" in reject_reason(cutout.pixels[0], cutout.bcg_xy[0], 0.168)


def test_known_lenses_are_cut_out_of_a_folder_of_tiles():
    bands = dict.fromkeys("gri", DATA / "ps1")
    with pytest.warns(UserWarning, match="253 in 'zlens'"):
        found = extract(DATA / "catalogues" / "lenscat_clusters_groups.csv", bands, size="29arcsec", npix=116)
    assert {failure.flags for failure in found.failures} <= {
        CutoutFlag.NO_IMAGE,
        CutoutFlag.NO_IMAGE | CutoutFlag.DUPLICATE,
    }
    cutouts = found.cutouts
    assert "SDSS J1209+2640" in cutouts.ids
    assert len(cutouts) + len(found.failures) == 1083
    # On the pixel scale of the image, the cutout has the flux of the image, except for the outermost rows of the sum.
    horseshoe = next(k for k, name in enumerate(cutouts.ids) if "J114833" in name and cutouts.flags[k] & ~2048 == 0)
    whole = next(cutout for cutout in CutoutSet.read(DATA / "ps1") if cutout.ids[0] == "SDSSJ1148_1930")
    inner = whole.pixels[0, 20:-20, 20:-20].sum(axis=(0, 1))
    np.testing.assert_allclose(cutouts.pixels[horseshoe, 18:-18, 18:-18].sum(axis=(0, 1)), inner, rtol=0.02)
