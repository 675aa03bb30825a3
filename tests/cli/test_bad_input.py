"""Tests of invalid input: each ends in a clear message or a rejected row, and no incomplete file remains."""

import functools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from click.testing import CliRunner

from gridlens.cli import main


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder / "scores.csv"


def rejected(folder, out, *options):
    """Return the only rejected row of a folder, which also holds a valid cutout that must be scored."""
    pixels = np.random.default_rng(7).normal(size=(64, 64, 3)).astype(np.float32)
    np.savez(folder / "zz-good.npz", pixels=pixels, pixel_scale=0.5)
    result = run("score", folder, "--out", out, *options)
    assert result.exit_code == 0, result.stderr
    assert "1 scored, 1 rejected" in result.stderr
    table = pd.read_csv(out)
    assert table["id"].tolist()[0] == "zz-good"
    row = table.iloc[1]
    assert row["status"] == "rejected"
    assert np.isnan(row["p_lens"])
    return row


def failed(result, out, *words):
    """Check that the run failed with one message that contains `words`, without a traceback and without an output."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    message = result.stderr.splitlines()[-1]
    assert message.startswith("Error: ")
    for word in words:
        assert word in message
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cutouts"
    folder.mkdir()
    return folder


def write_band(folder, band, pixels, wcs=True, name="cluster"):
    header = fits.Header()
    if wcs:
        header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=2.0, CRPIX1=32.5, CRPIX2=32.5)
        header.update(CDELT1=-0.5 / 3600, CDELT2=0.5 / 3600)
    fits.writeto(folder / f"{name}_{band}.fits", pixels.astype(np.float32), header)


def noise(size=64, seed=0):
    return np.random.default_rng(seed).normal(size=(size, size))


def test_wrong_shape(folder, out):
    np.savez(folder / "flat.npz", pixels=np.zeros((64, 64, 7)), pixel_scale=0.5)
    assert "(64, 64, 7)" in rejected(folder, out)["message"]


def test_missing_band(folder, out):
    for band in "gr":
        write_band(folder, band, noise())
    row = rejected(folder, out)
    assert row["id"] == "cluster"
    assert "_i" in row["message"] or "band i" in row["message"]


def test_constant_band(folder, out):
    pixels = np.stack([noise(), np.full((64, 64), 5.0), noise(seed=2)], axis=2)
    np.savez(folder / "flat-r.npz", pixels=pixels, pixel_scale=0.5)
    assert "band r" in rejected(folder, out)["message"]


def test_nan_band(folder, out):
    pixels = np.stack([noise(), noise(seed=1), np.full((64, 64), np.nan)], axis=2)
    np.savez(folder / "no-i.npz", pixels=pixels, pixel_scale=0.5)
    assert "band i has no finite pixel" in rejected(folder, out)["message"]


def test_truncated_fits(folder, out):
    for band in "gri":
        write_band(folder, band, noise())
    path = folder / "cluster_r.fits"
    path.write_bytes(path.read_bytes()[:4000])
    message = rejected(folder, out)["message"]
    assert "Traceback" not in message
    assert "truncated" in message.lower() or "damaged" in message.lower()


def test_no_wcs(folder, out):
    for band in "gri":
        write_band(folder, band, noise(), wcs=False)
    assert "pixel_scale=ARCSEC" in rejected(folder, out)["message"]
    assert run("score", folder, "--out", out, "--pixel-scale", 0.5, "--overwrite").exit_code == 0
    assert (pd.read_csv(out)["status"] == "ok").all()


def test_a_20_px_cutout(folder, out):
    np.savez(folder / "tiny.npz", pixels=np.random.default_rng(0).normal(size=(20, 20, 3)), pixel_scale=0.5)
    assert "48" in rejected(folder, out)["message"]


def test_an_empty_folder(folder, out):
    failed(run("score", folder, "--out", out), out, str(folder))


def test_a_path_that_does_not_exist(tmp_path, out):
    failed(run("score", tmp_path / "nowhere", "--out", out), out, "nowhere")


@pytest.mark.slow
def test_an_unreadable_file_among_a_thousand(folder, out):
    pixels = np.random.default_rng(3).normal(size=(48, 48, 3)).astype(np.float32)
    for k in range(999):
        np.savez(folder / f"c{k:03d}.npz", pixels=pixels, pixel_scale=0.5)
    (folder / "c500x.npy").write_bytes(b"this is no array")
    result = run("score", folder, "--out", out)
    assert result.exit_code == 0
    assert "999 scored, 1 rejected" in result.stderr
    table = pd.read_csv(out)
    assert len(table) == 1000
    assert table.iloc[-1]["id"] == "c500x"
    assert table["score"].iloc[:999].nunique() == 1


def test_a_catalogue_that_lacks_a_column(folder, out, tmp_path):
    np.savez(folder / "a.npz", pixels=noise()[:, :, None].repeat(3, axis=2), pixel_scale=0.5)
    catalog = tmp_path / "clusters.csv"
    catalog.write_text("redshift,richness\n0.3,40\n")
    failed(run("score", folder, "--catalog", catalog, "--out", out), out, "redshift, richness", "id")


def test_an_output_folder_that_does_not_exist(folder, tmp_path):
    np.savez(folder / "a.npz", pixels=noise()[:, :, None].repeat(3, axis=2), pixel_scale=0.5)
    out = tmp_path / "absent" / "scores.csv"
    failed(run("score", folder, "--out", out), out, "absent", "does not exist")


def test_an_output_folder_that_cannot_be_written(folder, out, monkeypatch):
    np.savez(folder / "a.npz", pixels=noise()[:, :, None].repeat(3, axis=2), pixel_scale=0.5)
    out.parent.chmod(0o500)
    if os.geteuid() == 0:  # the superuser may write to any folder
        monkeypatch.setattr("gridlens._tables.os.access", lambda *_: False)
    failed(run("score", folder, "--out", out), out, "cannot be written")


def test_an_output_folder_that_becomes_unwritable(folder, out, monkeypatch):
    np.savez(folder / "a.npz", pixels=noise()[:, :, None].repeat(3, axis=2), pixel_scale=0.5)

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("gridlens._files.tempfile.mkstemp", refuse)
        result = run("score", folder, "--out", out)
    assert result.exit_code == 1
    assert "Cannot write" in result.stderr
    assert "Permission denied" in result.stderr
    assert not out.exists()
    # The computed scores are not lost.
    assert "1 from an earlier run" in run("score", folder, "--out", out, "--resume").stderr


def test_an_invalid_output_format(folder, out):
    np.savez(folder / "a.npz", pixels=noise()[:, :, None].repeat(3, axis=2), pixel_scale=0.5)
    failed(run("score", folder, "--out", out.with_suffix(".xlsx")), out, ".csv, .parquet, .fits, .votable")
    failed(run("score", folder, "--out", out.parent), out)


def test_a_full_disk_keeps_the_existing_output(folder, out, monkeypatch):
    np.savez(folder / "a.npz", pixels=np.random.default_rng(0).normal(size=(64, 64, 3)), pixel_scale=0.5)
    out.write_text("what was there\n")

    def full(self, file, **_):
        file.write("half a li")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_csv", full)
        result = run("score", folder, "--out", out, "--overwrite")
    assert result.exit_code == 1
    assert "No space left on device. The finished parts are kept in" in result.stderr.splitlines()[-1]
    assert out.read_text() == "what was there\n"
    assert sorted(path.name for path in out.parent.iterdir()) == ["scores.csv", "scores.csv.parts"]
    assert "1 from an earlier run" in run("score", folder, "--out", out, "--resume").stderr
    assert len(pd.read_csv(out)) == 1


def test_an_invalid_model(folder, out, tmp_path):
    np.savez(folder / "a.npz", pixels=noise()[:, :, None].repeat(3, axis=2), pixel_scale=0.5)
    failed(run("score", folder, "--model", tmp_path, "--out", out), out, "manifest.json", "gridlens train")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run(folder, out, number):
    np.savez(
        folder / "many.npz",
        pixels=np.random.default_rng(1).normal(size=(128, 128, 128, 3)).astype(np.float32),
        pixel_scale=0.5,
    )
    for k in range(60):
        os.link(folder / "many.npz", folder / f"many-{k}.npz")
    command = [sys.executable, "-m", "gridlens", "score", str(folder), "--out", str(out), "--jobs", "1"]
    # Shells start background jobs with interrupts ignored, and child processes inherit this.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heed)
    assert "prevalence" in process.stderr.readline()
    parts = out.parent / "scores.csv.parts"
    while not list(parts.glob("part-*")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in errors
    said = f"Error: Interrupted. The finished parts are kept in {parts}; resume the command with --resume."
    assert errors.strip().splitlines()[-1] == said
    assert list(out.parent.iterdir()) == [parts]
