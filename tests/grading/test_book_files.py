"""Tests that files that are not usable grade books raise a readable error, and that no grade is lost."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from gridlens.errors import GridlensError
from gridlens.grading import GradeBook
from gridlens.grading import _connection as connection_module
from gridlens.grading import _schema as schema_module


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "grades.sqlite"
    with GradeBook.open(path) as book:
        book.add_many(pd.DataFrame({"object_id": range(300), "grader": "alice", "grade": "X"}))
    return path


@pytest.fixture
def as_another_user():
    """Yield a folder and a function that makes it read-only; a superuser becomes another user for the test."""
    folder = Path(tempfile.mkdtemp())
    superuser = hasattr(os, "geteuid") and os.geteuid() == 0

    def become():
        folder.chmod(0o555)
        if superuser:
            os.seteuid(65534)

    try:
        yield folder, become
    finally:
        if superuser:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_book_of_a_newer_version_is_refused(path):
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    for read_only in (False, True):
        with pytest.raises(GridlensError, match=r"has version 99; this gridlens reads 1. Update gridlens"):
            GradeBook.open(path, read_only=read_only)


def test_an_older_book_is_brought_up_to_date(path, monkeypatch):
    later = (*schema_module.MIGRATIONS, ("ALTER TABLE objects ADD COLUMN redshift REAL", "SELECT 1"))
    monkeypatch.setattr(schema_module, "MIGRATIONS", later)
    with pytest.raises(GridlensError, match=r"has version 1 and is read as version 2. Open it once for writing"):
        GradeBook.open(path, read_only=True)
    with GradeBook.open(path) as book:
        assert len(book.current()) == 300
        assert book._connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert book._connection.execute("SELECT redshift FROM objects LIMIT 1").fetchone() == (None,)
    with GradeBook.open(path, read_only=True) as book:
        assert len(book.current()) == 300


def test_a_failed_migration_keeps_the_previous_version(path, monkeypatch):
    broken = (*schema_module.MIGRATIONS, ("ALTER TABLE objects ADD COLUMN redshift REAL", "SELECT nonsense"))
    monkeypatch.setattr(schema_module, "MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError, match=r"nonsense"):
        GradeBook.open(path)
    monkeypatch.undo()
    with GradeBook.open(path) as book:
        assert "redshift" not in [row[1] for row in book._connection.execute("PRAGMA table_info(objects)")]


def test_an_sqlite_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE bookmarks (url)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(GridlensError, match=r"an SQLite file of another program"):
        GradeBook.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0.5, 0.02])
def test_a_truncated_book_is_refused(path, kept):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    for read_only in (False, True):
        with pytest.raises(GridlensError, match=r"is damaged, truncated, or not an SQLite file"):
            GradeBook.open(path, read_only=read_only)


def test_damage_in_the_middle_has_a_clear_message(path):
    whole = bytearray(path.read_bytes())
    whole[8192:-8192] = b"\xaa" * (len(whole) - 16384)
    path.write_bytes(whole)
    with pytest.raises(GridlensError, match=r"is damaged"), GradeBook.open(path) as book:
        book.current()


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "grades.csv"
    path.write_text("object_id,grade\n" * 100)
    with pytest.raises(GridlensError, match=r"is damaged, truncated, or not an SQLite file"):
        GradeBook.open(path)
    assert path.read_text().startswith("object_id")


def test_missing_folders_are_reported(tmp_path):
    with pytest.raises(GridlensError, match=r"There is no grade book"):
        GradeBook.open(tmp_path / "absent.sqlite", read_only=True)
    with pytest.raises(GridlensError, match=r"The folder .*absent of the grade book does not exist"):
        GradeBook.open(tmp_path / "absent" / "grades.sqlite")
    with pytest.raises(GridlensError, match=r"is a folder"):
        GradeBook.open(tmp_path)


def test_a_locked_book_has_a_clear_message_after_a_timeout(path, monkeypatch):
    monkeypatch.setattr(connection_module, "BUSY_SECONDS", 0.05)
    raw = sqlite3.connect(path, isolation_level=None)
    with GradeBook.open(path) as book:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(GridlensError, match=r"is locked by another process for more than 0\.05 seconds"):
            book.add("a", "alice", "A")
        # Readers do not wait for writers.
        assert len(book.current()) == 300
        raw.execute("ROLLBACK")
        raw.close()
        book.add("a", "alice", "A")


def test_a_file_system_without_shared_memory_is_refused(tmp_path, monkeypatch):
    class Without(sqlite3.Connection):
        def execute(self, statement, *values):
            return super().execute(statement.replace("journal_mode = WAL", "journal_mode"), *values)

    connect = sqlite3.connect
    monkeypatch.setattr(connection_module.sqlite3, "connect", lambda *a, **k: connect(*a, factory=Without, **k))
    with pytest.raises(GridlensError, match=r"has no shared memory.*Keep the file on a local disk, and merge"):
        GradeBook.open(tmp_path / "grades.sqlite")


def test_a_network_file_system_is_warned_about(tmp_path, monkeypatch):
    monkeypatch.setattr(connection_module, "_file_system", lambda _: "nfs4")
    with pytest.warns(UserWarning, match=r"on a network file system \(nfs4\)"):
        GradeBook.open(tmp_path / "grades.sqlite").close()


def test_the_file_system_of_a_folder_is_known(tmp_path):
    kind = connection_module._file_system(tmp_path)
    assert kind if sys.platform == "linux" else kind == ""


@pytest.mark.skipif(sys.platform == "win32", reason="requires POSIX users")
def test_a_book_on_a_read_only_disk_can_be_read(path, as_another_user):
    folder, become = as_another_user
    place = folder / "grades.sqlite"
    shutil.copy(path, place)
    place.chmod(0o444)
    become()
    with GradeBook.open(place, read_only=True) as book:
        assert len(book.current()) == 300
        with pytest.raises(GridlensError, match=r"cannot be written to. Open it with read_only=True"):
            book.add("a", "alice", "A")
    with pytest.raises(GridlensError, match=r"cannot be written to. Open it with read_only=True, or copy it"):
        GradeBook.open(place)
    assert [file.name for file in folder.iterdir()] == ["grades.sqlite"]


@pytest.mark.skipif(sys.platform == "win32", reason="requires POSIX users")
def test_a_log_that_cannot_be_read_is_not_ignored(path, as_another_user):
    """Grades that exist only in the log beside the book must not go missing silently."""
    folder, become = as_another_user
    with GradeBook.open(path) as book:
        book.add("late", "alice", "A")
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", folder / f"grades.sqlite{end}")
    become()
    with pytest.raises(GridlensError, match=r"has grades in the log grades.sqlite-wal.* Copy both files"):
        GradeBook.open(folder / "grades.sqlite", read_only=True)


GRADING = """
import sys
from gridlens.grading import GradeBook
with GradeBook.open(sys.argv[1]) as book:
    for k in range(100000):
        print(book.add(f"o{k}", "bob", "A"), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="requires SIGKILL")
def test_a_process_that_is_killed_loses_no_grade(path):
    process = subprocess.Popen([sys.executable, "-c", GRADING, str(path)], stdout=subprocess.PIPE, text=True)
    acknowledged = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().split("\n")[:-1]
    process.wait()
    process.stdout.close()
    with GradeBook.open(path, read_only=True) as book:
        assert set(acknowledged) <= set(book.current()["grade_id"])
    with GradeBook.open(path) as book:
        assert len(book.current()) >= 320
        book.add("after", "bob", "A")
        assert book._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
