"""Tests of the progress display on a terminal and in a log: figures appear only once they are meaningful."""

import functools
import io
import os
import re
import sys
import threading

import pytest

from gridlens import _progress
from gridlens._progress import Meter, progress_bar


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(_progress, "Meter", functools.partial(Meter, clock=made))
    return made


def test_the_rate_is_unknown_until_twice_the_time_of_the_first_result():
    clock = Clock()
    meter = Meter("Scoring", 10_000, clock)
    assert meter.figures() == ("0 of 10,000", "", "")
    clock.now += 10.0
    meter.advance(512)
    # A second worker that started at the same time delivers its result.
    clock.now += 0.02
    meter.advance(512)
    assert meter.figures() == ("1,024 of 10,000", "", "")
    clock.now += 9.98
    assert meter.rate == pytest.approx(51.2)
    meter.advance(1024)
    assert meter.rate == pytest.approx(153.6)
    assert meter.figures() == ("2,048 of 10,000", "154/s", "52 s left")
    # No further result arrives for a while, so the rate declines.
    clock.now += 10.0
    assert meter.rate == pytest.approx(76.8)


def test_a_resumed_run_counts_finished_work_but_excludes_it_from_the_rate():
    clock = Clock()
    meter = Meter("Scoring", 1_000_000, clock)
    meter.advance(900_000)
    clock.now += 10.0
    assert meter.figures() == ("900,000 of 1,000,000", "", "")
    meter.advance(1_000)
    assert meter.figures() == ("901,000 of 1,000,000", "100/s", "16 min left")


def test_slow_work_has_a_rate_per_minute_or_hour():
    clock = Clock()
    meter = Meter("Fitting", 20, clock)
    for _ in range(2):
        clock.now += 40.0
        meter.advance(1)
    assert meter.figures() == ("2 of 20", "1.5/min", "12 min left")
    clock.now += 7160.0
    assert meter.figures() == ("2 of 20", "0.5/h", "36.0 h left")
    assert meter.line() == "Fitting: 2 of 20, 0.5/h, 36.0 h left, 2.0 h so far"


def test_a_stage_shows_the_current_item():
    clock = Clock()
    meter = Meter("Fitting", 12, clock)
    meter.advance(0, "lightgbm, fold 1 of 5")
    clock.now += 60.0
    assert meter.line() == "Fitting lightgbm, fold 1 of 5: 0 of 12, 60 s so far"
    meter.advance(1, "patch, fold 1 of 5")
    meter.advance(1)
    assert meter.line() == "Fitting patch, fold 1 of 5: 2 of 12, 60 s so far"


def test_an_unknown_total_has_no_time_left():
    clock = Clock()
    meter = Meter("Scoring", None, clock)
    assert meter.line() == "Scoring: 0 s so far"
    meter.advance(10)
    clock.now += 5.0
    meter.advance(10)
    assert meter.line() == "Scoring: 20, 2.0/s, 5 s so far"


class Log(io.StringIO):
    """A log file, not a terminal, that signals when a line is written."""

    def __init__(self):
        super().__init__()
        self.wrote = threading.Event()

    def flush(self):
        if "\n" in self.getvalue():
            self.wrote.set()


def test_a_log_gets_one_line_per_minute(monkeypatch, clock):
    log = Log()
    monkeypatch.setattr(sys, "stderr", log)
    with progress_bar("Scoring", 100):
        pass
    assert log.getvalue() == ""
    monkeypatch.setattr(_progress, "_LOG_SECONDS", 0.001)
    with progress_bar("Scoring", 100) as advance:
        advance(7)
        assert log.wrote.wait(10)
    assert log.getvalue().splitlines()[-1] == "Scoring: 7 of 100, 0 s so far"


@pytest.mark.skipif(sys.platform == "win32", reason="requires the pseudo-terminals of Unix")
def test_a_terminal_shows_figures_once_they_are_known(monkeypatch, clock):
    leader, follower = os.openpty()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_bar("Compiling", None):
            clock.now += 20.0
        with progress_bar("Scoring", 1_000_000) as advance:
            advance(512)
            advance(512)
        early = _read(leader)
        with progress_bar("Scoring", 1_000_000) as advance:
            clock.now += 1.0
            advance(500_000)
            clock.now += 500.0
            advance(1_000)
        late = _read(leader)
    os.close(leader)
    assert "Compiling" in early and "1,024 of 1,000,000" in early
    assert "/s" not in early and "left" not in early
    assert re.search(r"Scoring .*501,000 of 1,000,000  2\.0/s  69\.3 h left", late)


def _read(leader):
    """Return the text that the terminal shows, without control sequences."""
    os.set_blocking(leader, False)
    found = b""
    with pytest.raises(BlockingIOError):
        while True:
            found += os.read(leader, 65536)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found.decode())
