"""Tests of `resume`, which uses only files that the same run wrote."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens import CutoutSet, LensDetector
from gridlens._files import locked
from gridlens.cli import main
from gridlens.cutouts import write_npz
from gridlens.engine import measure_files, score_files
from gridlens.engine._output import parts_folder
from gridlens.errors import GridlensError
from gridlens.members import LinearMember
from gridlens.models import save_model
from gridlens.sources import FileSource, ReadOptions
from gridlens.sources._stamps import frame_digest

FILES = 4


@pytest.fixture
def cutouts(tmp_path, monkeypatch):
    """Return a folder of files, each of which is one partition."""
    monkeypatch.setattr("gridlens.sources._files._PARTITION_CUTOUTS", 1)
    return write_cutouts(tmp_path / "cutouts", seed=0)


def write_cutouts(folder, seed):
    folder.mkdir()
    pixels = np.random.default_rng(seed).normal(size=(FILES, 3, 48, 48, 3)).astype(np.float32)
    for k in range(FILES):
        ids = [f"{k}-{j}" for j in range(3)]
        write_npz(folder / f"{k}.npz", CutoutSet(pixels[k], pixel_scale=1.0, ids=ids))
    return folder


@pytest.fixture(scope="module")
def other_model(tmp_path_factory, training_rows, calibration_rows):
    X, y = training_rows
    A, b = calibration_rows
    folder = tmp_path_factory.mktemp("other") / "linear"
    detector = LensDetector(members=(LinearMember(turns=False),)).fit(X, 1 - y, calibration=(A, 1 - b))
    save_model(detector, folder, card="# Other\n", training={})
    return folder


def score(cutouts, out, model, **options):
    return score_files(FileSource(cutouts), out, models=(str(model),), n_jobs=1, **options)


def interrupt(cutouts, out, model):
    """Leave the parts of a run that was interrupted before its table was written."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("gridlens.engine._score.rank_parts", stop)
        score(cutouts, out, model)
    return parts_folder(out)


def flip(parts, tmp_path):
    content = bytearray(parts[1].read_bytes())
    content[len(content) // 3] ^= 4
    parts[1].write_bytes(content)


def flip_digest(parts, tmp_path):
    content = bytearray(parts[1].read_bytes())
    content[content.index(b"gridlens-blake2b:") + 20] ^= 1
    parts[1].write_bytes(content)


def truncate(parts, tmp_path):
    parts[1].write_bytes(parts[1].read_bytes()[:-100])


def empty(parts, tmp_path):
    parts[1].write_bytes(b"")


def swap(parts, tmp_path):
    shutil.copy(parts[0], parts[1])


def take_from_another_run(parts, tmp_path):
    shutil.copy(tmp_path / "other.csv.parts" / parts[1].name, parts[1])


def link(parts, tmp_path):
    shutil.move(parts[1], tmp_path / "elsewhere.parquet")
    parts[1].symlink_to(tmp_path / "elsewhere.parquet")


def rewrite(parts, tmp_path):
    pd.read_parquet(parts[1]).head(1).to_parquet(parts[1])


def add_beyond_the_end(parts, tmp_path):
    shutil.copy(parts[0], parts[0].with_name("part-0000077.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [flip, flip_digest, truncate, empty, swap, link, take_from_another_run, rewrite, add_beyond_the_end]
)
def test_an_altered_part_is_computed_again(tmp_path, cutouts, model, damage):
    out = tmp_path / "out.csv"
    score(cutouts, tmp_path / "whole.csv", model)
    if damage is take_from_another_run:
        interrupt(write_cutouts(tmp_path / "others", seed=1), tmp_path / "other.csv", model)
    parts = sorted(interrupt(cutouts, out, model).glob("part-*"))
    assert len(parts) == FILES
    damage(parts, tmp_path)
    with pytest.warns(UserWarning, match="1 finished parts .* are computed again"):
        made = score(cutouts, out, model, resume=True)
    kept = FILES - (damage is not add_beyond_the_end)
    assert made.resumed == 3 * kept
    assert out.read_text() == (tmp_path / "whole.csv").read_text()
    assert not parts_folder(out).exists()


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"model": "a"}', b"[" * 100_000])
@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_a_folder_without_a_valid_record_is_not_changed(tmp_path, cutouts, model, content, option):
    out = tmp_path / "out.csv"
    folder = interrupt(cutouts, out, model)
    if content is None:
        (folder / "run.json").unlink()
    else:
        (folder / "run.json").write_bytes(content)
    there = sorted(folder.iterdir())
    with pytest.raises(GridlensError, match=r"run\.json is missing or damaged\. Move or remove it"):
        score(cutouts, out, model, **{option: True})
    assert sorted(folder.iterdir()) == there


@pytest.mark.parametrize("options", [[], ["--resume"], ["--overwrite"]])
def test_a_folder_of_the_user_is_left_as_it_is(tmp_path, cutouts, model, options):
    out = tmp_path / "out.csv"
    own = tmp_path / "out.csv.parts"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    command = ["score", str(cutouts), "--model", str(model), "--out", str(out), *options]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 1
    assert "already exists, but is not" in refused.stderr
    assert [path.name for path in own.iterdir()] == ["notes.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cutouts", "out.csv.parts"]


def test_a_file_of_the_user_among_the_parts_is_kept(tmp_path, cutouts, model):
    out = tmp_path / "out.csv"
    folder = interrupt(cutouts, out, model)
    (folder / "notes.txt").write_text("mine")
    score(cutouts, out, model, resume=True)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("options", [[], ["--resume"], ["--overwrite"]])
def test_an_output_is_locked_by_one_command(tmp_path, cutouts, model, options):
    out = tmp_path / "out.csv"
    folder = interrupt(cutouts, out, model)
    if not options:
        shutil.rmtree(folder)
    before = sorted(tmp_path.rglob("*"))
    with locked(out):
        refused = CliRunner().invoke(main, ["score", str(cutouts), "--model", str(model), "--out", str(out), *options])
    assert refused.exit_code == 1
    assert "Another process is writing" in refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_that_another_command_finished_meanwhile_is_kept(tmp_path, cutouts, model, monkeypatch):
    out = tmp_path / "out.csv"
    identity = FileSource.identity

    def slow(self):
        out.write_text("the other table\n")
        return identity(self)

    monkeypatch.setattr(FileSource, "identity", slow)
    with pytest.raises(GridlensError, match="exists"):
        score(cutouts, out, model)
    assert out.read_text() == "the other table\n"


def test_a_stale_lock_is_ignored(tmp_path, cutouts, model):
    (tmp_path / ".out.csv.lock").touch()
    score(cutouts, tmp_path / "out.csv", model)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.csv.run.json", "cutouts", "out.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".fits", ".votable"])
def test_an_output_is_complete_for_the_run_that_wrote_it(tmp_path, cutouts, model, other_model, suffix):
    out = tmp_path / f"out{suffix}"
    score(cutouts, out, model)
    written = out.read_bytes()
    assert score(cutouts, out, model, resume=True) is None
    with pytest.raises(GridlensError, match=r"another run, with other values of model\."):
        score(cutouts, out, other_model, resume=True)
    with pytest.raises(GridlensError, match=r"another run, with other values of prevalence\."):
        score(cutouts, out, model, prevalence=0.1, resume=True)
    with pytest.raises(GridlensError, match=r"another run, with other values of cutouts\."):
        score(write_cutouts(tmp_path / "others", seed=1), out, model, resume=True)
    assert out.read_bytes() == written
    out.write_bytes(written[:-1])
    with pytest.raises(GridlensError, match="its content has changed"):
        score(cutouts, out, model, resume=True)
    score(cutouts, out, model, overwrite=True)
    assert score(cutouts, out, model, resume=True) is None
    (tmp_path / f".out{suffix}.run.json").write_text("{")
    with pytest.raises(GridlensError, match="cannot be verified"):
        score(cutouts, out, model, resume=True)


def test_a_feature_cache_is_complete_for_the_run_that_wrote_it(tmp_path, cutouts):
    out = tmp_path / "out.parquet"
    measure_files(FileSource(cutouts), out, n_jobs=1)
    assert measure_files(FileSource(cutouts), out, n_jobs=1, resume=True) is None
    with pytest.raises(GridlensError, match="other values of cutouts"):
        measure_files(FileSource(cutouts / "0.npz"), out, n_jobs=1, resume=True)


def test_inputs_changed_with_the_same_size_and_time_are_detected(tmp_path, cutouts, model):
    out = tmp_path / "out.csv"
    interrupt(cutouts, out, model)
    path = cutouts / "2.npz"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(GridlensError, match=r"was started with other values of cutouts\."):
        score(cutouts, out, model, resume=True)
    score(cutouts, out, model, overwrite=True)


def test_a_changed_chunk_of_a_store_is_detected(tmp_path):
    zarr = pytest.importorskip("zarr")
    store = zarr.open_group(tmp_path / "s.zarr", mode="w")
    pixels = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    store.create_array("cutouts", data=pixels, chunks=(1, 32, 32, 3))
    first = FileSource(tmp_path / "s.zarr", options=ReadOptions(pixel_scale=1.0)).identity()
    assert FileSource(tmp_path / "s.zarr", options=ReadOptions(pixel_scale=1.0)).identity() == first
    store["cutouts"][2] = 2 * pixels[2]
    second = FileSource(tmp_path / "s.zarr", options=ReadOptions(pixel_scale=1.0)).identity()
    assert second["cutouts"] != first["cutouts"]
    assert {**second, "cutouts": ""} == {**first, "cutouts": ""}


def test_a_catalogue_in_memory_is_identified_by_columns_and_row_order(cutouts):
    frame = pd.DataFrame({"id": ["0-0", "0-1"], "richness": [1.0, 2.0], "bcg_ra": [2.0, 1.0]})
    renamed = frame.rename(columns={"bcg_ra": "bcg_dec"})
    found = {FileSource(cutouts, catalog=one).identity()["catalogue"] for one in (frame, frame[::-1], renamed)}
    assert len(found) == 3


def test_a_catalogue_in_memory_with_unusual_cells_has_a_digest():
    digests = {
        frame_digest(pd.DataFrame({"a": [cell]}, dtype=object)) for cell in ("\udce9", "\udcea", [1], [2], {"b": 1})
    }
    assert len(digests) == 5
