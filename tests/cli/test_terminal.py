"""Tests of messages and tables: they are fitted to the width of a terminal and unchanged in a pipe."""

import pytest

from gridlens.cli import _terminal

MESSAGE = "gridlens: model default, probabilities at a prevalence of 0.001, score at even prevalence"


@pytest.fixture
def terminal(monkeypatch):
    for stream in (_terminal.sys.stderr, _terminal.sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(_terminal, "_width", lambda: 40)


def test_messages_break_at_words(terminal):
    lines = _terminal.fitted(MESSAGE).split("\n")
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == MESSAGE


def test_the_first_line_leaves_room(terminal):
    first, *rest = _terminal.fitted(MESSAGE, first=7).split("\n")
    assert len(first) <= 33
    assert " ".join([first, *rest]) == MESSAGE


def test_paths_and_existing_lines_are_not_wrapped(terminal):
    path = "a-folder/" * 8 + "scores.csv"
    assert _terminal.fitted(f"written to\n{path}").split("\n") == ["written to", path]


def test_messages_in_a_pipe_are_not_wrapped():
    assert _terminal.fitted(MESSAGE) == MESSAGE


def test_rows_in_a_pipe_are_aligned(capsys):
    _terminal.print_rows([("a", "b" * 100), ("long", "c")])
    assert capsys.readouterr().out == f"a     {'b' * 100}\nlong  c\n"
