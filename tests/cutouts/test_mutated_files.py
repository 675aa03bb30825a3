"""Tests of damaged files of every format: each gives cutouts or a message, and no other error or invalid metadata."""

import gzip
import io
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from functools import cache

import numpy as np
import pytest
from astropy.io import fits

from gridlens.cutouts import CutoutSet, ReadFailure, count_cutouts, read_batches
from gridlens.errors import CutoutError

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
Image = pytest.importorskip("PIL.Image")

SIDE = 48
N = 3
N_MUTATED = 150  # of each of the 14 formats, 2,100 in all
HUGE = (-1, 0, 1, 2**15, 2**31 - 1, 2**31, 2**40, 10**12, 2**63, 10**30)


@cache
def pixels():
    return np.random.default_rng(7).normal(100, 5, size=(N, SIDE, SIDE, 3)).astype(np.float32)


def arrays():
    return {
        "pixels": pixels(),
        "ids": np.array(["a", "b", "c"]),
        "pixel_scale": np.full(N, 0.3),
        "redshift": np.array([0.1, 0.2, 0.3]),
        "bcg_xy": np.full((N, 2), 23.5),
    }


def saved(write, *args, **kwargs):
    buffer = io.BytesIO()
    write(buffer, *args, **kwargs)
    return buffer.getvalue()


def fits_bytes(**compression):
    header = fits.Header()
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=150.0, CRVAL2=2.0, CRPIX1=24.5, CRPIX2=24.5)
    header.update(CD1_1=-1e-4, CD1_2=0.0, CD2_1=0.0, CD2_2=1e-4, MAGZERO=27.0)
    hdu = fits.CompImageHDU if compression else fits.ImageHDU
    planes = [hdu(pixels()[0, ..., k], header, name=band, **compression) for k, band in enumerate("gri")]
    return saved(fits.HDUList([fits.PrimaryHDU(), *planes]).writeto)


def hdf5_bytes(**options):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays().items():
            own = {"chunks": (1, SIDE, SIDE, 3), **options} if name == "pixels" else {}
            file.create_dataset(name, data=array.astype("S") if name == "ids" else array, **own)
        file.attrs["bands"] = "gri"
    return buffer.getvalue()


def zarr_store(path, version, **options):
    group = zarr.create_group(path, zarr_format=version, attributes={"bands": "gri"})
    for name, array in arrays().items():
        own = {"chunks": (1, SIDE, SIDE, 3), **options} if name == "pixels" else {}
        group.create_array(name, data=array, **own)


def zarr_files(version, **options):
    """Return the files of a store as a dict of bytes, with their paths in the store as keys."""
    store = zarr.storage.MemoryStore()
    zarr_store(store, version, **options)
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def zipped(files, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def picture_bytes(kind):
    return saved(Image.fromarray(np.clip(pixels()[0], 0, 255).astype(np.uint8)).save, format=kind)


def members():
    return {f"{name}.npy": saved(np.save, array) for name, array in arrays().items()}


def same(data):
    return data


# Name of the file, function that returns its content (bytes, or files by name), and function that packs the content.
FORMATS = {
    "npy": ("cut.npy", lambda: saved(np.save, pixels()), same),
    "npz": ("cut.npz", members, zipped),
    "npz deflated": ("cut.npz", members, lambda files: zipped(files, zipfile.ZIP_DEFLATED)),
    "FITS": ("cut.fits", fits_bytes, same),
    "FITS in gzip": ("cut.fits.gz", fits_bytes, lambda data: gzip.compress(data, 1)),
    "FITS by Rice": ("cut.fits.fz", lambda: fits_bytes(compression_type="RICE_1"), same),
    "FITS by gzip": ("cut.fits.fz", lambda: fits_bytes(compression_type="GZIP_2", quantize_level=0), same),
    "HDF5": ("cut.h5", hdf5_bytes, same),
    "HDF5 deflated": ("cut.h5", lambda: hdf5_bytes(compression="gzip", shuffle=True, fletcher32=True), same),
    "Zarr 2": ("cut.zarr", lambda: zarr_files(2), same),
    "Zarr 3": ("cut.zarr", lambda: zarr_files(3, shards=(N, SIDE, SIDE, 3)), same),
    "Zarr in zip": ("cut.zarr.zip", lambda: zarr_files(3, compressors=[zarr.codecs.GzipCodec()]), zipped),
    "PNG": ("cut.png", lambda: picture_bytes("PNG"), same),
    "JPEG": ("cut.jpg", lambda: picture_bytes("JPEG"), same),
}


@cache
def intact(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr warns of text types without a final specification
        return FORMATS[name][1]()


def damaged(name, rng):
    """Return a file of a format that was damaged before or after it was packed."""
    data, pack = intact(name), FORMATS[name][2]
    return pack(mutated(data, rng)) if rng.random() < 0.5 else mutated(pack(data), rng)


def flip_bits(data, rng):
    data = bytearray(data)
    # Headers are at the start of a file, and the directory of a zip file is at its end.
    span = int(rng.choice([min(400, len(data)), len(data)]))
    offset = int(rng.choice([0, len(data) - span]))
    for place in rng.integers(0, span, size=rng.integers(1, 12)):
        data[offset + place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def truncate(data, rng):
    return data[: int(rng.integers(len(data)))]


def insert(data, rng):
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 3000))) + data[at:]


def remove(data, rng):
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 3000)) :]


def overwrite(data, rng):
    start = int(rng.integers(len(data)))
    noise = rng.bytes(int(rng.integers(1, 300)))
    return data[:start] + noise + data[start + len(noise) :]


def edit_number(data, rng):
    """Replace a number in the text of a header, such as a size or a count, by an impossible one."""
    numbers = [match for match in re.finditer(rb"\d+", data[:20_000]) if match.start() > 0]
    if not numbers:
        return flip_bits(data, rng)
    found = numbers[int(rng.integers(len(numbers)))]
    new = str(int(rng.choice(np.array(HUGE, dtype=object)))).encode()
    # In FITS, the blanks before a number leave room for a longer one.
    start = max(0, found.end() - len(new)) if data[found.start() - 1 : found.start()] == b" " else found.start()
    return data[:start] + new + data[found.end() :]


def edit_integer(data, rng):
    """Replace a binary integer by an impossible one."""
    at = int(rng.integers(min(2000, len(data))))
    value = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1]))
    return data[:at] + struct.pack(str(rng.choice(["<I", ">I"])), value) + data[at + 4 :]


def swap_parts(data, rng):
    a, b, c = np.sort(rng.integers(0, len(data), size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def noise(data, rng):
    return data[: int(rng.choice([0, 8, 64]))] + rng.bytes(int(rng.integers(1, 4000)))


METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
MUTATIONS = (flip_bits, truncate, insert, remove, overwrite, edit_number, edit_integer, swap_parts, noise)


def mutated(data, rng):
    """Mutate a file. In a store, mutate, swap or remove one or two files."""
    if isinstance(data, bytes):
        return MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng)
    files = dict(data)
    names = sorted(files)
    metadata = [name for name in names if name.rpartition("/")[2] in METADATA] or names
    for _ in range(int(rng.integers(1, 3))):
        one, other = (str(rng.choice(metadata if rng.random() < 0.5 else names)) for _ in range(2))
        what = rng.random()
        if what < 0.1:
            files[one], files[other] = files.get(other, b""), files.get(one, b"")
        elif what < 0.15:
            files.pop(one, None)
        elif files.get(one):
            files[one] = mutated(files[one], rng)
    return files


def write(path, data):
    if isinstance(data, bytes):
        path.write_bytes(data)
        return
    for name, content in data.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)


def remove_path(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def check(path):
    """Read a file and return the numbers of cutouts and failures."""
    try:
        counted = count_cutouts(path, uncalibrated=True)
        declared = {"bands": "gri", "pixel_scale": 0.3} if path.suffix == ".npy" else {}
        batches = list(read_batches(path, uncalibrated=True, **declared))
    except CutoutError as exc:
        assert str(exc).rstrip().endswith((".", ")"))
        return 0, 1
    assert 0 <= counted < 10**6
    read = failed = 0
    for cutouts, failures in batches:
        for failure in failures:
            assert isinstance(failure, ReadFailure)
            assert failure.message.rstrip().endswith((".", ")")), failure.message
            failed += 1
        if cutouts is not None:
            assert isinstance(cutouts, CutoutSet)
            assert not np.isinf(cutouts.metadata.to_numpy()).any()
            read += len(cutouts)
    return read, failed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_give_cutouts_or_clear_messages(tmp_path, name):
    path = tmp_path / FORMATS[name][0]
    write(path, FORMATS[name][2](intact(name)))
    n_intact = check(path)
    assert n_intact in ((N, 0), (1, 0))
    remove_path(path)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    n_failed = 0
    for _ in range(N_MUTATED):
        write(path, damaged(name, rng))
        n_failed += check(path)[1] > 0
        remove_path(path)
    assert n_failed > N_MUTATED // 10
