"""Tests of tiles found by position, and of windows of their pixels."""

import gzip
import os

import numpy as np
import pytest
from astropy.io import fits
from skies import DEC, RA, gnomonic, header_of, write_image

from gridlens.cutouts.images import _tile_files
from gridlens.cutouts.images._image_files import image_files
from gridlens.cutouts.images._tiles import TileIndex
from gridlens.cutouts.images._windows import read_window
from gridlens.errors import CutoutError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Set a separate cache folder for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()


@pytest.fixture
def pixels(rng):
    return rng.normal(size=(90, 120)).astype(np.float32)


def grid_of_tiles(folder, n=25):
    """Write a row of tiles of 100 px or 20 arcsec with an overlap of 2 arcsec, and return their paths."""
    folder.mkdir()
    paths = []
    for k in range(n):
        wcs = gnomonic(0.2, 100, ra=RA + k * 18 / 3600)
        paths.append(str(write_image(folder / f"t{k:02d}_g.fits", np.full((100, 100), k, np.float32), wcs)))
    return paths


def formats(folder, pixels):
    """Write the same image in every form that surveys use, and yield each path and extension."""
    header = header_of(gnomonic(0.2, 100))
    fits.PrimaryHDU(pixels, header).writeto(folder / "single.fits")
    yield folder / "single.fits", 0
    fits.PrimaryHDU(pixels.astype(np.float64), header).writeto(folder / "double.fits")
    yield folder / "double.fits", 0
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels[::-1].copy()), fits.ImageHDU(pixels, header)]).writeto(
        folder / "extensions.fits"
    )
    yield folder / "extensions.fits", 2
    packed = fits.CompImageHDU(pixels, header, compression_type="GZIP_2", quantize_level=0.0)
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(folder / "packed.fits.fz")
    yield folder / "packed.fits.fz", 1
    with gzip.open(folder / "zipped.fits.gz", "wb") as file:
        file.write((folder / "single.fits").read_bytes())
    yield folder / "zipped.fits.gz", 0


def test_a_window_is_the_same_from_every_format(tmp_path, pixels):
    for path, hdu in formats(tmp_path, pixels):
        tile = TileIndex([str(path)], "g").tiles[-1]
        assert (tile.nx, tile.ny, tile.hdu) == (120, 90, hdu)
        np.testing.assert_array_equal(read_window(tile, 30, 10, 20, 25), pixels[10:35, 30:50], err_msg=path.name)
        edge = read_window(tile, -5, 80, 20, 30)
        np.testing.assert_array_equal(edge[:10, 5:], pixels[80:, :15], err_msg=path.name)
        assert np.isnan(edge[10:]).all()
        assert np.isnan(edge[:, :5]).all()
        assert np.isnan(read_window(tile, 500, 500, 4, 3)).all()


def test_scaled_integers_are_converted_and_blanks_are_nan(tmp_path):
    counts = np.arange(9000, dtype=np.int16).reshape(90, 100)
    hdu = fits.PrimaryHDU(counts, header_of(gnomonic(0.2, 100)))
    hdu.header["BLANK"] = 8050
    hdu.writeto(tmp_path / "scaled.fits")
    with open(tmp_path / "scaled.fits", "r+b") as file:
        block = file.read(2880).decode()
        place = block.index("BLANK")
        file.seek(place - place % 80 + 80)
        rest = block[place - place % 80 + 80 :]
        cards = "BSCALE  =                  0.5".ljust(80) + "BZERO   =                100.0".ljust(80)
        file.write((cards + rest)[: len(rest)].encode())
    tile = TileIndex([str(tmp_path / "scaled.fits")], "g").tiles[0]
    window = read_window(tile, 49, 80, 3, 1)
    np.testing.assert_allclose(window, [[8049 / 2 + 100, np.nan, 8051 / 2 + 100]])


def test_every_position_gets_the_tile_with_the_largest_margin(tmp_path):
    index = TileIndex(grid_of_tiles(tmp_path / "tiles"), "g")
    ra = RA + np.array([0.0, 18.0, 8.0, 10.5, -12.0, 24.6 * 18]) / 3600
    found = index.find(np.append(ra, [np.nan, RA]), np.append(np.full(6, DEC), [DEC, DEC + 1]))
    assert found.tile.tolist() == [0, 1, 0, 1, -1, -1, -1, -1]
    x, y = index.wcs(0).world_to_pixel_values(RA + 8 / 3600, DEC)
    assert (found.x[2], found.y[2]) == pytest.approx((float(x), float(y)))


@pytest.mark.parametrize("ra", [0.0, 359.9995])
def test_a_tile_over_zero_hours_or_the_pole(tmp_path, ra):
    for name, dec in (("equator", 0.0), ("pole", 89.9999)):
        path = write_image(
            tmp_path / f"{name}.fits", np.zeros((100, 100), np.float32), gnomonic(0.2, 100, ra=ra, dec=dec)
        )
        index = TileIndex([str(path)], "g")
        around = (ra + np.array([0.0, 0.0015, -0.0015])) % 360
        assert index.find(around, np.full(3, dec)).tile.tolist() == [0, 0, 0], name
    # The other side of the pole is on the image too.
    assert index.find(np.array([(ra + 180) % 360]), np.array([89.9999])).tile.tolist() == [0]


def test_the_far_side_of_the_sky_is_on_no_tile(tmp_path):
    index = TileIndex(grid_of_tiles(tmp_path / "tiles", 2), "g")
    assert index.find(np.array([RA - 180]), np.array([-DEC])).tile.tolist() == [-1]


def test_the_index_is_built_once_and_sees_changed_files(tmp_path, monkeypatch):
    paths = grid_of_tiles(tmp_path / "tiles")
    first = TileIndex(paths, "g").tiles
    read = []
    original = _tile_files._read_tiles
    monkeypatch.setattr(_tile_files, "_read_tiles", lambda path, *stat: read.append(path) or original(path, *stat))
    assert TileIndex(paths, "g").tiles == first
    assert read == []
    write_image(paths[3], np.zeros((60, 60), np.float32), gnomonic(0.2, 60))
    os.utime(paths[3], ns=(1, 1))
    again = TileIndex(paths, "g").tiles
    assert read == [paths[3]]
    assert (again[3].nx, again[2]) == (60, first[2])
    for path in (tmp_path / "cache").rglob("*.parquet"):
        path.write_bytes(b"no index")
    assert TileIndex(paths, "g").tiles == again


def test_the_cache_folder_is_optional(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(TileIndex(grid_of_tiles(tmp_path / "tiles"), "g").tiles) == 25


def test_broken_files_warn_once_and_the_others_are_used(tmp_path):
    paths = grid_of_tiles(tmp_path / "tiles", 3)
    with open(paths[0], "r+b") as file:
        file.truncate(3000)
    fits.PrimaryHDU(np.zeros((9, 9), np.float32)).writeto(paths[1], overwrite=True)
    with pytest.warns(UserWarning, match=r"2 of 3 images of the band g cannot be used: .*t00_g.*t01_g") as caught:
        index = TileIndex(paths, "g")
    assert len(caught) == 1
    assert [tile.path for tile in index.tiles] == paths[2:]


def test_no_usable_image_is_an_error(tmp_path):
    fits.PrimaryHDU(np.zeros((9, 9), np.float32)).writeto(tmp_path / "a.fits")
    with pytest.raises(CutoutError, match="no two-dimensional image with a celestial WCS"):
        TileIndex([str(tmp_path / "a.fits")], "g")
    (tmp_path / "b.fits").write_text("not FITS")
    with pytest.raises(CutoutError, match="damaged or does not match its name"):
        TileIndex([str(tmp_path / "b.fits")], "g")


def test_the_files_of_a_band(tmp_path):
    for name in ("a_g.fits", "a_r.fits", "a_g_wht.fits", "b_g.fits.fz", "notes.txt", "mask.fits"):
        (tmp_path / name).touch()
    names = [os.path.basename(path) for path in image_files(tmp_path, "g")]
    assert names == ["a_g.fits", "b_g.fits.fz"]
    assert [os.path.basename(path) for path in image_files(str(tmp_path / "*r.fits"), "g")] == ["a_r.fits"]
    assert image_files([tmp_path / "notes.txt"], "g") == [str(tmp_path / "notes.txt")]
    with pytest.raises(CutoutError, match=r"There is no image .*nowhere"):
        image_files(tmp_path / "nowhere", "g")
    with pytest.raises(CutoutError, match="No FITS image of the band i matches"):
        image_files(str(tmp_path / "x*.fits"), "i")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "c_z.fits").touch()
    with pytest.raises(CutoutError, match="images of z but none of the band i"):
        image_files(tmp_path / "only", "i")
