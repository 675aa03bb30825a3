"""Tests of the logger "gridlens", and of the options --verbose and --quiet that set its level."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from walking import snippets_of

from gridlens import _progress, load_model
from gridlens.cli import main

LOGGER = logging.getLogger("gridlens")
ROOT = Path(__file__).parents[2]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cutouts")
    pixels = np.random.default_rng(0).normal(size=(3, 64, 64, 3)).astype(np.float32)
    np.savez(made / "noise.npz", pixels=pixels, pixel_scale=np.full(3, 0.5))
    (made / "damaged.npz").write_bytes(b"not a file of numpy")
    return made


def test_the_library_adds_a_null_handler():
    code = "import gridlens, logging; print(logging.getLogger('gridlens').handlers)"
    assert "NullHandler" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout


@pytest.mark.slow
def test_verbose_names_the_model_the_workers_and_the_partitions(folder):
    result = run("-v", "score", folder, "--jobs", 1)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert "INFO gridlens.models._bundle: Loaded the model default with the members lightgbm, patch" in lines
    assert any(line.startswith("INFO gridlens.engine._output: Processing ") for line in lines)
    assert any(line.startswith("DEBUG gridlens.engine._run: Reading partition 1 of ") for line in lines)
    assert "DEBUG" not in result.stdout
    # The option applies to one command.
    assert LOGGER.level == logging.NOTSET
    assert "DEBUG" not in run("score", folder, "--jobs", 1).stderr


@pytest.mark.slow
def test_quiet_prints_only_the_table(folder):
    result = run("--quiet", "score", folder, "--jobs", 1)
    assert result.exit_code == 0
    assert result.stderr == ""
    usual = run("score", folder, "--jobs", 1)
    assert result.stdout == usual.stdout
    assert "scored" in usual.stderr


def test_quiet_shows_errors(tmp_path):
    result = run("-q", "score", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert LOGGER.level == logging.NOTSET


def test_verbose_and_quiet_are_mutually_exclusive():
    result = run("-v", "-q", "info")
    assert result.exit_code == 2
    assert "mutually exclusive" in result.stderr


def test_the_level_error_hides_progress(monkeypatch):
    def drawn(meter):
        raise AssertionError(meter.description)

    monkeypatch.setattr(_progress, "_logged", drawn)
    monkeypatch.setattr(_progress, "_drawn", drawn)
    monkeypatch.setattr(LOGGER, "level", logging.ERROR)
    with _progress.progress_bar("Fitting", 3) as advance:
        advance(1, "first")


def test_the_library_logs_to_handlers_of_the_application(caplog):
    with caplog.at_level(logging.INFO, "gridlens"):
        load_model("default")
    assert caplog.messages == ["Loaded the model default with the members lightgbm, patch"]


@pytest.mark.slow
def test_the_snippet_of_the_page_shows_messages(monkeypatch, caplog):
    monkeypatch.chdir(ROOT)
    (code,) = snippets_of((ROOT / "docs" / "command-line.md").read_text(encoding="utf-8"))
    try:
        exec(compile(code, "command-line.md", "exec"), {})
    finally:
        LOGGER.setLevel(logging.NOTSET)
    assert any(message.startswith("Processing ") for message in caplog.messages)
    assert all(record.levelno >= logging.INFO for record in caplog.records)
