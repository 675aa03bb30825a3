"""Connections to grade books, transactions, and errors of SQLite in sentences."""

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from gridlens.errors import GridlensError
from gridlens.grading._schema import bring_up_to_date, check_version

__all__ = ["connect", "damaged", "explained", "writing"]

# Random ids are spread over their index, which exceeds the default cache of 2 MiB for a million grades.
_CACHE_KIB = 65_536
# Time that a transaction waits for another process, s.
BUSY_SECONDS = 10.0
_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "fuse.sshfs",
    "9p",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
}
_LOCAL_DISK = "Keep the file on a local disk, and merge the books of several machines."


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open or create a grade book, and return the connection in autocommit mode.

    Writers wait ten seconds for each other. The log is flushed to the disk at each commit (synchronous=FULL), so that
    an acknowledged grade also survives a loss of power. This costs milliseconds, which a grader does not notice. A
    process that is killed loses nothing in either mode.

    Raises
    ------
    GridlensError
        If the file is missing (with `read_only`), damaged, locked, of a newer version or another program, or on a disk
        that is read-only or has no shared memory.

    Warns
    -----
    UserWarning
        If the file is opened for writing on a network file system.
    """
    if path.is_dir():
        raise GridlensError(f"The grade book {path} is a folder. Name a file, such as {path / 'grades.sqlite'}.")
    if read_only:
        return _connect_to_read(path)
    if not path.parent.is_dir():
        raise GridlensError(f"The folder {path.parent} of the grade book does not exist. Make it, or name another.")
    # Otherwise SQLite would open the file for reading and fail at the first grade.
    if not os.access(path.parent, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise GridlensError(_UNWRITABLE.format(path=path))
    kind = _file_system(path.absolute().parent)
    if kind in _NETWORK:
        warnings.warn(
            f"The grade book {path} is on a network file system ({kind}), whose locks may lose grades when two "
            f"machines write at once. {_LOCAL_DISK}",
            UserWarning,
            stacklevel=4,
        )
    with explained(path), _closed_on_error(sqlite3.connect(path, BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        bring_up_to_date(connection, path)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise GridlensError(
                f"The file system of the grade book {path} has no shared memory, which several writers need; network "
                f"file systems have none. {_LOCAL_DISK}"
            )
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _connect_to_read(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise GridlensError(f"There is no grade book {path}. Name a file that exists.")
    name = "file:" + quote(str(path.absolute()))
    with explained(path):
        try:
            return _reader(f"{name}?mode=ro", path)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            # The index of the log cannot be created on a read-only disk. A book without a log is complete, and a
            # read-only disk has no writers.
            log = Path(f"{path}-wal")
            if log.exists() and log.stat().st_size:
                raise GridlensError(
                    f"The grade book {path} has grades in the log {log.name} beside it, which cannot be read on a "
                    "read-only disk. Copy both files to a folder that you may write to."
                ) from exc
            return _reader(f"{name}?immutable=1", path)


def _reader(uri: str, path: Path) -> sqlite3.Connection:
    with _closed_on_error(sqlite3.connect(uri, BUSY_SECONDS, isolation_level=None, uri=True)) as connection:
        connection.execute("PRAGMA query_only = ON")
        check_version(connection, path)
        return connection


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def writing(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Run the block as one transaction that holds the write lock from the start; an error rolls it back."""
    with explained(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # SQLite ends some transactions itself, for example if the disk is full.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Replace errors of SQLite that the user can resolve by GridlensError with a clear message."""
    try:
        yield
    except sqlite3.DatabaseError as exc:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        if code not in _SENTENCES:
            raise
        raise GridlensError(_SENTENCES[code].format(path=path, seconds=BUSY_SECONDS)) from exc


def damaged(path: Path) -> str:
    """Return the message for a damaged file."""
    return _DAMAGED.format(path=path)


_DAMAGED = (
    "The grade book {path} is damaged, truncated, or not an SQLite file. Restore a copy of it, or recover the "
    "remaining rows with the command sqlite3 FILE .recover."
)
_UNWRITABLE = "The grade book {path} cannot be written to. Open it with read_only=True, or copy it to another folder."
_SENTENCES = {
    sqlite3.SQLITE_BUSY: "The grade book {path} is locked by another process for more than {seconds:g} seconds. Close "
    "the program that writes it, and try again.",
    sqlite3.SQLITE_LOCKED: "The grade book {path} is locked by another process. Close the program that writes it.",
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: "The grade book {path} cannot be opened. Check that you have permission to read the file.",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: "The disk of the grade book {path} is full. The grades before are safe; free some space.",
    sqlite3.SQLITE_IOERR: "The disk of the grade book {path} failed to read or write. The grades before are safe. "
    + _LOCAL_DISK,
    sqlite3.SQLITE_PROTOCOL: "The file system of the grade book {path} does not support file locks. " + _LOCAL_DISK,
}


def _file_system(folder: Path) -> str:
    """Return the type of the file system of a folder, or "" if it is unknown."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    mounts = {fields[1].replace("\\040", " "): fields[2] for fields in map(str.split, lines) if len(fields) > 2}
    real = Path(os.path.realpath(folder))
    return next((mounts[str(place)] for place in (real, *real.parents) if str(place) in mounts), "")
