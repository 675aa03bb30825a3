"""Tests of runs that are killed and resumed: their table is equal to the table of an undisturbed run."""

import multiprocessing
import random
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from partitions import EACH, SHARDS, score_shards

from gridlens.cli import main
from gridlens.cutouts import CutoutSet, write_npz
from gridlens.engine._parts import Parts


@pytest.fixture
def small_partitions(monkeypatch):
    monkeypatch.setattr("gridlens.sources._files._PARTITION_CUTOUTS", 1)


def started(shards, model, out):
    """Start a process that scores, forked from a process in which the libraries are loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gridlens.engine._worker", "gridlens.models", "lightgbm", "numba"])
    process = context.Process(target=score_shards, args=(str(shards), str(model), str(out)))
    process.start()
    return process


def ended(process):
    process.join()
    return process.exitcode


@pytest.mark.slow
def test_killed_ten_times(tmp_path, shards, model):
    plain, out = tmp_path / "plain.parquet", tmp_path / "out.parquet"
    assert ended(started(shards, model, plain)) == 0  # compiles, so that the timed run does not
    begin = time.perf_counter()
    plain.unlink()
    assert ended(started(shards, model, plain)) == 0
    seconds = time.perf_counter() - begin
    chance = random.Random(0)
    kills = 0
    parts = tmp_path / "out.parquet.parts"
    while kills < 10:
        process = started(shards, model, out)
        # Kill the process at any stage: while it loads, scores, ranks or writes.
        process.join(chance.uniform(0.1, 1.0) * seconds)
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        if out.exists() and not parts.exists() and kills < 10:
            out.unlink()
    assert ended(started(shards, model, out)) == 0
    assert not parts.exists()
    table = pd.read_parquet(out)
    pd.testing.assert_frame_equal(table, pd.read_parquet(plain), check_exact=True)
    assert len(table) == SHARDS * EACH + 2
    assert (table["status"] == "rejected").sum() == SHARDS + 2


@pytest.mark.slow
def test_interrupted_and_resumed(tmp_path, shards, model, small_partitions, monkeypatch):
    out = tmp_path / "out.csv"
    command = ["score", str(shards), "--model", str(model), "--jobs", "1", "--out", str(out)]
    write, calls = Parts.write, []

    def interrupted(self, index, part):
        write(self, index, part)
        calls.append(index)
        if len(calls) == 9:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Parts, "write", interrupted)
        result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "resume the command with --resume" in result.stderr
    assert not out.exists()
    assert "Resume it with --resume" in CliRunner().invoke(main, command).stderr
    result = CliRunner().invoke(main, [*command, "--resume"])
    assert result.exit_code == 0, result.stderr
    assert f"{9 * EACH} from an earlier run" in result.stderr
    assert f"{SHARDS - 1} rows repeat the id of an earlier row" in result.stderr
    whole = CliRunner().invoke(main, [*command[:-1], str(tmp_path / "whole.csv")])
    assert whole.exit_code == 0
    assert out.read_text() == (tmp_path / "whole.csv").read_text()


@pytest.mark.parametrize("with_out", [True, False])
def test_terminated(tmp_path, shards, model, monkeypatch, with_out):
    monkeypatch.setattr("gridlens.engine._score.rank_parts", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    out = ["--out", str(tmp_path / "out.csv")] if with_out else []
    result = CliRunner().invoke(main, ["score", str(shards / "01.npz"), "--model", str(model), *out])
    assert result.exit_code == 1
    assert ("resume the command with --resume" in result.stderr) is with_out
    assert "Interrupted. " in result.stderr.splitlines()[-1]
    assert (tmp_path / "out.csv.parts").exists() is with_out
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_output_that_exists(tmp_path, shards, model):
    out = tmp_path / "out.csv"
    out.write_text("id\n")
    command = ["score", str(shards / "00.npz"), "--model", str(model), "--out", str(out)]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 1
    assert "exists. Use another output, or replace it with --overwrite" in refused.stderr
    assert out.read_text() == "id\n"
    both = CliRunner().invoke(main, [*command, "--resume", "--overwrite"])
    assert "--resume and --overwrite are mutually exclusive" in both.stderr
    unknown = CliRunner().invoke(main, [*command, "--resume"])
    assert unknown.exit_code == 1
    assert "it has no record of the run that wrote it" in unknown.stderr
    assert CliRunner().invoke(main, [*command, "--overwrite"]).exit_code == 0
    assert len(pd.read_csv(out)) == EACH
    assert "nothing left to do" in CliRunner().invoke(main, [*command, "--resume"]).stderr


def test_changed_files_cannot_be_resumed(tmp_path, shards, model, monkeypatch):
    out = tmp_path / "out.csv"
    pixels = np.random.default_rng(1).normal(size=(3, 48, 48, 3)).astype(np.float32)
    write_npz(tmp_path / "a.npz", CutoutSet(pixels, pixel_scale=1.0))
    command = ["score", str(tmp_path / "a.npz"), "--model", str(model), "--out", str(out)]

    def full(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gridlens.engine._score.rank_parts", full)
        assert CliRunner().invoke(main, command).exit_code == 1
    write_npz(tmp_path / "a.npz", CutoutSet(2 * pixels, pixel_scale=1.0))
    refused = CliRunner().invoke(main, [*command, "--resume"])
    assert "cannot be resumed: it was started with other values of cutouts." in refused.stderr
    other = CliRunner().invoke(main, [*command, "--resume", "--pixel-scale", "0.9"])
    assert "other values of cutouts, reading options." in other.stderr


def test_a_full_disk(tmp_path, shards, model, small_partitions):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted")
    try:
        command = ["score", str(shards), "--model", str(model), "--jobs", "1", "--out", str(disk / "out.csv")]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1
        assert "There is no space left for" in result.stderr
        assert "with --resume" in result.stderr
        kept = len(list(disk.rglob("part-*")))
        assert 0 < kept < SHARDS
        again = CliRunner().invoke(main, [*command, "--resume"])
        assert "There is no space left for" in again.stderr
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        result = CliRunner().invoke(main, [*command, "--resume"])
        assert result.exit_code == 0, result.stderr
        assert "from an earlier run" in result.stderr
        assert len(pd.read_csv(disk / "out.csv")) == SHARDS * EACH + 2
        assert sorted(path.name for path in disk.iterdir()) == [".out.csv.run.json", "out.csv"]
    finally:
        subprocess.run(["umount", disk], check=True)
