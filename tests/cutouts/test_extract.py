"""Tests of clusters cut out of simulated images."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from skies import DEC, RA, gnomonic, header_of, measured, stars, write_image

from gridlens.cutouts import CutoutFlag, extract, extract_batches, write_fits
from gridlens.errors import CutoutError, GridlensError

SIZE = 500


@pytest.fixture
def sky(rng):
    """Return positions of stars within half an arcmin of the centre."""
    return SkyCoord(RA + rng.uniform(-20, 20, 6) / 3600, DEC + rng.uniform(-20, 20, 6) / 3600, unit="deg")


@pytest.fixture
def images(tmp_path, sky, rng):
    """Write images of the same stars in three bands, each on a separate grid and with a zero point in its header."""
    grids = {
        "g": gnomonic(0.25, 420, turn=20.0),
        "r": gnomonic(0.2, SIZE),
        "i": gnomonic(0.2, SIZE, sip=True, flip=True),
    }
    paths = {}
    for band, wcs in grids.items():
        size = wcs.pixel_shape[0] if wcs.pixel_shape else (420 if band == "g" else SIZE)
        image = stars(wcs, size, sky, 1000.0, fwhm=1.0 / (0.25 if band == "g" else 0.2))
        image += rng.normal(scale=0.05, size=image.shape)
        paths[band] = str(write_image(tmp_path / f"field_{band}.fits", image.astype(np.float32), wcs, MAGZERO=27.0))
    return paths


@pytest.fixture
def clusters():
    return pd.DataFrame(
        {"id": ["A", "B"], "ra": [RA, RA + 5 / 3600], "dec": [DEC, DEC - 4 / 3600], "richness": [40.0, np.nan]}
    )


def test_bands_of_three_grids_are_resampled_to_one(images, clusters, sky):
    found = extract(clusters, images, size="64arcsec", npix=128)
    assert found.cutouts.ids.tolist() == ["A", "B"]
    assert found.rows.tolist() == [0, 1]
    assert found.cutouts.pixels.shape == (2, 128, 128, 3)
    assert found.cutouts.pixel_scale.tolist() == [0.5, 0.5]
    assert not found.failures
    for k in range(2):
        middle = found.wcs[k].pixel_to_world(63.5, 63.5)
        assert middle.separation(SkyCoord(clusters["ra"][k], clusters["dec"][k], unit="deg")).arcsec < 1e-3
        for place in sky:
            x, y = found.wcs[k].world_to_pixel(place)
            for band in range(3):
                flux, u, v = measured(found.cutouts.pixels[k, :, :, band], x, y, reach=5)
                assert flux == pytest.approx(1000.0, abs=15.0)
                assert np.hypot(u - x, v - y) < 0.1
    np.testing.assert_array_equal(found.cutouts.metadata["richness"], [40.0, np.nan])
    np.testing.assert_allclose(found.cutouts.metadata["ra"], clusters["ra"])


def test_given_zero_points_override_those_of_the_headers(images, clusters, rng):
    plain = extract(clusters[:1], images).cutouts.pixels
    for band, zeropoint in zip("gri", (25.0, 27.0, 29.5), strict=True):
        with fits.open(images[band], mode="update") as hdus:
            hdus[0].header["MAGZERO"] = zeropoint
    factors = np.array([10**0.8, 1.0, 10**-1.0])
    np.testing.assert_allclose(extract(clusters[:1], images).cutouts.pixels, plain * factors, rtol=1e-5)
    stated = extract(clusters[:1], images, zeropoint={"g": 27, "r": 27, "i": 24.5}).cutouts.pixels
    np.testing.assert_allclose(stated, plain * np.array([1, 1, 10.0]), rtol=1e-5)
    with fits.open(images["g"], mode="update") as hdus:
        del hdus[0].header["MAGZERO"]
    with pytest.raises(CutoutError, match=r"zero points for some bands only .*zeropoint="):
        extract(clusters[:1], images)


def test_an_unknown_zero_point_is_not_written(images, clusters, tmp_path):
    known = extract(clusters, images)
    assert known.zeropoint.tolist() == [27.0, 27.0]
    for path in images.values():
        with fits.open(path, mode="update") as hdus:
            del hdus[0].header["MAGZERO"]
    found = extract(clusters, images)
    assert np.isnan(found.zeropoint).all()
    np.testing.assert_array_equal(found.cutouts.pixels, known.cutouts.pixels)
    for name, batch in (("known", known), ("unknown", found)):
        write_fits(tmp_path / f"{name}.fits", batch.cutouts[0], batch.wcs[0], batch.zeropoint[0])
        headers = [fits.getheader(tmp_path / f"{name}.fits", band) for band in "gri"]
        assert {header.get("MAGZERO") for header in headers} == ({27.0} if name == "known" else {None})


def test_extensions_are_assigned_to_bands_by_name(images, clusters, tmp_path):
    expected = extract(clusters, images).cutouts.pixels
    for key in ("EXTNAME", "FILTER"):
        hdus = [fits.PrimaryHDU()]
        for band in "irg":
            with fits.open(images[band]) as file:
                hdus.append(fits.ImageHDU(file[0].data, file[0].header))
            hdus[-1].header[key] = band
        path = tmp_path / f"all-{key}.fits"
        fits.HDUList(hdus).writeto(path)
        found = extract(clusters, dict.fromkeys("gri", path)).cutouts.pixels
        np.testing.assert_array_equal(found, expected)


def test_one_image_for_several_bands_is_refused(images, clusters):
    with pytest.raises(CutoutError, match=r"field_g.* is given for several bands, and neither .*images=\{\"g\": PATH"):
        extract(clusters, {"g": images["g"], "r": images["g"], "i": images["i"]})
    with fits.open(images["g"], mode="update") as hdus:
        hdus[0].header["FILTER"] = "g.MP9401"
    with pytest.raises(CutoutError, match=r"None of the images .* belongs to the band r according to its header"):
        extract(clusters, {"g": images["g"], "r": images["g"], "i": images["i"]})


def test_the_edge_of_an_image_is_nan_and_flagged(images, clusters):
    clusters["dec"] += 35 / 3600
    cutouts = extract(clusters, images).cutouts
    assert (cutouts.flags == CutoutFlag.EDGE).all()
    r = cutouts.pixels[0, :, :, 1]
    # The image ends 15 arcsec north of the cluster.
    assert np.isfinite(r[: 64 + 29]).all()
    assert np.isnan(r[64 + 31 :]).all()


def test_positions_that_cannot_be_cut_become_failures_and_the_rest_is_done(images, clusters):
    bad = pd.DataFrame(
        {
            "id": ["nan", "pole", "away", "A"],
            "ra": [np.nan, 10.0, RA + 1.0, RA],
            "dec": [DEC, 95.0, DEC, DEC],
        }
    )
    found = extract(pd.concat([bad[:3], clusters, bad[3:]]), images)
    assert found.cutouts.ids.tolist() == ["A", "B", "A"]
    assert found.cutouts.flags.tolist() == [0, 0, CutoutFlag.DUPLICATE]
    failures = {failure.id: failure for failure in found.failures}
    assert failures["nan"].flags == failures["pole"].flags == CutoutFlag.BAD_POSITION
    assert "row 2 " in failures["pole"].message
    assert failures["away"].flags == CutoutFlag.NO_IMAGE
    assert "No image of g and r and i" in failures["away"].message


def test_a_band_that_ends_early_is_named(images, clusters, tmp_path):
    wcs = gnomonic(0.2, 100, ra=RA + 0.01)
    images["i"] = str(write_image(tmp_path / "small_i.fits", np.ones((100, 100), np.float32), wcs, MAGZERO=27.0))
    found = extract(pd.concat([clusters, pd.DataFrame({"id": ["C"], "ra": [RA + 0.01], "dec": [DEC]})]), images)
    assert found.cutouts.ids.tolist() == ["C"]
    assert {failure.message for failure in found.failures} == {"No image of i covers the position."}


def test_positions_off_the_images_and_exchanged_columns_are_reported(images, clusters):
    swapped = clusters.rename(columns={"ra": "dec", "dec": "ra"})
    with pytest.raises(CutoutError, match=r"None of the 2 positions .*RA 149\.9.* exchanged, 2 would be"):
        extract(swapped, images)
    with pytest.raises(CutoutError, match=r"None of the 2 positions .*Check the catalogue"):
        extract(clusters.assign(ra=20.0), images)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": "wide"}, "'size' parameter must be an angle"),
        ({"size": -3}, "'size' parameter must be an angle"),
        ({"npix": 0}, "'npix' parameter"),
        ({"npix": 12.5}, "'npix' parameter"),
        ({"batch_size": 0}, "'batch_size' parameter"),
        ({"seeing": {"g": -1.0}}, "'seeing' parameter"),
        ({"seeing": {"z": 1.0}}, "'seeing' parameter"),
        ({"zeropoint": {"g": 27.0}}, "'zeropoint' parameter"),
    ],
)
def test_parameters_are_checked_before_anything_is_read(images, clusters, change, words):
    with pytest.raises(CutoutError, match=words):
        extract_batches(clusters, images, **change)


def test_an_unknown_survey_lists_the_known_ones(images, clusters):
    with pytest.raises(ValueError, match="hsc, des"):
        extract_batches(clusters, images, survey="panda")


def test_missing_bands_and_columns(images, clusters):
    with pytest.raises(CutoutError, match="The band i is missing in the 'images' parameter"):
        extract_batches(clusters, {"g": images["g"], "r": images["r"]})
    with pytest.raises(GridlensError, match="columns 'ra' and 'dec'"):
        extract_batches(clusters[["id"]], images)


def test_the_size_accepts_any_angular_unit(images, clusters):
    narrow = extract(clusters[:1], images, size="0.5arcmin", npix=60).cutouts
    assert narrow.pixel_scale[0] == pytest.approx(0.5)
    np.testing.assert_allclose(extract(clusters[:1], images, size=30, npix=60).cutouts.pixels, narrow.pixels)


def test_the_bcg_of_the_catalogue_is_converted_to_pixels(images, clusters):
    clusters["bcg_ra"], clusters["bcg_dec"] = [RA, np.nan], [DEC + 5 / 3600, np.nan]
    bcg = extract(clusters, images).cutouts.bcg_xy
    np.testing.assert_allclose(bcg, [[63.5, 73.5], [63.5, 63.5]], atol=1e-3)


def test_clusters_without_names_go_by_their_position(images, clusters):
    assert extract(clusters[["ra", "dec"]], images).cutouts.ids.tolist() == ["150.00000+2.00000", "150.00139+1.99889"]


def test_a_saturated_band_is_flagged(images, clusters):
    with fits.open(images["r"], mode="update") as hdus:
        hdus[0].header["SATURATE"] = 5000.0
        hdus[0].data[100:300, 200:260] = 6000.0
    flags = extract(clusters, images).cutouts.flags
    assert (flags & CutoutFlag.SATURATED != 0).all()


def test_a_damaged_image_makes_its_clusters_failures(images, clusters, tmp_path, sky):
    whole = fits.getdata(images["g"])
    wcs = gnomonic(0.25, 420, turn=20.0)
    path = tmp_path / "field_g.fits.fz"
    hdu = fits.CompImageHDU(whole, header_of(wcs, MAGZERO=27.0))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    raw = bytearray(path.read_bytes())
    # Keep the header and the table of the offsets at which each row of tiles starts.
    raw[-120000:-40000] = b"\xff" * 80000
    path.write_bytes(raw)
    found = extract(clusters, {**images, "g": path})
    assert found.cutouts is None
    assert {failure.flags for failure in found.failures} == {CutoutFlag.UNREADABLE}
    assert "field_g.fits.fz of the band g is damaged" in found.failures[0].message
