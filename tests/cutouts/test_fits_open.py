"""Tests of FITS files with misleading names, headers or sizes."""

import bz2
import gzip
import lzma
import os

import numpy as np
import pytest
from astropy.io import fits
from skies import gnomonic, header_of

from gridlens.cutouts import CutoutSet, read_batches
from gridlens.cutouts.images._fits_open import opened
from gridlens.cutouts.images._fits_pixels import image_pixels
from gridlens.cutouts.images._tiles import TileIndex
from gridlens.cutouts.images._windows import read_window
from gridlens.errors import CutoutError

SIDE = 60


@pytest.fixture
def image(rng):
    return rng.normal(100.0, 5.0, size=(SIDE, SIDE)).astype(np.float32)


@pytest.fixture
def header():
    return header_of(gnomonic(0.3, SIDE))


def cube(path, pixels, header, **cards):
    header = header.copy()
    header.update({"BANDS": "gri", **cards})
    fits.PrimaryHDU(np.stack([pixels] * 3), header).writeto(path)
    return path


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "plain": lambda content: content}


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "a.fits.bz2", "a.fits.xz", "a.fits.fz", "a.fts", "a.fit"])
@pytest.mark.parametrize("packer", PACKERS)
def test_the_content_determines_the_format(tmp_path, image, header, name, packer):
    cube(tmp_path / "cube", image, header)
    content = PACKERS[packer]((tmp_path / "cube").read_bytes())
    (tmp_path / "cube").unlink()
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(CutoutSet.read(tmp_path / name).pixels[0, :, :, 1], image)


def test_a_window_does_not_depend_on_the_name_of_the_file(tmp_path, image, header):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, header), fits.ImageHDU(image * 0 + 3, name="VAR")]).writeto(
        tmp_path / "plain.fits"
    )
    (tmp_path / "packed.fits").write_bytes(gzip.compress((tmp_path / "plain.fits").read_bytes()))
    windows = []
    for name in ("plain.fits", "packed.fits"):
        (tile,) = TileIndex([str(tmp_path / name)], "g").tiles
        windows.append(read_window(tile, 5, 7, 20, 30))
    np.testing.assert_array_equal(windows[0], image[7:37, 5:25])
    np.testing.assert_array_equal(windows[1], windows[0])


def scaled(image, header, kind, dtype):
    """Return an HDU of integers, plain or compressed, with one blank pixel at (3, 4), and the true values."""
    zero = {"i2": 0.0, "u2": 32768.0, "i4": 0.0, "u1": 0.0, "scaled": 100.0}[dtype]
    scale = 0.05 if dtype == "scaled" else 1.0
    bitpix = {"u2": "i2", "scaled": "i2"}.get(dtype, dtype)
    stored = np.round((image - zero) / scale).astype(bitpix)
    stored[3, 4] = {"u1": 255, "i4": -(2**31)}.get(dtype, -32768)
    header = header.copy()
    header["BLANK"] = int(stored[3, 4])
    hdu = (fits.ImageHDU if kind == "plain" else fits.CompImageHDU)(stored, header)
    if (zero, scale) != (0.0, 1.0):
        hdu.header["BZERO"], hdu.header["BSCALE"] = zero, scale
    truth = stored * scale + zero
    truth[3, 4] = np.nan
    return hdu, truth.astype(np.float32)


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u1", "scaled"])
@pytest.mark.parametrize("kind", ["plain", "packed", "zipped"])
def test_integers_are_scaled_and_blank_pixels_are_nan_for_every_reader(tmp_path, image, header, kind, dtype):
    hdu, truth = scaled(image, header, kind if kind == "packed" else "plain", dtype)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, output_verify="silentfix")
    if kind == "packed":
        # astropy writes the stored values unchanged, and treats the scaling as that of unsigned integers.
        with fits.open(path, do_not_scale_image_data=True) as hdus:
            assert type(hdus[1]).__name__ == "CompImageHDU"
    if kind == "zipped":
        path.write_bytes(gzip.compress(path.read_bytes()))
    with opened(str(path)) as hdus:
        np.testing.assert_array_equal(image_pixels(hdus[1]), truth)
    (tile,) = TileIndex([str(path)], "g").tiles
    np.testing.assert_array_equal(read_window(tile, 0, 0, SIDE, SIDE), truth)


def with_card(path, old, new):
    """Replace a card in the bytes of a file, because a library would correct it."""
    content = path.read_bytes()
    assert content.count(old.ljust(80)) == 1
    path.write_bytes(content.replace(old.ljust(80), new.ljust(80)))
    return path


def test_a_quoted_scaling_is_parsed_and_other_text_is_refused(tmp_path, image, header):
    path = with_card(cube(tmp_path / "a.fits", image, header), b"BANDS   = 'gri     '", b"BSCALE  = '2.0     '")
    np.testing.assert_allclose(CutoutSet.read(path, bands="gri").pixels[0, :, :, 0], 2 * image)
    with_card(path, b"BSCALE  = '2.0     '", b"BSCALE  = 'two     '")
    with pytest.raises(CutoutError, match="BSCALE = 'two', which is not a number"):
        CutoutSet.read(path, bands="gri")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"NAXIS1  =                   60", b"NAXIS1  =                   -5"),
        (b"NAXIS1  =                   60", b"NAXIS1  =         999999999999"),
        (b"NAXIS   =                    3", b"NAXIS   =                  999"),
        (b"NAXIS2  =                   60", b"NAXIS2  =                'six'"),
        (b"BITPIX  =                  -32", b"BITPIX  =                   13"),
        (b"WCSAXES =                    2", b"WCSAXES =                20000"),
        (b"WCSAXES =                    2", b"A_ORDER =                30000"),
        (b"END", b"EMD"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_declarations_of_a_header_are_checked(tmp_path, image, header, old, new, zipped):
    path = cube(tmp_path / "a.fits", image, header)
    content = path.read_bytes()
    assert old in content
    content = content.replace(old, new, 1)
    path.write_bytes(gzip.compress(content) if zipped else content)
    (batch,) = read_batches(path)
    (failure,) = batch.failures
    assert batch.cutouts is None
    assert failure.message.endswith(("again.", "max_size=PIXELS."))
    with pytest.raises(CutoutError):
        TileIndex([str(path)], "g")


def test_a_compressed_image_with_inconsistent_tiles_is_refused(tmp_path, image, header):
    path = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, header)]).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"ZNAXIS1 =                   60", b"ZNAXIS1 =                60000"))
    with pytest.raises(CutoutError, match="the invalid value NAXIS2 = 60"):
        TileIndex([str(path)], "g")


def test_decompression_stops_at_the_declared_size(tmp_path, header):
    header = header.copy()
    header.update({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 40_000, "NAXIS2": 40_000})
    head = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", 40_000), ("NAXIS2", 40_000)])
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(head.tostring().encode() + bytes(10**7)))
    with pytest.raises(CutoutError, match=r"40000 x 40000 px, .*side of a cutout may be at most 4096 px.*max_size="):
        CutoutSet.read(tmp_path / "a.fits.gz")
    # The largest side does not apply to survey images, but the limit on the decompressed size does.
    with pytest.raises(CutoutError, match="takes more than 4096 MiB"):
        TileIndex([str(tmp_path / "a.fits.gz")], "g")


def test_a_pipe_is_not_opened(tmp_path, image, header):
    cube(tmp_path / "a.fits", image, header)
    os.mkfifo(tmp_path / "b.fits")
    (batch,) = read_batches(tmp_path)
    assert batch.cutouts.ids.tolist() == ["a"]
    assert "is a named pipe" in batch.failures[0].message


def test_an_axis_of_length_one_is_not_a_cube(tmp_path, image, header):
    for band in "gri":
        fits.PrimaryHDU(image[None], header).writeto(tmp_path / f"a_{band}.fits")
    np.testing.assert_array_equal(CutoutSet.read(tmp_path).pixels[0, :, :, 2], image)
    (tile,) = TileIndex([str(tmp_path / "a_g.fits")], "g").tiles
    np.testing.assert_array_equal(read_window(tile, 10, 20, 5, 6), image[20:26, 10:15])
    fits.PrimaryHDU(np.stack([image] * 2), header).writeto(tmp_path / "cube.fits")
    with pytest.raises(CutoutError, match="holds a cube"):
        TileIndex([str(tmp_path / "cube.fits")], "g")
