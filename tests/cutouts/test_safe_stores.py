"""Tests that HDF5 files and Zarr stores run no code, read no other file and decompress no more than they may."""

import bz2
import gzip
import json
import os
import pickle
import shutil
import warnings
import zlib

import numcodecs
import numpy as np
import pytest

from gridlens.cutouts import CutoutSet, count_cutouts, read_batches
from gridlens.errors import CutoutError

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

SHAPE = (3, 50, 50, 3)


@pytest.fixture
def pixels(rng):
    return rng.normal(loc=(10, 20, 30), size=SHAPE).astype(np.float32)


@pytest.fixture
def store(tmp_path, pixels):
    """Return a function that writes a store with ids and bands, and edits the metadata of one of its arrays."""

    def build(version, array, edit, **options):
        path = tmp_path / "a.zarr"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            group = zarr.create_group(path, zarr_format=version)
            group.create_array("pixels", data=pixels, chunks=(1, 50, 50, 3), **options)
            group.create_array("ids", data=np.array(["a", "b", "c"]))
            group.create_array("bands", data=np.array(["g", "r", "i"]))
        where = path / array / ("zarr.json" if version == 3 else ".zarray")
        metadata = json.loads(where.read_text())
        edit(metadata)
        where.write_text(json.dumps(metadata))
        return path

    return build


def refused(path, words, n_others=0):
    """Assert that the whole file is a failure, or one of its cutouts, in which case `n_others` cutouts are read."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        (batch,) = read_batches(path, pixel_scale=0.3)
        assert n_others == (0 if batch.cutouts is None else len(batch.cutouts))
        assert count_cutouts(path) in (1, 3)
    (failure,) = batch.failures
    assert words in failure.message, failure.message


class Bomb:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


UNSAFE = ["pickle", "json2", "msgpack2", "categorize", "base64", "lzma", "zfpy", "pcodec", "packbits", "unheard-of"]


@pytest.mark.parametrize("array", ["pixels", "ids", "bands"])
@pytest.mark.parametrize("codec", UNSAFE)
def test_codecs_that_are_not_known_to_be_safe_are_refused(store, array, codec):
    path = store(2, array, lambda metadata: metadata.update(filters=[{"id": codec}]))
    refused(path, f"is encoded with '{codec}', which is not supported")
    shutil.rmtree(path)
    path = store(2, array, lambda metadata: metadata.update(compressor={"id": codec}))
    refused(path, f"is encoded with '{codec}', which is not supported")
    shutil.rmtree(path)
    path = store(3, array, lambda metadata: metadata["codecs"].append({"name": f"numcodecs.{codec}"}))
    refused(path, f"is encoded with '{codec}', which is not supported")


@pytest.mark.parametrize("array", ["pixels", "ids", "bands"])
@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_no_pickle_is_loaded(store, tmp_path, array, place):
    codec = {"id": "pickle", "protocol": 5}
    edit = {"filters": [codec], "compressor": None, "dtype": "|O"} if place == "filters" else {"compressor": codec}
    path = store(2, array, lambda metadata: metadata.update(edit))
    for chunk in (path / array).iterdir():
        if chunk.name[0].isdigit():
            chunk.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    refused(path, "is encoded with 'pickle'")
    assert not (tmp_path / "ran").exists()


def test_objects_without_a_text_codec_are_refused(store):
    path = store(2, "ids", lambda metadata: metadata.update(dtype="|O", fill_value=None))
    refused(path, "holds Python objects")
    shutil.rmtree(path)
    path = store(2, "ids", lambda metadata: metadata.update(dtype=[["a", "<f4"]]))
    refused(path, "must hold numbers or text")
    shutil.rmtree(path)
    path = store(2, "pixels", lambda metadata: metadata.update(filters=[{"id": "delta", "dtype": "O"}]))
    refused(path, "must have a numeric type")


def test_codecs_within_shards_are_inspected_too(store):
    def edit(metadata):
        metadata["codecs"][0]["configuration"]["codecs"].append({"name": "numcodecs.pickle"})

    refused(store(3, "pixels", edit, shards=SHAPE), "is encoded with 'pickle'")


def test_nested_shards_and_other_index_codecs_are_refused(store):
    def nest(metadata):
        inner = metadata["codecs"][0]["configuration"]
        inner["codecs"] = [{"name": "sharding_indexed", "configuration": dict(inner)}]

    path = store(3, "pixels", nest, shards=SHAPE)
    refused(path, "nested shards")
    shutil.rmtree(path)
    path = store(3, "pixels", lambda m: m["codecs"][0]["configuration"].update(index_codecs=["bytes"]), shards=SHAPE)
    refused(path, "shard index")


def test_two_compressors_are_refused(store):
    path = store(3, "pixels", lambda metadata: metadata["codecs"].append({"name": "gzip", "configuration": {}}))
    refused(path, "is compressed twice")


COMPRESSORS = {
    2: [None, *(numcodecs.get_codec({"id": name}) for name in ("gzip", "zlib", "bz2", "zstd", "blosc", "lz4"))],
    3: [None, zarr.codecs.GzipCodec(), zarr.codecs.ZstdCodec(), zarr.codecs.BloscCodec()],
}


@pytest.mark.parametrize(("version", "compressor"), [(v, c) for v, codecs in COMPRESSORS.items() for c in codecs])
@pytest.mark.parametrize("shards", [None, SHAPE])
def test_compressors_that_are_safe_are_read(store, pixels, version, compressor, shards):
    if shards and version == 2:
        return
    options = {"compressors": compressor, "filters": [numcodecs.Delta("f4")] if version == 2 else "auto"}
    path = store(version, "pixels", lambda metadata: None, **options, **({"shards": shards} if shards else {}))
    cutouts = CutoutSet.read(path, pixel_scale=0.3)
    np.testing.assert_allclose(cutouts.pixels, pixels, rtol=1e-3 if version == 2 else 0)
    assert cutouts.ids.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("version", [2, 3])
def test_strings_of_any_length(tmp_path, pixels, version):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=version)
    group.create_array("pixels", data=pixels)
    names = ["α", "", "a long name indeed"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group.create_array("ids", shape=3, dtype=str, chunks=(2,))[:] = np.array(names, dtype=object)
    assert len(CutoutSet.read(tmp_path / "a.zarr", pixel_scale=0.3)) == 3


def test_an_impossible_number_of_strings_is_refused(tmp_path, pixels):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("pixels", data=pixels)
    group.create_array("ids", shape=3, dtype=str, compressors=None)[:] = np.array(["a", "b", "c"], dtype=object)
    (tmp_path / "a.zarr/ids/c/0").write_bytes(b"\xff\xff\xff\x7f" + bytes(20))
    refused(tmp_path / "a.zarr", "claims 2147483647 strings in 24 bytes")


@pytest.mark.parametrize("key", ["zarr.json", "pixels/zarr.json", "pixels/c/0/0/0/0", "ids"])
def test_links_that_lead_out_of_a_store_are_refused(store, tmp_path, key):
    path = store(3, "pixels", lambda metadata: None)
    (path / key).rename(tmp_path / "outside")
    (path / key).symlink_to(tmp_path / "outside")
    refused(path, "is a link out of the store", n_others=2 if "/c/" in key else 0)


def test_pipes_in_a_store_are_not_opened(store):
    path = store(3, "pixels", lambda metadata: None)
    (path / "pixels/c/1/0/0/0").unlink()
    os.mkfifo(path / "pixels/c/1/0/0/0")
    refused(path, "is not a regular file", n_others=2)


def test_huge_or_invalid_json_metadata_are_refused(store):
    path = store(3, "pixels", lambda metadata: metadata.update(attributes={"note": "x" * 17 * 1024**2}))
    refused(path, "take 18 MB")
    for text, words in (
        (b"[" * 100_000, "are not JSON"),
        (b"[1]", "they are not a JSON object"),
        (b"\xff", "are not JSON"),
    ):
        (path / "pixels/zarr.json").write_bytes(text)
        refused(path, words)


@pytest.mark.parametrize("version", [2, 3])
def test_consolidated_metadata_must_agree(store, version):
    path = store(version, "pixels", lambda metadata: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path)
    assert len(CutoutSet.read(path, pixel_scale=0.3)) == 3
    where = path / "pixels" / ("zarr.json" if version == 3 else ".zarray")
    metadata = json.loads(where.read_text())
    metadata["shape"] = [2, 50, 50, 3]
    where.write_text(json.dumps(metadata))
    refused(path, "consolidated metadata of the store and those of the array 'pixels' differ")


def zstd_frame(data, n):
    """Repeat a block of zeros n times in a frame that does not declare its decompressed size."""
    return b"\x28\xb5\x2f\xfd\x00\x88" + b"".join(
        ((128 * 1024 << 3) | 2 | (k == n - 1)).to_bytes(3, "little") + data for k in range(n)
    )


BOMBS = {
    "gzip": lambda: gzip.compress(bytes(600 * 1024**2), 1),
    "zlib": lambda: zlib.compress(bytes(600 * 1024**2), 1),
    "bz2": lambda: bz2.compress(bytes(8 * 1024**2)),
    "zstd": lambda: numcodecs.Zstd().encode(bytes(8 * 1024**2)),
    "zstd without a size": lambda: zstd_frame(b"\0", 100),
    "blosc": lambda: numcodecs.Blosc().encode(bytes(8 * 1024**2)),
    "lz4": lambda: numcodecs.LZ4().encode(bytes(8 * 1024**2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("codec", BOMBS)
def test_chunks_that_expand_beyond_their_size_are_refused(store, codec):
    path = store(2, "pixels", lambda metadata: metadata.update(compressor={"id": codec.split()[0]}))
    bomb = BOMBS[codec]()
    for k in range(SHAPE[0]):
        # Replace all chunks: a chunk of another codec would fail too, and any of them may be decoded first.
        (path / f"pixels/{k}.0.0.0").write_bytes(bomb)
    with pytest.raises(CutoutError, match=r"takes \d+ bytes in the file|expands to more when it is decompressed"):
        CutoutSet.read(path, pixel_scale=0.3)


def test_bombs_within_shards_are_refused(store):
    path = store(3, "pixels", lambda metadata: None, shards=SHAPE, compressors=[zarr.codecs.ZstdCodec()])
    shard = path / "pixels/c/0/0/0/0"
    data = shard.read_bytes()
    first, length = np.frombuffer(data[-52:-36], "<u8")
    assert data[first : first + 4] == b"\x28\xb5\x2f\xfd"
    bomb = numcodecs.Zstd().encode(bytes(8 * 1024**2))
    assert len(bomb) < length
    shard.write_bytes(data[:first] + bytes(bomb) + data[first + len(bomb) :])
    refused(path, "expands to more when it is decompressed", n_others=2)


def test_chunks_too_large_for_memory_are_refused(tmp_path, pixels):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("pixels", shape=(10**4, 64, 64, 3), dtype="f8", chunks=(3000, 64, 64, 3))
    group = zarr.create_group(tmp_path / "b.zarr")
    group.create_array("pixels", shape=(10**4, 64, 64, 3), dtype="f8", chunks=(3000, 64, 64, 3))
    (batch,) = read_batches(tmp_path)
    assert ["in chunks of 295 MB" in failure.message for failure in batch.failures] == [True, True]


@pytest.fixture
def hdf5(tmp_path, pixels):
    """Return a function that writes a file and replaces one of its arrays."""

    def build(array, replace):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["pixels"], file["ids"], file["bands"] = (
                pixels,
                np.array([b"a", b"b", b"c"]),
                np.array([b"g", b"r", b"i"]),
            )
            values = file[array][...]
            del file[array]
            replace(file, array, values, tmp_path)
        return path

    return build


def external_link(file, name, values, folder):
    with h5py.File(folder / "other.hdf5x", "w") as other:
        other["there"] = values
    file[name] = h5py.ExternalLink("other.hdf5x", "/there")


def soft_to_external(file, name, values, folder):
    external_link(file, "elsewhere", values, folder)
    file[name] = h5py.SoftLink("/elsewhere")


def soft_through_external(file, name, values, folder):
    with h5py.File(folder / "other.hdf5x", "w") as other:
        other["there"] = values
    file["group"] = h5py.ExternalLink("other.hdf5x", "/")
    file[name] = h5py.SoftLink("/group/there")


def virtual(file, name, values, folder):
    with h5py.File(folder / "other.hdf5x", "w") as other:
        other["there"] = values
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource(folder / "other.hdf5x", "there", values.shape)
    file.create_virtual_dataset(name, layout)


def external_storage(file, name, values, folder):
    (folder / "raw").write_bytes(values.tobytes())
    file.create_dataset(name, values.shape, values.dtype, external=[(str(folder / "raw"), 0, values.nbytes)])


OUTSIDE = [external_link, soft_to_external, soft_through_external, virtual, external_storage]


@pytest.mark.parametrize("array", ["pixels", "ids", "bands"])
@pytest.mark.parametrize("replace", OUTSIDE)
def test_hdf5_reads_no_other_file(hdf5, array, replace):
    refused(hdf5(array, replace), "other file")


def test_links_within_a_file_are_followed(hdf5, pixels):
    def replace(file, name, values, _):
        file["group/there"] = values
        file["group/link"] = h5py.SoftLink("there")
        file[name] = h5py.SoftLink("/group/link")

    np.testing.assert_array_equal(CutoutSet.read(hdf5("pixels", replace), pixel_scale=0.3).pixels, pixels)


def loop(file, name, values, _):
    file[name] = h5py.SoftLink(f"/{name}")


def dangling(file, name, values, _):
    file[name] = h5py.SoftLink("/nowhere")


def references(file, name, values, _):
    file.create_dataset(name, (3,), dtype=h5py.ref_dtype)


def lists(file, name, values, _):
    file.create_dataset(name, (3,), dtype=h5py.vlen_dtype(np.int32))


def records(file, name, values, _):
    file[name] = np.zeros(3, dtype=[("a", "f4"), ("b", "f4")])


@pytest.mark.parametrize("array", ["pixels", "ids", "bands"])
@pytest.mark.parametrize(
    ("replace", "words"),
    [
        (loop, "is a link to itself"),
        (dangling, "is a broken link"),
        (references, "holds references or lists"),
        (lists, "holds references or lists"),
    ],
)
def test_unsupported_hdf5_arrays_have_a_clear_message(hdf5, array, replace, words):
    refused(hdf5(array, replace), words)


def test_records_are_refused_as_ids(hdf5):
    refused(hdf5("ids", records), "'ids' must hold text or numbers")


def test_a_filter_that_is_not_installed_is_named(tmp_path, pixels):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, 50, 50, 3))
        plist.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, (1,))
        space = h5py.h5s.create_simple(SHAPE)
        h5py.h5d.create(file.id, b"pixels", h5py.h5t.NATIVE_FLOAT, space, plist)
    refused(tmp_path / "a.h5", "compressed with the HDF5 filter 32099")


def write_chunk(path, data, **options):
    with h5py.File(path, "w") as file:
        made = file.create_dataset("pixels", SHAPE, "f4", chunks=(1, 50, 50, 3), **options)
        made[...] = 1.0
        made.id.write_direct_chunk((0, 0, 0, 0), data)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"fletcher32": True}])
def test_hdf5_bombs_are_refused(tmp_path, options):
    write_chunk(tmp_path / "a.h5", BOMBS["zlib"](), compression="gzip", **options)
    with pytest.raises(CutoutError, match=r"takes \d+ bytes in the file"):
        CutoutSet.read(tmp_path / "a.h5", pixel_scale=0.3)


def test_a_bomb_in_a_large_chunk_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("pixels", (40, 100, 100, 3), "f4", chunks=(40, 100, 100, 3), compression="gzip")
        made.id.write_direct_chunk((0, 0, 0, 0), BOMBS["zlib"]())
    with pytest.raises(CutoutError, match="expands to more when it is decompressed"):
        CutoutSet.read(tmp_path / "a.h5", pixel_scale=0.3)


def test_empty_and_reference_attributes_are_refused(tmp_path, pixels):
    for k, value in enumerate([h5py.Empty("f4"), np.zeros(3, dtype=[("a", "f4")])]):
        with h5py.File(tmp_path / f"{k}.h5", "w") as file:
            file["pixels"] = pixels
            file.attrs["pixel_scale"] = value
    with h5py.File(tmp_path / "2.h5", "w") as file:
        file["pixels"] = pixels
        file.attrs.create("bands", file.ref, dtype=h5py.ref_dtype)
    (batch,) = read_batches(tmp_path)
    assert batch.cutouts is None
    assert len(batch.failures) == 3
