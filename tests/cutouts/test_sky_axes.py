"""Tests of the orientation of a cutout on the sky, from every kind of WCS and through sets, catalogues and files."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from skies import gnomonic, write_image

from gridlens import CutoutSet
from gridlens.cutouts import extract, write_fits, write_npz
from gridlens.cutouts._tangent import move_along, sky_at, tangent_frame
from gridlens.errors import CutoutError

SIDE = 64
CORNERS = np.array([[0.0, 0.0], [63.0, 0.0], [0.0, 63.0], [63.0, 63.0], [40.2, 11.7]])
PLACES = [(150.0, 2.0), (0.001, -45.0), (359.999, 60.0), (33.0, 89.999), (33.0, -89.9)]


def projected(projection, ra, dec, turn=0.0, flip=False, frame="RA"):
    """Return a WCS whose reference pixel is some arcmin outside the cutout."""
    wcs = gnomonic(scale=0.5, turn=turn, flip=flip, ra=ra, dec=dec, crpix=[700.0, -300.0])
    names = {"RA": ("RA--", "DEC-"), "GLON": ("GLON", "GLAT")}[frame]
    wcs.wcs.ctype = [f"{name}-{projection}" for name in names]
    return wcs


def separation(wcs, x, y, radec):
    """Return the separations between pixels and positions, in arcsec."""
    there = wcs.pixel_to_world(x, y).icrs
    return there.separation(SkyCoord(*np.asarray(radec).T, unit="deg")).arcsec


@pytest.mark.parametrize("turn, flip", [(0.0, False), (37.0, False), (90.0, True), (200.0, True)])
@pytest.mark.parametrize("ra, dec", PLACES)
def test_positions_in_a_cutout_match_its_wcs(ra, dec, turn, flip):
    wcs = projected("TAN", ra, dec, turn, flip)
    radec, axes = tangent_frame(wcs, 31.5, 30.0)
    offset = (CORNERS - (31.5, 30.0)) @ axes.T
    found = sky_at(np.broadcast_to(radec, CORNERS.shape), offset)
    assert separation(wcs, *CORNERS.T, found).max() < 0.01
    assert np.sign(np.linalg.det(axes)) == (1 if flip else -1)
    np.testing.assert_allclose(abs(np.linalg.det(axes)), 0.25, rtol=1e-4)


@pytest.mark.parametrize("frame", ["RA", "GLON"])
@pytest.mark.parametrize(
    "projection, radesys, equinox",
    [("SIN", "ICRS", 2000), ("CAR", "FK5", np.nan), ("ZEA", "", 2000), ("TAN", "FK5", 1975), ("TAN", "FK4", 1950)],
)
def test_other_projections_and_frames(frame, projection, radesys, equinox):
    wcs = projected(projection, 100.0, 30.0 if projection != "CAR" else 0.0, 20.0, frame=frame)
    wcs.wcs.radesys, wcs.wcs.equinox = radesys, equinox
    wcs.wcs.set()
    radec, axes = tangent_frame(wcs, 31.5, 31.5)
    found = sky_at(np.broadcast_to(radec, CORNERS.shape), (CORNERS - 31.5) @ axes.T)
    assert separation(wcs, *CORNERS.T, found).max() < 0.01


def test_a_pixel_outside_the_projection_is_nan():
    wcs = projected("SIN", 10.0, 0.0)
    radec, axes = tangent_frame(wcs, 1e7, 0.0)
    assert np.isnan(radec).all() and np.isnan(axes).all()


@pytest.mark.parametrize("ra, dec", PLACES)
def test_moving_along_an_image_matches_its_wcs(ra, dec):
    wcs = projected("TAN", ra, dec, 25.0)
    radec, axes = (np.array([part]) for part in tangent_frame(wcs, 31.5, 31.5))
    moved, turned = move_along(radec, axes, np.array([[20.0, -12.0]]))
    _, expected_axes = tangent_frame(wcs, 51.5, 19.5)
    assert separation(wcs, 51.5, 19.5, moved).max() < 0.01
    # Near the pole, the direction of north changes quickly.
    np.testing.assert_allclose(turned[0], expected_axes, atol=2e-4)


def test_unknown_is_nan_for_the_whole_row():
    cutouts = CutoutSet(np.ones((3, 48, 48, 3)))
    assert cutouts.sky_axes.shape == (3, 2, 2) and np.isnan(cutouts.sky_axes).all()
    assert np.isnan(cutouts.bcg_radec).all()
    axes = np.tile(np.diag([-0.5, 0.5]), (2, 1, 1))
    axes[1, 0, 1] = np.inf
    known = CutoutSet(np.ones((2, 48, 48, 3)), sky_axes=axes, metadata={"ra": [5.0, 6.0], "dec": 7.0})
    assert np.isfinite(known.sky_axes).all(axis=(1, 2)).tolist() == [True, False]
    assert known.bcg_radec.tolist() == [[5.0, 7.0], [6.0, 7.0]]
    assert len(CutoutSet(np.empty((0, 48, 48, 3))).sky_axes) == 0


def test_selection_concatenation_and_npz_keep_the_sky(tmp_path, rng):
    axes, radec = rng.normal(size=(3, 2, 2)), np.array([[10.0, 1.0], [20.0, 2.0], [30.0, 3.0]])
    cutouts = CutoutSet(rng.normal(size=(3, 48, 48, 3)), sky_axes=axes, bcg_radec=radec)
    np.testing.assert_array_equal(cutouts[1:].sky_axes, axes[1:])
    joined = CutoutSet.concatenate([cutouts[2], cutouts[:2]])
    np.testing.assert_array_equal(joined.sky_axes, axes[[2, 0, 1]])
    np.testing.assert_array_equal(joined.bcg_radec, radec[[2, 0, 1]])
    write_npz(tmp_path / "shard.npz", cutouts)
    again = CutoutSet.read(tmp_path / "shard.npz")
    np.testing.assert_array_equal(again.sky_axes, axes)
    np.testing.assert_array_equal(again.bcg_radec, radec)
    stated = CutoutSet.read(tmp_path / "shard.npz", pixel_scale=0.3)
    np.testing.assert_allclose(np.abs(np.linalg.det(stated.sky_axes)), 0.09)


def test_arrays_may_contain_one_matrix_or_one_per_cutout(tmp_path, rng):
    pixels, one = rng.normal(size=(2, 48, 48, 3)), np.array([[-0.2, 0.0], [0.0, 0.2]])
    np.savez(tmp_path / "a.npz", pixels=pixels, pixel_scale=0.2, ra=[1.0, 2.0], dec=[3.0, 4.0], sky_axes=one)
    cutouts = CutoutSet.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(cutouts.sky_axes, [one, one])
    assert cutouts.bcg_radec.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.update({"pixels": pixels, "pixel_scale": [0.2, 0.2], "sky_axes": [one, -one], "bcg_radec": np.eye(2)})
    cutouts = CutoutSet.read(tmp_path / "b.h5")
    np.testing.assert_array_equal(cutouts.sky_axes, [one, -one])
    np.testing.assert_array_equal(cutouts.bcg_radec, np.eye(2))
    np.savez(tmp_path / "c.npz", pixels=pixels, pixel_scale=0.2, sky_axes=np.ones((3, 2, 2)))
    with pytest.raises(CutoutError, match="The array 'sky_axes' must have one entry per cutout, 2"):
        CutoutSet.read(tmp_path / "c.npz")


def one_file(tmp_path, rng, wcs):
    hdus = [fits.PrimaryHDU()]
    hdus += [fits.ImageHDU(rng.normal(size=(SIDE, SIDE)), wcs.to_header(), name=band) for band in "gri"]
    fits.HDUList(hdus).writeto(tmp_path / "one.fits")
    return tmp_path / "one.fits"


def test_a_fits_file_sets_the_orientation(tmp_path, rng):
    wcs = gnomonic(scale=0.4, turn=70.0, size=SIDE)
    path = one_file(tmp_path, rng, wcs)
    cutouts = CutoutSet.read(path)
    radec, axes = tangent_frame(wcs, 31.5, 31.5)
    np.testing.assert_allclose(cutouts.sky_axes[0], axes, atol=1e-9)
    np.testing.assert_allclose(cutouts.bcg_radec[0], radec, atol=1e-10)
    assert cutouts.metadata[["ra", "dec"]].to_numpy().tolist() == cutouts.bcg_radec.tolist()
    stated = CutoutSet.read(path, pixel_scale=0.2)
    np.testing.assert_allclose(stated.sky_axes[0], axes / 2, rtol=1e-6)


def test_a_bcg_of_a_catalogue_updates_the_sky_position(tmp_path, rng):
    wcs = gnomonic(scale=0.4, turn=70.0, size=SIDE)
    path = one_file(tmp_path, rng, wcs)
    there = wcs.pixel_to_world(40.0, 20.0)
    in_pixels = CutoutSet.read(path, catalog=pd.DataFrame({"id": ["one"], "bcg_x": [40.0], "bcg_y": [20.0]}))
    table = pd.DataFrame({"id": ["one"], "ra": [10.0], "dec": [5.0], "bcg_ra": there.ra.deg, "bcg_dec": there.dec.deg})
    on_sky = CutoutSet.read(path, catalog=table)
    for cutouts in (in_pixels, on_sky):
        np.testing.assert_allclose(cutouts.bcg_xy, [[40.0, 20.0]], atol=1e-5)
        assert separation(wcs, 40.0, 20.0, cutouts.bcg_radec).max() < 0.001
    assert in_pixels.metadata[["ra", "dec"]].to_numpy().tolist() == in_pixels.bcg_radec.tolist()
    # The catalogue's position of the cluster is kept; it is not the position of the BCG.
    assert on_sky.metadata[["ra", "dec"]].to_numpy().tolist() == [[10.0, 5.0]]


def test_a_catalogue_sets_the_position_of_an_npz(tmp_path, rng):
    write_npz(tmp_path / "one.npz", CutoutSet(rng.normal(size=(1, 48, 48, 3)), ids=["a"], metadata={"ra": 1, "dec": 2}))
    cutouts = CutoutSet.read(tmp_path / "one.npz", catalog=pd.DataFrame({"id": ["a"], "ra": [10.0], "dec": [5.0]}))
    assert cutouts.bcg_radec.tolist() == [[10.0, 5.0]]


def test_extracted_cutouts_have_the_orientation_of_their_grid(tmp_path, rng):
    wcs = gnomonic(turn=40.0)
    images = {band: write_image(tmp_path / f"{band}.fits", rng.normal(size=(400, 400)), wcs) for band in "gri"}
    bcg = wcs.pixel_to_world(190.0, 215.0)
    ra, dec = (float(v) for v in wcs.pixel_to_world_values(200.0, 200.0))
    catalog = pd.DataFrame({"id": ["a"], "ra": ra, "dec": dec, "bcg_ra": bcg.ra.deg, "bcg_dec": bcg.dec.deg})
    found = extract(catalog, images, size="19.2arcsec", npix=SIDE)
    cutouts = found.cutouts
    assert separation(found.wcs[0], *cutouts.bcg_xy[0], cutouts.bcg_radec).max() < 1e-4
    radec = sky_at(np.tile(cutouts.bcg_radec, (5, 1)), (CORNERS - cutouts.bcg_xy) @ cutouts.sky_axes[0].T)
    assert separation(found.wcs[0], *CORNERS.T, radec).max() < 1e-3


def test_fits_is_written_with_the_known_orientation(tmp_path, rng):
    wcs = gnomonic(scale=0.4, turn=70.0, size=SIDE)
    cutouts = CutoutSet.read(one_file(tmp_path, rng, wcs))
    write_fits(tmp_path / "again.fits", cutouts)
    again = WCS(fits.getheader(tmp_path / "again.fits", "g"))
    assert separation(wcs, *CORNERS.T, np.stack(again.pixel_to_world_values(*CORNERS.T), axis=-1)).max() < 0.01
    np.testing.assert_allclose(CutoutSet.read(tmp_path / "again.fits").sky_axes, cutouts.sky_axes, atol=1e-6)
