"""Tests of `gridlens grades import`, `export` and `merge`."""

import sqlite3

import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens._tables import read_table
from gridlens.cli import main
from gridlens.grading import GradeBook


def run(*arguments):
    return CliRunner().invoke(main, ["grades", *map(str, arguments)])


def failed(result, *words):
    """Check that the command ended with one message and exit status 1."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr


@pytest.fixture
def book(tmp_path):
    return tmp_path / "grades.sqlite"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "graded.csv"
    path.write_text("id,grade,subclass\na,A,\nb,X,spiral\nc,,\n")
    return path


@pytest.mark.parametrize("command", ["import", "export", "merge"])
def test_help_shows_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: gridlens grades {command}" in " ".join(result.stdout.split())


def test_grades_are_imported_and_exported(book, table, tmp_path):
    done = run("import", book, table, "--grader", "alice")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == f"{table}: 2 grades added, 0 known, 1 rows without a grade\n"
    assert "0 grades added, 2 known" in run("import", book, table, table, "--grader", "alice").stderr
    out = tmp_path / "out.parquet"
    done = run("export", book, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == f"2 grades written to {out}\n"
    assert read_table(out)["grade"].tolist() == ["A", "X"]
    done = run("export", book, "--labels", "--out", tmp_path / "labels.csv")
    assert done.exit_code == 0, done.stderr
    assert read_table(tmp_path / "labels.csv")["id"].tolist() == ["a", "b"]


def test_books_are_merged(book, table, tmp_path):
    other = tmp_path / "other.sqlite"
    for path in (book, other):
        assert run("import", path, table, "--grader", "alice").exit_code == 0
    failed(run("merge", book, other), "--rename alice=alice-2", "--rename alice=alice.")
    done = run("merge", book, other, "--rename", "alice=alice")
    assert done.exit_code == 0, done.stderr
    assert done.stderr == f"{other}: 0 graders, 0 models, 0 objects, 0 gold, 0 queues, 0 grades added\n"
    assert run("merge", tmp_path / "new.sqlite", other).stderr.endswith("2 grades added\n")


def test_failures_have_a_clear_message_with_a_solution(book, table, tmp_path):
    failed(run("import", book, table), "Name the person with --grader NAME.")
    table.write_text("id,grade\na,maybe\n")
    failed(run("import", book, table, "--grader", "alice"), "unknown grades: 'maybe'", "--translate maybe=GRADE")
    assert run("import", book, table, "--grader", "alice", "--translate", "maybe=C").exit_code == 0
    failed(run("import", tmp_path / "absent" / "x.sqlite", table), "does not exist")
    failed(run("export", tmp_path / "absent.sqlite", "--out", tmp_path / "out.csv"), "There is no grade book")
    failed(run("export", book, "--out", tmp_path / "out.doc"), "The output must end in")
    failed(run("merge", book, book), "cannot be merged into itself")
    failed(run("import", book, tmp_path / "absent.csv"), "There is no table")
    with sqlite3.connect(book) as raw:
        raw.execute("PRAGMA user_version = 7")
    raw.close()
    failed(run("export", book, "--out", tmp_path / "out.csv"), "has version 7", "Update gridlens")


@pytest.mark.parametrize("option", ["--translate", "--rename"])
def test_incomplete_pairs_of_names_are_refused(book, table, option):
    command = ("import", book, table) if option == "--translate" else ("merge", book, book)
    result = run(*command, option, "alice")
    assert result.exit_code == 2
    assert "must be two names, OLD=NEW. Got 'alice' instead." in " ".join(result.stderr.split())


def test_grades_of_other_pixels_are_excluded_with_a_warning(book, tmp_path):
    with GradeBook.open(book) as opened:
        opened.add_objects(pd.DataFrame({"object_id": ["a"], "pixels_sha256": ["p"]}))
        opened.add("a", "alice", "A")
        with pytest.warns(UserWarning):
            opened.add_objects(pd.DataFrame({"object_id": ["a"], "pixels_sha256": ["q"]}))
    done = run("export", book, "--out", tmp_path / "out.csv")
    assert "Warning: 1 grades belong to pixels" in done.stderr
    assert "or include them with --other-pixels." in done.stderr
    assert "0 grades written" in done.stderr
    assert "1 grades written" in run("export", book, "--out", tmp_path / "out.csv", "--other-pixels").stderr
