import inspect
import subprocess
import sys

import numpy as np
import pytest

from gridlens import CutoutSet
from gridlens.cutouts import CutoutBatch, ReadFailure, count_cutouts, read_batches, write_npz
from gridlens.cutouts.readers import _batches
from gridlens.errors import CutoutError, GridlensError


@pytest.fixture
def folder(tmp_path, rng):
    """Write nine cutouts of two sizes in single files and two shards, and three inputs that fail."""
    for k in range(4):
        size = 50 if k % 2 else 60
        np.savez(tmp_path / f"one{k}.npz", pixels=rng.normal(size=(size, size, 3)), pixel_scale=0.3)
    write_npz(tmp_path / "shard1.npz", CutoutSet(rng.normal(size=(3, 60, 60, 3)), ids=list("abc")))
    write_npz(tmp_path / "shard2.npz", CutoutSet(rng.normal(size=(2, 60, 60, 3)), ids=list("de")))
    np.save(tmp_path / "flat.npy", np.zeros((60, 60)))
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    (tmp_path / "two_g.fits").touch()
    (tmp_path / "two_r.fits").touch()
    return tmp_path


ALL = ["a", "b", "c", "d", "e", "one0", "one1", "one2", "one3"]


@pytest.mark.parametrize("batch_size", [1, 2, 4, 256])
def test_every_cutout_is_read_once_in_batches_of_one_size(folder, batch_size):
    batches = list(read_batches(folder, batch_size=batch_size))
    sets = [batch.cutouts for batch in batches if batch.cutouts is not None]
    assert sorted(name for cutouts in sets for name in cutouts.ids) == ALL
    assert max(map(len, sets)) <= batch_size
    failures = [failure for batch in batches for failure in batch.failures]
    assert [failure.id for failure in failures] == ["broken", "flat", "two"]
    for failure in failures:
        assert isinstance(failure, ReadFailure)
        assert failure.path.startswith(str(folder))
        assert failure.message.endswith((".", ")"))


def test_mixed_sizes_still_give_full_batches(tmp_path, rng):
    for k in range(20):
        size = 50 if k % 2 else 60
        np.savez(tmp_path / f"{k:02d}.npz", pixels=rng.normal(size=(size, size, 3)), pixel_scale=0.3)
    lengths = [len(batch.cutouts) for batch in read_batches(tmp_path, batch_size=8)]
    assert sum(lengths) == 20
    assert len(lengths) <= 6


def test_batches_are_the_same_every_time(folder):
    first = [(b.cutouts.ids.tolist(), b.failures) for b in read_batches(folder, batch_size=3) if b.cutouts]
    again = [(b.cutouts.ids.tolist(), b.failures) for b in read_batches(sorted(folder.iterdir())[::-1], batch_size=3)]
    assert first == again


def test_large_images_end_a_batch_early(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(_batches, "BATCH_BYTES", 3 * 60 * 60 * 3 * 4)
    write_npz(tmp_path / "shard.npz", CutoutSet(rng.normal(size=(8, 60, 60, 3))))
    np.savez(tmp_path / "wide.npz", pixels=rng.normal(size=(200, 200, 3)), pixel_scale=0.3)
    batches = [batch.cutouts for batch in read_batches(tmp_path)]
    assert [len(cutouts) for cutouts in batches] == [3, 3, 2, 1]
    np.testing.assert_array_equal(np.concatenate([b.ids for b in batches if b.pixels.shape[1] == 60]), list("01234567"))


def test_one_unreadable_file_among_many(tmp_path, cutout):
    for k in range(300):
        np.save(tmp_path / f"{k:04d}.npy", cutout[:48, :48])
    (tmp_path / "0123.npy").write_bytes(b"")
    batches = list(read_batches(tmp_path, pixel_scale=0.3, bands="gri", batch_size=100))
    assert sum(len(batch.cutouts) for batch in batches) == 299
    ((failure,),) = [batch.failures for batch in batches if batch.failures]
    assert failure.id == "0123"


def test_inputs_with_only_failures_are_batched_too(tmp_path):
    for k in range(5):
        (tmp_path / f"{k}.npy").touch()
    batches = list(read_batches(tmp_path, batch_size=2))
    assert [batch.cutouts for batch in batches] == [None] * 3
    assert [len(batch.failures) for batch in batches] == [2, 2, 1]
    assert isinstance(batches[0], CutoutBatch)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"paths": "nowhere"}, "There is no file or folder nowhere"),
        ({"batch_size": 0}, "The 'batch_size' parameter must be 1 or more"),
        ({"bands": "gr"}, "The 'bands' parameter"),
        ({"catalog": "nowhere.csv"}, r"There is no catalogue nowhere\.csv"),
    ],
)
def test_invalid_parameters_raise_immediately(folder, options, words):
    with pytest.raises(GridlensError, match=words):
        read_batches(**({"paths": folder} | options))


def test_set_of_mixed_sizes_names_two_files_and_read_batches(folder):
    with pytest.raises(CutoutError, match=r"60 x 60 px \(.*one0\.npz\) and 50 x 50 px \(.*one1\.npz\).*read_batches"):
        CutoutSet.read(folder.glob("one*.npz"))


def test_set_is_in_the_order_of_the_sorted_paths(folder):
    names = ["shard2.npz", "one2.npz", "one0.npz", "shard1.npz"]
    cutouts = CutoutSet.read([folder / name for name in names])
    assert cutouts.ids.tolist() == ["one0", "one2", "a", "b", "c", "d", "e"]
    assert cutouts.paths[2] == str(folder / "shard1.npz")


def test_set_raises_at_the_first_failure(folder):
    with pytest.raises(CutoutError, match=r"Cannot read .*broken\.npz: The file is damaged"):
        CutoutSet.read([folder / "one0.npz", folder / "broken.npz"])


def test_set_skips_failures_with_a_warning_that_names_them(folder):
    with pytest.warns(UserWarning, match=r"2 cutouts could not be read and are omitted: .*broken\.npz, .*flat\.npy"):
        cutouts = CutoutSet.read([folder / "one0.npz", folder / "broken.npz", folder / "flat.npy"], on_error="skip")
    assert cutouts.ids.tolist() == ["one0"]


def test_set_of_only_failures_raises(folder):
    with pytest.raises(CutoutError, match=r"None of the 2 cutouts can be read\. The first one is .*broken\.npz"):
        CutoutSet.read([folder / "broken.npz", folder / "flat.npy"], on_error="skip")


def test_invalid_on_error_is_refused(folder):
    with pytest.raises(CutoutError, match="must be 'raise' or 'skip'"):
        CutoutSet.read(folder, on_error="ignore")


def test_set_and_batches_take_the_same_parameters():
    read, batches = inspect.signature(CutoutSet.read).parameters, inspect.signature(read_batches).parameters
    assert set(read) - {"on_error"} == set(batches) - {"batch_size"}


def test_count_includes_cutouts_and_failures(folder):
    batches = list(read_batches(folder))
    read = sum(len(batch.cutouts) for batch in batches) + sum(len(batch.failures) for batch in batches)
    assert count_cutouts(folder) == read == 12


def test_count_opens_no_more_than_its_limit(folder, monkeypatch):
    monkeypatch.setattr(_batches, "_MAX_HEADERS", 3)
    assert count_cutouts(folder) is None
    assert count_cutouts(folder / "shard1.npz") == 3


def test_count_without_inputs_raises(tmp_path):
    with pytest.raises(CutoutError, match="no cutouts in the folder"):
        count_cutouts(tmp_path)


def test_astropy_is_imported_only_for_fits_files(tmp_path, cutout):
    np.save(tmp_path / "a.npy", cutout)
    code = (
        "import sys, gridlens.cutouts as c; c.CutoutSet.read(sys.argv[1], pixel_scale=0.3, bands='gri'); "
        "print([m for m in ('astropy', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
