"""Tests of the table of scores on a terminal."""

import os
import pty
import sys
import threading
import warnings

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens import CutoutSet
from gridlens._table_print import print_table
from gridlens.cli import main
from gridlens.cli._group import _Commands
from gridlens.cutouts import write_npz


def read(screen):
    """Return the next output on a terminal, or b"" after its other end was closed."""
    try:
        return os.read(screen, 4096)
    except OSError:
        return b""


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that calls another one on a terminal of a given width and returns the lines shown."""

    def shown(width, function, *arguments, **options):
        screen, end = pty.openpty()
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        received = []
        # Read in another thread while the function writes, because a terminal buffers only 4 kB.
        reader = threading.Thread(target=lambda: received.extend(iter(lambda: read(screen), b"")))
        reader.start()
        with open(end, "w", encoding="utf-8") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            function(*arguments, **options)
        reader.join()
        os.close(screen)
        text = b"".join(received).decode()
        for style in ("\x1b[0m", "\x1b[1m", "\x1b[2m"):
            text = text.replace(style, "")
        return text.replace("\r\n", "\n").splitlines()

    return shown


@pytest.fixture
def folder(tmp_path, noise):
    folder = tmp_path / "cutouts"
    folder.mkdir()
    write_npz(folder / "shard.npz", CutoutSet(noise(24), pixel_scale=1.0, ids=[f"cluster-{k:02d}" for k in range(24)]))
    return folder


def command(*arguments):
    main.main([str(argument) for argument in arguments], standalone_mode=False)


def table(n=3, **columns):
    p = np.linspace(0.02, 0.001, n)
    known = {
        "id": [f"J{k:04d}" for k in range(n)],
        "path": [f"/a/long/path/of/a/folder/{k}.fits" for k in range(n)],
        "rank": range(1, n + 1),
        "score": p * 40,
        "p_lens": p,
        "p_low": p / 2,
        "p_high": p * 2,
        "prevalence": 1e-3,
        "status": "ok",
        "message": "",
        "arc_distance": 11.5,
        "arcness": 4.2,
        "arc_color_gr": -0.4,
        "arc_snr": 85.0,
        "members_in_favour": 2,
        "disagreement": 0.5,
        "lightgbm": 0.5,
    }
    return pd.DataFrame(known | columns)


def test_eighty_columns_show_the_main_columns_and_name_the_others(terminal):
    lines = terminal(80, print_table, table())
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == [
        *("rank", "id", "score", "p_lens", "p_low", "p_high", "arc_distance", "arc_snr", "arcness"),
    ]
    assert lines[1].split() == ["1", "J0000", "0.8000", "0.02", "0.01", "0.04", "11.5", "85", "4.2"]
    assert " ".join(line.strip() for line in lines[4:]) == (
        "Only in the complete table: path, status, arc_color_gr, members_in_favour, disagreement, lightgbm."
    )


def test_a_long_identifier_is_wrapped_and_the_score_is_shown(terminal):
    long = "a-cluster-of-a-survey-with-a-name-that-is-longer-than-any-terminal-of-eighty-columns-is-wide"
    lines = terminal(80, print_table, table(2, id=["short", long]))
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["rank", "id", "score", "p_lens"]
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    assert "".join(line[4:].split()[0] for line in lines[2:4]) == long


def test_wide_terminals_show_more(terminal):
    lines = terminal(200, print_table, table(redshift=0.3), kept=["redshift"])
    assert lines[0].split()[5:8] == ["p_high", "redshift", "arc_distance"]
    assert lines[4] == "Only in the complete table: path, status, lightgbm."


def test_messages_are_printed_once(terminal):
    n = 6
    messages = ["The field is narrow."] * 4 + ["", "No pixel."]
    lines = terminal(
        100, print_table, table(n, message=messages, status=["ok"] * 5 + ["rejected"], score=[*np.ones(5), np.nan])
    )
    assert "status" in lines[0].split()
    assert lines[6].split()[-1] != "nan"
    assert lines[-2:] == ["4 rows: The field is narrow.", "J0005: No pixel."]


def test_a_terminal_shows_the_best_twenty_rows(folder, terminal, tmp_path, capsys):
    lines = terminal(80, command, "score", folder, "--jobs", 1)
    assert [line.split()[0] for line in lines[:22]] == ["rank", *map(str, range(1, 21)), "Only"]
    said = capsys.readouterr().err
    assert "the best 20 of 24 rows. Write all of them with --out FILE" in said
    assert "p_lens is the probability at a prevalence of 0.001, which is small even for good candidates" in said
    out = tmp_path / "scores.vot"
    assert len(terminal(80, command, "score", folder, "--jobs", 1, "--out", out, "--top", 2)) < 8
    assert f"the best 2 of 24 rows; {out} contains all of them" in capsys.readouterr().err


@pytest.mark.parametrize("top", [(), ("--top", 1)])
def test_both_kinds_of_lenses_are_shown(folder, terminal, top):
    lines = terminal(80, command, "score", folder, "--jobs", 1, "--target", "joint", *top)
    assert lines[0].split()[:7] == ["rank", "id", "p_any", "score_gc", "score_cc", "p_gc", "p_cc"]
    assert lines[1].split()[0] == "1"


def test_a_pipe_gets_the_whole_table(folder):
    result = CliRunner().invoke(main, ["score", str(folder), "--jobs", "1"])
    assert len(result.stdout.splitlines()) == 25
    assert "best 20" not in result.stderr


def test_a_warning_is_shown_once_with_its_count():
    @click.command()
    def warn():
        for k in (1, 2, 1, 1):
            warnings.warn(f"The file {k} is odd.", UserWarning, stacklevel=1)

    group = _Commands(commands={"warn": warn})
    said = CliRunner().invoke(group, ["warn"]).stderr
    assert said.splitlines() == [
        "Warning: The file 1 is odd.",
        "Warning: The file 2 is odd.",
        "This warning was repeated 3 times: The file 1 is odd.",
    ]
