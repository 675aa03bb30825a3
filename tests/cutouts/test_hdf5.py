import h5py
import numpy as np
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import count_cutouts, read_batches
from gridlens.cutouts.readers import _chunks
from gridlens.errors import CutoutError


@pytest.fixture
def pixels(rng):
    return rng.normal(loc=(10, 20, 30), size=(12, 50, 50, 3)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes datasets to a file.

    `attrs` are attributes of the pixels, and `file_attrs` are attributes of the file.
    """

    def build(name="a.h5", attrs=(), file_attrs=(), chunks=None, compression=None, **arrays):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                many = key in ("pixels", "image") and np.ndim(array) == 4
                options = {"chunks": chunks, "compression": compression} if many else {}
                file.create_dataset(key, data=array, **options)
                if key in ("pixels", "image", "images"):
                    file[key].attrs.update(dict(attrs))
            file.attrs.update(dict(file_attrs))
        return path

    return build


@pytest.fixture
def small_batches(monkeypatch):
    """Read four cutouts at a time, unless the chunks of the file are larger."""
    monkeypatch.setattr(_chunks, "BATCH_BYTES", 4 * 50 * 50 * 3 * 4)


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.hdf", "a.H5"])
def test_the_layout_of_gridlens(write, pixels, name):
    path = write(
        name,
        pixels=pixels,
        bcg_xy=np.arange(24).reshape(12, 2),
        pixel_scale=np.full(12, 0.2),
        ids=[f"A{k}" for k in range(12)],
        flags=np.arange(12),
        redshift=np.linspace(0.1, 0.5, 12),
        colour=np.zeros(3),
    )
    cutouts = CutoutSet.read(path)
    np.testing.assert_array_equal(cutouts.pixels, pixels)
    assert cutouts.pixels.flags.writeable
    assert cutouts.bcg_xy[3].tolist() == [6, 7]
    assert cutouts.pixel_scale[0] == 0.2
    assert cutouts.ids.tolist() == [f"A{k}" for k in range(12)]
    assert cutouts.flags.tolist() == list(range(12))
    assert cutouts.metadata["redshift"].iat[-1] == 0.5
    assert set(cutouts.paths) == {str(path)}


@pytest.mark.parametrize("where", ["caller", "dataset", "file", "filters", "array", "text"])
def test_the_layout_of_galaxiesml(write, rng, where):
    planes = rng.normal(loc=np.arange(5)[:, None, None] * 10, size=(6, 5, 60, 60)).astype(np.float32)
    named = {
        "dataset": {"attrs": {"bands": "grizy"}},
        "file": {"file_attrs": {"bands": ["g", "r", "i", "z", "y"]}},
        "filters": {"file_attrs": {"filters": np.array([b"HSC-G", b"HSC-R", b"HSC-I", b"HSC-Z", b"HSC-Y"])}},
        "array": {"filters": [b"g", b"r", b"i", b"z", b"y"]},
        "text": {"attrs": {"bands": "g, r, i, z, y"}},
    }
    ids = 43_158_322_430_000_000 + np.arange(6)
    path = write(
        image=planes,
        object_id=ids,
        ra=np.arange(6.0),
        dec=-np.arange(6.0)[:, None],  # some writers store columns with this shape
        specz_redshift=np.arange(6) / 10,
        specz_mag_i=np.full(6, 20.0),
        **named.get(where, {}),
    )
    cutouts = CutoutSet.read(path, pixel_scale=0.168, bands="grizy" if where == "caller" else None)
    np.testing.assert_array_equal(cutouts.pixels, np.moveaxis(planes[:, :3], 1, -1))
    assert cutouts.ids.tolist() == [str(k) for k in ids]
    np.testing.assert_array_equal(cutouts.metadata[["ra", "dec", "redshift"]].iloc[4], [4, -4, 0.4])


def test_bands_are_selected_by_name_in_any_order(write, rng):
    planes = rng.normal(size=(3, 60, 60, 5))
    path = write(image=planes, attrs={"bands": "yzirg"})
    np.testing.assert_array_equal(
        CutoutSet.read(path, pixel_scale=0.2).pixels, planes[..., [4, 3, 2]].astype(np.float32)
    )


def test_the_bands_of_five_unnamed_planes_are_not_guessed(write, rng):
    path = write(image=rng.normal(size=(3, 5, 60, 60)))
    with pytest.raises(CutoutError, match=r"'image' of shape \(3, 5, 60, 60\) does not name its bands.*bands=\"grizy"):
        CutoutSet.read(path)


def test_planes_without_names_are_refused_unless_they_are_called_pixels(write, pixels, rng):
    planes = np.moveaxis(pixels, -1, 1)
    np.testing.assert_array_equal(CutoutSet.read(write(pixels=planes), pixel_scale=0.2).pixels, pixels)
    with pytest.raises(CutoutError, match=r"does not state the order of its bands.*bands=\"gri\""):
        CutoutSet.read(write(image=planes), pixel_scale=0.2)
    with pytest.raises(CutoutError, match=r"shape \(2, 4, 60, 60\).*bands="):
        CutoutSet.read(write(image=np.zeros((2, 4, 60, 60))))
    with pytest.raises(CutoutError, match="does not fit the 5 bands g, r, i, z, y"):
        CutoutSet.read(write(image=np.zeros((2, 4, 60, 60))), bands="grizy")


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f8", "uint16", ">i2", "float16"])
def test_pixels_of_any_numeric_dtype(write, rng, dtype):
    pixels = rng.integers(0, 1000, size=(4, 50, 50, 3)).astype(dtype)
    cutouts = CutoutSet.read(write(pixels=pixels), pixel_scale=0.2)
    assert cutouts.pixels.dtype == np.dtype(np.float32)
    np.testing.assert_array_equal(cutouts.pixels, pixels.astype(np.float32))


def test_zero_points_and_scale(write, pixels):
    path = write(pixels=pixels, attrs={"pixel_scale": 0.3})
    cutouts = CutoutSet.read(path, zeropoint={"g": 27, "r": 24.5, "i": 29.5})
    np.testing.assert_allclose(cutouts.pixels, pixels * np.float32([1, 10, 0.1]), rtol=1e-6)
    assert set(cutouts.pixel_scale) == {0.3}
    assert set(CutoutSet.read(path, pixel_scale=0.4).pixel_scale) == {0.4}


def test_missing_ids_are_derived_from_the_file_name(write, pixels, small_batches):
    cutouts = CutoutSet.read(write("field.h5", pixels=pixels), pixel_scale=0.2)
    assert cutouts.ids.tolist() == [f"field_{k:06d}" for k in range(12)]
    one = CutoutSet.read(write("one.h5", pixels=pixels[0]), pixel_scale=0.2)
    assert one.ids.tolist() == ["one"]
    np.testing.assert_array_equal(one.pixels[0], pixels[0])


@pytest.mark.parametrize(
    ("chunk", "lengths"), [(None, [4, 4, 4]), (1, [4, 4, 4]), (3, [3] * 4), (5, [5, 5, 2]), (12, [12])]
)
def test_read_ranges_end_at_chunk_borders(write, pixels, small_batches, chunk, lengths, monkeypatch):
    chunks = None if chunk is None else (chunk, 50, 50, 1)
    redshift = np.arange(12.0)
    path = write(pixels=pixels, chunks=chunks, redshift=redshift)
    seen = []
    read = _chunks._read_batch
    monkeypatch.setattr(_chunks, "_read_batch", lambda *args: seen.append(args[3] - args[2]) or read(*args))
    cutouts = CutoutSet.read(path, pixel_scale=0.2)
    assert seen == lengths
    np.testing.assert_array_equal(cutouts.pixels, pixels)
    np.testing.assert_array_equal(cutouts.metadata["redshift"], redshift)


def test_chunks_too_large_for_memory_are_split_with_a_warning(write, pixels, small_batches, monkeypatch):
    monkeypatch.setattr(_chunks, "_MAX_BATCH_BYTES", 5 * 50 * 50 * 3 * 4)
    path = write(pixels=pixels, chunks=(12, 10, 10, 1), compression="gzip")
    with pytest.warns(UserWarning, match=r"a\.h5 stores 12 cutouts in each chunk.*is read 3 times"):
        cutouts = CutoutSet.read(path, pixel_scale=0.2)
    np.testing.assert_array_equal(cutouts.pixels, pixels)


def test_batches_do_not_depend_on_the_read_ranges(write, pixels, monkeypatch):
    write("a.h5", pixels=pixels, pixel_scale=0.2, chunks=(5, 50, 50, 3))
    path = write("b.h5", pixels=pixels[:3], pixel_scale=0.2)

    def batches():
        return [(b.cutouts.ids.tolist(), b.cutouts.pixels.sum()) for b in read_batches(path.parent, batch_size=4)]

    whole = batches()
    monkeypatch.setattr(_chunks, "BATCH_BYTES", 1)
    assert batches() == whole
    assert [len(names) for names, _ in whole] == [4, 4, 4, 3]


def test_count_is_from_the_header(write, pixels):
    path = write(pixels=pixels)
    write("one.h5", pixels=pixels[0])
    (path.parent / "broken.h5").write_bytes(b"nothing")
    assert count_cutouts(path) == 12
    assert count_cutouts(path.parent) == 14


def test_an_array_without_cutouts_is_an_empty_set(write):
    path = write(pixels=np.zeros((0, 50, 50, 3), np.float32), ids=np.zeros(0, "S4"), bcg_xy=np.zeros((0, 2)))
    assert len(CutoutSet.read(path, pixel_scale=0.2)) == 0
    assert count_cutouts(path) == 0


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"flux": np.zeros(3)}, "There is no array 'pixels' in the file, only flux"),
        ({}, "only nothing"),
        ({"pixels": np.zeros((4, 50, 50, 3), complex)}, "must be real numbers"),
        ({"pixels": np.array(["a", "b"], dtype=object)}, "values of type object, but pixels must be real numbers"),
        ({"pixels": np.zeros((4, 50, 50, 2))}, r"shape \(4, 50, 50, 2\)"),
        ({"pixels": np.zeros((4, 50, 50, 3)), "ids": [b"a", b"b"]}, "'ids' must have one entry per cutout, 4. Got 2"),
        ({"pixels": np.zeros((4, 50, 50, 3)), "redshift": np.zeros(2)}, "'redshift' must have one entry per cutout, 4"),
        ({"pixels": np.zeros((4, 50, 50, 3)), "bcg_xy": np.zeros((4, 3))}, r"'bcg_xy' .* Got the shape \(4, 3\)"),
        ({"pixels": np.zeros((4, 50, 50, 3)), "redshift": [b"a"] * 4}, "must be numbers"),
    ],
)
def test_invalid_arrays_fail_alone(write, pixels, arrays, words):
    bad = write("bad.h5", **arrays)
    write("good.h5", pixels=pixels)
    ((cutouts, failures),) = read_batches(bad.parent, pixel_scale=0.2)
    assert len(cutouts) == 12
    (failure,) = failures
    assert (failure.id, failure.path) == ("bad", str(bad))
    with pytest.raises(CutoutError, match=words):
        CutoutSet.read(bad, pixel_scale=0.2)


def test_a_group_in_place_of_the_pixels_has_a_clear_message(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("pixels")
    with pytest.raises(CutoutError, match="group 'pixels' where an array is expected"):
        CutoutSet.read(tmp_path / "a.h5")


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_truncated_file_has_a_clear_message(write, pixels, keep):
    path = write(pixels=pixels)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep == 0.5 else keep])
    with pytest.raises(CutoutError, match=r"Cannot read .*a\.h5: The file is damaged .*again\.$"):
        CutoutSet.read(path, pixel_scale=0.2)


def test_only_the_damaged_cutouts_are_rejected(write, pixels, small_batches):
    path = write("bad.h5", pixels=pixels, chunks=(2, 50, 50, 3), compression="gzip")
    with h5py.File(path, "r") as file:
        chunk = file["pixels"].id.get_chunk_info(4)  # cutouts 8 and 9
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 20 : chunk.byte_offset + chunk.size // 2] = bytes(chunk.size // 2 - 20)
    path.write_bytes(data)
    write("good.h5", pixels=pixels)
    batches = list(read_batches(path.parent, pixel_scale=0.2))
    failures = [failure for batch in batches for failure in batch.failures]
    assert [failure.id for failure in failures] == ["bad_000008", "bad_000009"]
    assert failures[0].message.startswith("Cutout 8 of this file: The file is damaged")
    ids = [name for batch in batches for name in batch.cutouts.ids]
    assert ids == [f"bad_{k:06d}" for k in range(12) if k not in (8, 9)] + [f"good_{k:06d}" for k in range(12)]


def test_other_formats_are_read_without_h5py(write, pixels, monkeypatch):
    path = write(pixels=pixels)
    np.save(path.parent / "b.npy", pixels)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    ((cutouts, (failure,)),) = read_batches(path.parent, pixel_scale=0.2, bands="gri")
    assert len(cutouts) == 12
    assert failure.message == (
        "Reading HDF5 files needs the package h5py, which cannot be imported. "
        "Install it with: pip install 'gridlens[formats]'."
    )
    assert count_cutouts(path.parent) == 13
    with pytest.raises(CutoutError, match=r"a\.h5 needs the package h5py.*gridlens\[formats\]"):
        read_batches(path)
