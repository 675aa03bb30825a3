import shutil
import warnings
import zipfile

import numpy as np
import pytest
import zarr

from gridlens import CutoutSet
from gridlens.cutouts import count_cutouts, read_batches
from gridlens.cutouts.readers import _chunks
from gridlens.errors import CutoutError
from gridlens.sources import FileSource, ReadOptions, _files


@pytest.fixture
def pixels(rng):
    return rng.normal(loc=(10, 20, 30), size=(12, 50, 50, 3)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    def build(name="a.zarr", version=3, attrs=(), chunks=None, **arrays):
        path = tmp_path / name
        zipped = name.endswith(".zip")
        store = zarr.storage.ZipStore(path, mode="w") if zipped else path
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fixed-width text has no final specification in version 3
            group = zarr.create_group(store, zarr_format=version, attributes=dict(attrs))
            for key, array in arrays.items():
                own = chunks if chunks and key in ("pixels", "image") else "auto"
                group.create_array(key, data=np.asarray(array), chunks=own)
        if zipped:
            store.close()
        return path

    return build


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip"])
def test_the_layout_of_gridlens(write, pixels, name, version):
    path = write(
        name,
        version,
        pixels=pixels,
        bcg_xy=np.arange(24).reshape(12, 2),
        pixel_scale=np.full(12, 0.2),
        ids=[f"A{k}" for k in range(12)],
        flags=np.arange(12),
        redshift=np.linspace(0.1, 0.5, 12),
    )
    cutouts = CutoutSet.read(path)
    np.testing.assert_array_equal(cutouts.pixels, pixels)
    assert cutouts.bcg_xy[3].tolist() == [6, 7]
    assert cutouts.pixel_scale[0] == 0.2
    assert cutouts.ids.tolist() == [f"A{k}" for k in range(12)]
    assert cutouts.flags.tolist() == list(range(12))
    assert cutouts.metadata["redshift"].iat[-1] == 0.5
    assert count_cutouts(path) == 12


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("bands", ["grizy", ["HSC-G", "HSC-R", "HSC-I", "HSC-Z", "HSC-Y"]])
def test_the_layout_of_galaxiesml(write, rng, version, bands):
    planes = rng.normal(size=(6, 5, 60, 60)).astype(">f4")
    ids = 43_158_322_430_000_000 + np.arange(6)
    path = write(
        version=version, attrs={"bands": bands, "pixel_scale": 0.168}, image=planes, object_id=ids, ra=np.arange(6.0)
    )
    cutouts = CutoutSet.read(path)
    np.testing.assert_array_equal(cutouts.pixels, np.moveaxis(planes[:, :3], 1, -1))
    assert cutouts.ids.tolist() == [str(k) for k in ids]
    assert cutouts.metadata["ra"].tolist() == list(range(6))
    assert set(cutouts.pixel_scale) == {0.168}


def test_the_bands_of_five_unnamed_planes_are_not_guessed(write, rng):
    with pytest.raises(CutoutError, match=r"does not name its bands.*bands=\"grizy\""):
        CutoutSet.read(write(image=rng.normal(size=(3, 5, 60, 60))))


def test_a_store_may_be_one_array_or_a_zipped_folder(tmp_path, write, pixels):
    zarr.create_array(tmp_path / "lone.zarr", data=pixels, attributes={"bands": "irg"})
    lone = CutoutSet.read(tmp_path / "lone.zarr", pixel_scale=0.2)
    np.testing.assert_array_equal(lone.pixels, pixels[..., ::-1])
    path = write("b.zarr", pixels=pixels)
    shutil.make_archive(str(path), "zip", path.parent, path.name)
    shutil.rmtree(path)
    cutouts = CutoutSet.read(f"{path}.zip", pixel_scale=0.2)
    np.testing.assert_array_equal(cutouts.pixels, pixels)
    assert cutouts.ids[0] == "b_000000"


def test_a_folder_of_stores_is_read_without_walking_into_them(write, pixels, rng):
    path = write(pixels=pixels)
    folder = path.parent
    write("b.zarr", version=2, pixels=pixels[:3])
    np.save(path / "inside.npy", pixels[0])
    np.save(folder / "c.npy", pixels[0])
    cutouts = CutoutSet.read(folder, pixel_scale=0.2, bands="gri")
    assert cutouts.ids.tolist() == [f"a_{k:06d}" for k in range(12)] + [f"b_{k:06d}" for k in range(3)] + ["c"]
    assert count_cutouts(folder) == 16


def test_read_ranges_end_at_chunk_borders(write, pixels, monkeypatch):
    monkeypatch.setattr(_chunks, "BATCH_BYTES", 4 * 50 * 50 * 3 * 4)
    path = write(pixels=pixels, chunks=(3, 25, 25, 3), redshift=np.arange(12.0))
    seen = []
    read = _chunks._read_batch
    monkeypatch.setattr(_chunks, "_read_batch", lambda *args: seen.append(args[2:4]) or read(*args))
    cutouts = CutoutSet.read(path, pixel_scale=0.2)
    assert seen == [(0, 3), (3, 6), (6, 9), (9, 12)]
    np.testing.assert_array_equal(cutouts.pixels, pixels)
    np.testing.assert_array_equal(cutouts.metadata["redshift"], np.arange(12))


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize(("version", "zipped"), [(2, False), (3, False), (3, True)])
def test_names_of_chunks_may_have_either_separator(tmp_path, pixels, version, zipped, separator, monkeypatch):
    monkeypatch.setattr(_files, "_PARTITION_CUTOUTS", 5)
    path = tmp_path / "a.zarr"
    encoding = {"name": "default" if version == 3 else "v2", "separator": separator}
    group = zarr.create_group(path, zarr_format=version)
    group.create_array("pixels", data=pixels, chunks=(1, 25, 50, 3), chunk_key_encoding=encoding)
    if zipped:
        shutil.make_archive(str(path), "zip", path)
        shutil.rmtree(path)
    reader = FileSource(tmp_path, options=ReadOptions(pixel_scale=0.2))
    assert [partition.rows for partition in reader.partitions()] == ([(0, 5), (5, 10), (10, 12)])
    sets = [batch.cutouts.pixels for partition in reader.partitions() for batch in reader.read(partition)]
    np.testing.assert_array_equal(np.concatenate(sets), pixels)


def test_only_the_damaged_cutouts_are_rejected(write, pixels, monkeypatch):
    monkeypatch.setattr(_chunks, "BATCH_BYTES", 4 * 50 * 50 * 3 * 4)
    path = write("bad.zarr", pixels=pixels, chunks=(2, 50, 50, 3), ids=[f"A{k}" for k in range(12)])
    chunk = path / "pixels" / "c" / "4" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:1000])
    write("good.zarr", pixels=pixels)
    batches = list(read_batches(path.parent, pixel_scale=0.2))
    failures = [failure for batch in batches for failure in batch.failures]
    assert [(failure.id, failure.path) for failure in failures] == [("A8", str(path)), ("A9", str(path))]
    assert failures[0].message.startswith("Cutout 8 of this file: The file is damaged")
    assert sum(len(batch.cutouts) for batch in batches) == 10 + 12


@pytest.mark.parametrize("name", ["bad.zarr", "bad.zarr.zip"])
def test_stores_without_cutouts_fail_alone(write, pixels, name):
    bad = write(name, flux=np.zeros(3))
    write("good.zarr", pixels=pixels)
    ((cutouts, failures),) = read_batches(bad.parent, pixel_scale=0.2)
    assert len(cutouts) == 12
    (failure,) = failures
    assert failure.message.startswith("There is no array 'pixels' in the file, only flux. Store the pixels")
    assert count_cutouts(bad) == 1


def test_damaged_stores_have_a_clear_message(tmp_path, write, pixels):
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "file.zarr").write_bytes(b"nothing")
    (tmp_path / "zip.zarr.zip").write_bytes(b"PK nothing")
    whole = write("cut.zarr.zip", pixels=pixels)
    whole.write_bytes(whole.read_bytes()[:-50])
    with zipfile.ZipFile(tmp_path / "none.zarr.zip", "w"):
        pass
    write("flat.zarr", pixels=np.zeros((4, 50, 50)))
    write("words.zarr", pixels=np.array(["a", "b"]))
    (batch,) = read_batches(tmp_path)
    messages = {failure.id: failure.message for failure in batch.failures}
    assert set(messages) == {"empty", "file", "zip", "cut", "none", "flat", "words"}
    for name in ("empty", "file", "zip", "cut", "none"):
        assert messages[name].startswith("The file is damaged or does not match its name"), messages[name]
    assert "either axis" in messages["flat"] or "must have (H, W, 3)" in messages["flat"]
    assert "must be real numbers" in messages["words"]


def test_other_formats_are_read_without_zarr(write, pixels, monkeypatch):
    path = write(pixels=pixels)
    np.save(path.parent / "b.npy", pixels)
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    ((cutouts, (failure,)),) = read_batches(path.parent, pixel_scale=0.2, bands="gri")
    assert len(cutouts) == 12
    assert "Zarr stores needs the package zarr" in failure.message
    with pytest.raises(CutoutError, match=r"gridlens\[formats\]"):
        CutoutSet.read(path)
