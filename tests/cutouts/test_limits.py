"""Tests of the largest side, which is checked in the header, and of the memory that any file may take."""

import csv
import gzip
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

from gridlens.cli import main
from gridlens.cutouts import CutoutSet, read_batches
from gridlens.errors import CutoutError
from gridlens.sources import FileSource, ReadOptions

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
Image = pytest.importorskip("PIL.Image")

SIDE = 300


@pytest.fixture
def folder(tmp_path, rng, wcs_header):
    """Write one cutout of 300 px in each format."""
    pixels = rng.normal(size=(1, SIDE, SIDE, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", pixels)
    np.savez(tmp_path / "b.npz", pixels=np.moveaxis(pixels[0], -1, 0))
    planes = [pixels[0, ..., k] for k in range(3)]
    for name, kind in (("c.fits", fits.ImageHDU), ("d.fits.fz", fits.CompImageHDU)):
        hdus = [kind(plane, wcs_header(size=SIDE), name=band) for plane, band in zip(planes, "gri", strict=True)]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / name)
    (tmp_path / "e.fits.gz").write_bytes(gzip.compress((tmp_path / "c.fits").read_bytes(), 1))
    for plane, band in zip(planes, "gri", strict=True):
        fits.writeto(tmp_path / f"f_{band}.fits", plane, wcs_header(size=SIDE))
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["pixels"] = pixels
    zarr.create_group(tmp_path / "h.zarr").create_array("pixels", data=pixels)
    picture = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "i.png")
    Image.fromarray(picture).save(tmp_path / "j.jpg")
    return tmp_path


def test_max_size_applies_to_every_format(folder):
    (batch,) = read_batches(folder, pixel_scale=0.3, bands="gri", uncalibrated=True, max_size=SIDE)
    assert not batch.failures
    assert len(batch.cutouts) == 10
    (batch,) = read_batches(folder, pixel_scale=0.3, uncalibrated=True, max_size=SIDE - 1)
    assert batch.cutouts is None
    assert [failure.id for failure in batch.failures] == list("abcdefghij")
    for failure in batch.failures:
        assert "300 x 300 px" in failure.message, failure
        assert "299 px" in failure.message, failure
        assert "max_size" in failure.message, failure


def test_every_reader_accepts_max_size(folder):
    with pytest.raises(CutoutError, match=r"a\.npy: The image has 300 x 300 px, but a side .* 100 px"):
        CutoutSet.read(folder / "a.npy", pixel_scale=0.3, bands="gri", max_size=100)
    reader = FileSource(folder / "a.npy", options=ReadOptions(pixel_scale=0.3, bands="gri", max_size=100))
    (batch,) = reader.read(reader.partitions()[0])
    assert "may be at most" in batch.failures[0].message


def test_the_command_line_accepts_max_size(folder, tmp_path):
    out = tmp_path / "scores.csv"
    declared = ["--pixel-scale", "0.3", "--bands", "gri"]
    run = CliRunner().invoke(
        main, ["score", str(folder / "a.npy"), *declared, "--max-size", "100", "--jobs", "1", "--out", str(out)]
    )
    assert run.exit_code == 0, run.output
    (row,) = csv.DictReader(out.read_text().splitlines())
    assert row["status"] == "rejected"
    assert "a side of a cutout may be at most 100 px" in row["message"]


@pytest.mark.parametrize("max_size", [0, -1, 1.5, "9", None, True])
def test_an_invalid_max_size_is_refused(folder, max_size):
    with pytest.raises(CutoutError, match="The 'max_size' parameter must be an integer, 1 or more"):
        read_batches(folder, max_size=max_size)


def npy_header(shape, descr="<f4", fortran=False):
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def deflated(path, name, header, n_zeros):
    """Write a member that begins with a header and continues with zeros to a new or existing zip file."""
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as member,
    ):
        member.write(header)
        for _ in range(n_zeros // 1024**2):
            member.write(bytes(1024**2))


def png(width, height):
    def part(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")


def test_headers_of_huge_images_are_refused_before_a_pixel_is_read(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_header((10**5, 10**5, 3)))
    (tmp_path / "b.npy").write_bytes(npy_header((3, 4096, 4096), "<f16") + bytes(100))
    (tmp_path / "c.png").write_bytes(png(9000, 9000))
    (tmp_path / "d.png").write_bytes(png(2**31 - 1, 2**31 - 1))
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("pixels", (5000, 5000, 3), "f4", chunks=(100, 100, 3))
    zarr.create_group(tmp_path / "f.zarr").create_array(
        "pixels", shape=(2, 5000, 5000, 3), dtype="f4", chunks=(1, 9, 9, 3)
    )
    (batch,) = read_batches(tmp_path, pixel_scale=0.3, uncalibrated=True)
    assert batch.cutouts is None
    messages = {failure.id: failure.message for failure in batch.failures}
    assert set(messages) == set("abcdef")
    assert all("but a side of a cutout may be at most 4096 px" in messages[name] for name in "acef")
    assert "far more than a cutout" in messages["d"]


def test_compressed_fits_files_of_many_images_are_refused_before_they_are_in_memory(tmp_path, wcs_header):
    images = [fits.ImageHDU(np.zeros((400, 400)), wcs_header(size=400)) for _ in range(10)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "a.fits.gz")
    with pytest.raises(CutoutError, match="takes more than 6 MiB when it is decompressed"):
        CutoutSet.read(tmp_path, max_size=400)


def test_arrays_in_fortran_order_are_read_a_part_at_a_time_or_refused(tmp_path, rng):
    pixels = np.asfortranarray(rng.normal(size=(20, 50, 50, 3)))
    np.save(tmp_path / "a.npy", pixels)
    np.savez(tmp_path / "b.npz", pixels=pixels)
    cutouts = CutoutSet.read(tmp_path, pixel_scale=0.3, bands="gri")
    np.testing.assert_array_equal(cutouts.pixels, np.concatenate([pixels, pixels]).astype(np.float32))
    deflated(tmp_path / "c.npz", "pixels.npy", npy_header((2000, 128, 128, 3), fortran=True), 1024**2)
    with pytest.raises(CutoutError, match=r"in Fortran order, so it must be read completely, and takes 0\.4 GB"):
        CutoutSet.read(tmp_path / "c.npz")
    (tmp_path / "d.npy").write_bytes(npy_header((2000, 50, 50, 3), fortran=True) + bytes(10_000))
    with pytest.raises(CutoutError, match="the array ends before its last value"):
        CutoutSet.read(tmp_path / "d.npy", pixel_scale=0.3, bands="gri")


_PEAK = r"""
import re, sys, warnings
import gridlens, numpy, pandas, zipfile, h5py, zarr, PIL.Image, astropy.io.fits, astropy.wcs
from gridlens.cutouts import read_batches, count_cutouts
warnings.simplefilter("ignore")
def memory():
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
before = memory()
for path in sys.argv[1:]:
    count_cutouts(path, uncalibrated=True)
    batches = read_batches(path, pixel_scale=0.3, uncalibrated=True)
    for _, batch in zip(range(8), batches):
        print(path, batch.cutouts, batch.failures[:1])
    peak = memory()
    print("MB", path, (peak - before) // 1024)
    assert peak - before < 500 * 1024, path
"""


def gzip_tiles(path, header, bomb):
    """Write three compressed images of 48 px whose first tile is `bomb`, which decompresses to other data."""
    hdus = [fits.CompImageHDU(np.zeros((48, 48), "i4"), header, name=band, compression_type="GZIP_1") for band in "gri"]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    with fits.open(path, disable_image_compression=True) as file:
        tiles = np.empty(48, dtype=object)
        tiles[:] = [np.frombuffer(bomb, np.uint8)] + [np.zeros(1, np.uint8)] * 47
        column = fits.Column("COMPRESSED_DATA", "1PB()", array=tiles)
        tables = [fits.BinTableHDU.from_columns([column]) for _ in "gri"]
        for table, other in zip(tables, file[1:], strict=True):
            kept = [card for card in other.header.cards if card.keyword[0] == "Z" or card.keyword in header]
            table.header.extend([*kept, ("EXTNAME", other.header["EXTNAME"])])
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, overwrite=True)


@pytest.mark.parametrize("compression", ["GZIP_1", "GZIP_2", "RICE_1"])
def test_valid_compressed_tiles_are_read(tmp_path, rng, wcs_header, compression):
    pixels = rng.integers(0, 1000, (3, 300, 300)).astype(np.int32)
    hdus = [
        fits.CompImageHDU(plane, wcs_header(size=300), name=band, compression_type=compression)
        for plane, band in zip(pixels, "gri", strict=True)
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits.fz")
    np.testing.assert_array_equal(CutoutSet.read(tmp_path).pixels[0], np.moveaxis(pixels, 0, -1))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_files_that_expand_take_a_bounded_amount_of_memory(tmp_path, wcs_header):
    """Each of these files has a few MB and expands to 0.7 GB."""
    n_zeros = 700 * 1024**2
    bomb = zlib.compress(bytes(n_zeros), 1)
    deflated(tmp_path / "pixels.npz", "pixels.npy", npy_header((3700, 128, 128, 3)), n_zeros)
    deflated(tmp_path / "wide.npz", "pixels.npy", npy_header((3, 4096, 4096, 3)), n_zeros)
    deflated(tmp_path / "header.npz", "pixels.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", n_zeros), n_zeros)
    deflated(tmp_path / "ids.npz", "pixels.npy", npy_header((3, 50, 50, 3)) + bytes(90_000), 0)
    deflated(tmp_path / "ids.npz", "ids.npy", npy_header((3,), f"|S{n_zeros // 3}"), n_zeros)
    gzip_tiles(tmp_path / "tile.fits.fz", wcs_header(size=48), gzip.compress(bytes(n_zeros), 1))
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        made = file.create_dataset("pixels", (400, 64, 64, 3), "f4", chunks=(400, 64, 64, 3), compression="gzip")
        made.id.write_direct_chunk((0, 0, 0, 0), bomb)
    group = zarr.create_group(tmp_path / "chunk.zarr", zarr_format=2)
    group.create_array("pixels", shape=(400, 64, 64, 3), dtype="f4", chunks=(400, 64, 64, 3), compressors=None)
    metadata = (tmp_path / "chunk.zarr/pixels/.zarray").read_text()
    metadata = metadata.replace('"compressor": null', '"compressor": {"id": "zlib", "level": 1}')
    (tmp_path / "chunk.zarr/pixels/.zarray").write_text(metadata)
    (tmp_path / "chunk.zarr/pixels/0.0.0.0").write_bytes(bomb)
    for name in (".zgroup", "pixels/.zarray"):
        deflated(tmp_path / "zip.zarr.zip", name, (tmp_path / "chunk.zarr" / name).read_bytes(), 0)
    deflated(tmp_path / "zip.zarr.zip", "pixels/0.0.0.0", b"", n_zeros)
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 60e6
    done = subprocess.run([sys.executable, "-c", _PEAK, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
