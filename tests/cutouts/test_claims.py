"""Tests of headers that claim too much: they are compared with the stored data and cost neither time nor memory."""

import io
import json
import shutil
import struct
import zipfile

import numpy as np
import pytest

from gridlens.cutouts import CutoutSet, count_cutouts, read_batches
from gridlens.errors import CutoutError
from gridlens.sources import FileSource, ReadOptions, _files

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

MANY = 10**12


@pytest.fixture
def pixels(rng):
    return rng.normal(loc=(10, 20, 30), size=(3, 50, 50, 3)).astype(np.float32)


def npy_header(shape, descr="<f4", fortran=False):
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def zipped(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def claim_npy(path, pixels):
    path = path / "a.npy"
    path.write_bytes(npy_header((MANY, 50, 50, 3)) + pixels.tobytes() + b"rest")
    return path


def claim_npz(path, pixels):
    zipped(path / "a.npz", pixels=npy_header((MANY, 50, 50, 3)) + pixels.tobytes())
    return path / "a.npz"


def claim_npz_deflated(path, pixels):
    zipped(path / "a.npz", zipfile.ZIP_DEFLATED, pixels=npy_header((MANY, 50, 50, 3)) + pixels.tobytes())
    return path / "a.npz"


def claim_hdf5(path, pixels):
    with h5py.File(path / "a.h5", "w") as file:
        file.create_dataset("pixels", shape=(MANY, 50, 50, 3), dtype="f4", chunks=(1, 50, 50, 3))
        file["pixels"][:3] = pixels
    return path / "a.h5"


def claim_zarr(path, pixels):
    group = zarr.create_group(path / "a.zarr")
    array = group.create_array("pixels", shape=(MANY, 50, 50, 3), dtype="f4", chunks=(1, 50, 50, 3))
    array[:3] = pixels
    return path / "a.zarr"


def claim_zarr2(path, pixels):
    group = zarr.create_group(path / "a.zarr", zarr_format=2)
    array = group.create_array("pixels", shape=(MANY, 50, 50, 3), dtype="f4", chunks=(1, 50, 50, 3))
    array[:3] = pixels
    return path / "a.zarr"


def claim_zarr_zip(path, pixels):
    store = claim_zarr(path, pixels)
    shutil.make_archive(str(store), "zip", store)
    shutil.rmtree(store)
    return path / "a.zarr.zip"


CLAIMS = [claim_npy, claim_npz, claim_npz_deflated, claim_hdf5, claim_zarr, claim_zarr2, claim_zarr_zip]


@pytest.mark.parametrize("claim", CLAIMS)
def test_stored_cutouts_are_read_and_the_rest_is_one_failure(tmp_path, pixels, claim):
    path = claim(tmp_path, pixels)
    assert count_cutouts(path) == 4
    (batch,) = read_batches(path, pixel_scale=0.3, bands="gri")
    np.testing.assert_array_equal(batch.cutouts.pixels, pixels)
    (failure,) = batch.failures
    assert failure.message == (
        "The file is damaged or truncated: its header claims 1000000000000 cutouts, but it can hold only 3. Download "
        "or write it again. Its first 3 cutouts could be read."
    )


@pytest.mark.parametrize("claim", CLAIMS)
def test_false_claims_create_no_partitions(tmp_path, pixels, claim, monkeypatch):
    monkeypatch.setattr(_files, "_WHOLE_BYTES", 10)
    monkeypatch.setattr(_files, "_PARTITION_CUTOUTS", 2)
    reader = FileSource(claim(tmp_path, pixels), options=ReadOptions(pixel_scale=0.3, bands="gri"))
    batches = [batch for partition in reader.partitions() for batch in reader.read(partition)]
    assert sum(len(batch.cutouts) for batch in batches if batch.cutouts is not None) == 3
    (failure,) = [failure for batch in batches for failure in batch.failures]
    assert "can hold only 3" in failure.message


def test_partitions_of_a_valid_file_are_created_lazily(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "count_entry", lambda entry: MANY)
    monkeypatch.setattr(_files, "_WHOLE_BYTES", 10)
    np.save(tmp_path / "a.npy", np.zeros((2, 50, 50, 3)))
    partitions = FileSource(tmp_path, options=ReadOptions(pixel_scale=0.3, bands="gri")).partitions()
    assert len(partitions) == MANY // 512
    assert partitions[5].rows == (2560, 3072)
    assert partitions[-1].rows == (MANY - 512, MANY)
    assert [partition.rows for partition in partitions[1:3]] == [(512, 1024), (1024, 1536)]
    with pytest.raises(IndexError):
        partitions[len(partitions)]


def test_unwritten_hdf5_cutouts_do_not_affect_the_others(tmp_path, pixels):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("pixels", shape=(12, 50, 50, 3), dtype="f4", chunks=(1, 50, 50, 3))
        made[:2], made[-1] = pixels[:2], pixels[2]
    assert count_cutouts(tmp_path) == 12
    read = CutoutSet.read(tmp_path, pixel_scale=0.3).pixels
    np.testing.assert_array_equal(read[[0, 1, 11]], pixels)
    assert not read[2:11].any()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_sizes_in_a_zip_directory_are_not_trusted(tmp_path, pixels, compression):
    zipped(tmp_path / "a.npz", compression, pixels=npy_header((10**6, 50, 50, 3)) + pixels.tobytes())
    data = bytearray((tmp_path / "a.npz").read_bytes())
    place = data.index(b"PK\x01\x02") + 20
    data[place : place + 8] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    (tmp_path / "a.npz").write_bytes(data)
    assert count_cutouts(tmp_path) <= 3 * 1032 + 1
    batches = list(read_batches(tmp_path, pixel_scale=0.3))
    assert sum(len(batch.failures) for batch in batches) == 1


def test_blank_chunks_omitted_by_zarr_count_as_cutouts(tmp_path, pixels):
    stack = np.concatenate([pixels, np.zeros((9, 50, 50, 3), np.float32)])
    zarr.create_group(tmp_path / "a.zarr").create_array("pixels", data=stack, chunks=(1, 50, 50, 3))
    assert count_cutouts(tmp_path) == 12
    np.testing.assert_array_equal(CutoutSet.read(tmp_path, pixel_scale=0.3).pixels, stack)


@pytest.mark.parametrize(
    "shape", [(-5, 50, 50, 3), (10**30, 50, 50, 3), (True, 50, 50, 3), (10**30, 10**30, 50, 3), (3, 0, 50, 3)]
)
def test_impossible_shapes_are_refused(tmp_path, pixels, shape):
    (tmp_path / "a.npy").write_bytes(npy_header(shape) + pixels.tobytes())
    zipped(tmp_path / "b.npz", pixels=npy_header(shape) + pixels.tobytes())
    for batch in read_batches(tmp_path, pixel_scale=0.3):
        assert len(batch.failures) in (1, 2)
    assert count_cutouts(tmp_path) <= 8


@pytest.mark.parametrize("length", [20_000, 2**32 - 1])
def test_oversized_headers_are_not_read(tmp_path, length):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", length) + b"{" * 30_000)
    with pytest.raises(CutoutError, match=f"claims a header of {length} bytes"):
        CutoutSet.read(tmp_path / "a.npy", pixel_scale=0.3, bands="gri")


@pytest.mark.parametrize("header", [b"(" * 5000, b"{'descr': '<f4',", b"\x00" * 100, b"1 + " * 2000 + b"1", b"'''"])
def test_unparsable_headers_count_as_one_cutout(tmp_path, header):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    assert count_cutouts(tmp_path) == 1
    with pytest.raises(CutoutError, match="the header of the array cannot be read"):
        CutoutSet.read(tmp_path, pixel_scale=0.3, bands="gri")


@pytest.mark.parametrize("name", ["ids", "bands", "redshift"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_columns_that_declare_too_many_values_are_refused(tmp_path, pixels, name, compression):
    for k, (descr, shape) in enumerate([("<U10", (10**9,)), ("<U1000000", (3,)), ("<f8", (3, 10**9))]):
        column = npy_header(shape, descr) + bytes(100)
        zipped(tmp_path / f"{k}.npz", compression, pixels=saved(pixels), **{name: column})
    (batch,) = read_batches(tmp_path, pixel_scale=0.3)
    assert batch.cutouts is None
    assert len(batch.failures) == 3


def test_encrypted_or_unsupported_members_have_a_clear_message(tmp_path, pixels):
    for k, method in enumerate([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]):
        zipped(tmp_path / f"{k}.npz", method, pixels=saved(pixels))
    zipped(tmp_path / "2.npz", pixels=saved(pixels))
    data = bytearray((tmp_path / "2.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # encrypted
    (tmp_path / "2.npz").write_bytes(data)
    data = bytearray((tmp_path / "0.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 10] = 99  # an unknown method
    (tmp_path / "3.npz").write_bytes(data)
    assert count_cutouts(tmp_path) == 4
    (batch,) = read_batches(tmp_path)
    messages = [failure.message for failure in batch.failures]
    assert ["is compressed by a method" in message for message in messages] == [True, True, False, True]
    assert "is encrypted" in messages[2]


@pytest.mark.parametrize("space", ["null", "scalar", "empty group"])
def test_hdf5_without_a_shape_has_a_clear_message(tmp_path, space):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if space == "null":
            file["pixels"] = h5py.Empty("f4")
        elif space == "scalar":
            file["pixels"] = 1.0
        else:
            file.create_group("pixels")
    assert count_cutouts(tmp_path) == 1
    with pytest.raises(CutoutError, match=r"it has no shape|has the shape \(\)|a group 'pixels'"):
        CutoutSet.read(tmp_path)


def test_hdf5_without_written_data_has_no_cutouts(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("pixels", shape=(10**9, 50, 50, 3), dtype="f4")
    assert (tmp_path / "a.h5").stat().st_size < 3000
    assert count_cutouts(tmp_path) == 1
    with pytest.raises(CutoutError, match="claims 1000000000 cutouts, but it can hold only 0"):
        CutoutSet.read(tmp_path, pixel_scale=0.3)


def test_a_zarr_store_with_only_metadata_has_no_cutouts(tmp_path, pixels):
    path = claim_zarr(tmp_path, pixels)
    shutil.rmtree(path / "pixels" / "c")
    assert count_cutouts(path) == 1
    metadata = json.loads((path / "pixels" / "zarr.json").read_text())
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = [10**12, 50, 50, 3]
    (path / "pixels" / "zarr.json").write_text(json.dumps(metadata))
    assert count_cutouts(path) == 1
    with pytest.raises(CutoutError, match="too large to hold in memory"):
        CutoutSet.read(path)
