"""Tables of a grade book, and migrations of older files."""

import sqlite3

from gridlens.errors import GridlensError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "bring_up_to_date", "check_version"]

APPLICATION_ID = 0x47724C31
"""application id of grade books, the letters GrL1"""

_FIRST = (
    """
    CREATE TABLE objects (
        object_id TEXT PRIMARY KEY CHECK (object_id <> ''),
        ra REAL,
        dec REAL,
        source TEXT,
        pixels_sha256 TEXT,
        cluster_id TEXT
    )
    """,
    """
    CREATE TABLE graders (
        grader_id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE CHECK (name <> ''),
        token_sha256 TEXT,
        created TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE models (
        model_id TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL,
        path TEXT NOT NULL,
        trained_at TEXT,
        parent_id TEXT REFERENCES models (model_id) DEFERRABLE INITIALLY DEFERRED,
        recipe_json TEXT NOT NULL,
        metrics_json TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE queues (
        queue_id TEXT PRIMARY KEY,
        strategy TEXT NOT NULL,
        params_json TEXT NOT NULL,
        seed INTEGER,
        model_id TEXT REFERENCES models (model_id),
        created TEXT NOT NULL,
        n_pool INTEGER NOT NULL,
        pool_sha256 TEXT NOT NULL
    )
    """,
    # A grade refers to an item by all three columns, so that it cannot be attached to the item of another object.
    """
    CREATE TABLE queue_items (
        queue_id TEXT NOT NULL REFERENCES queues (queue_id),
        position INTEGER NOT NULL CHECK (position >= 0),
        object_id TEXT NOT NULL REFERENCES objects (object_id),
        kind TEXT NOT NULL,
        p REAL,
        score REAL,
        inclusion_probability REAL CHECK (inclusion_probability > 0 AND inclusion_probability <= 1),
        stratum TEXT,
        PRIMARY KEY (queue_id, position),
        UNIQUE (queue_id, position, object_id)
    )
    """,
    """
    CREATE TABLE gold (
        object_id TEXT PRIMARY KEY REFERENCES objects (object_id),
        truth INTEGER NOT NULL CHECK (truth IN (0, 1)),
        kind TEXT NOT NULL CHECK (kind IN ('injected', 'known_lens', 'known_nonlens')),
        params_json TEXT NOT NULL
    )
    """,
    # pixels_sha256 is the hash of the object's pixels at the time of the grade. A row without a grade withdraws one.
    """
    CREATE TABLE grades (
        sequence INTEGER PRIMARY KEY,
        grade_id TEXT NOT NULL UNIQUE,
        object_id TEXT NOT NULL REFERENCES objects (object_id),
        grader_id TEXT NOT NULL REFERENCES graders (grader_id),
        grade TEXT CHECK (grade IN ('A', 'B', 'C', 'X', 'U')),
        subclass TEXT,
        confidence REAL CHECK (confidence BETWEEN 0 AND 1),
        note TEXT NOT NULL,
        marks_json TEXT,
        view TEXT NOT NULL,
        blind INTEGER NOT NULL CHECK (blind IN (0, 1)),
        t_shown TEXT,
        t_graded TEXT NOT NULL,
        queue_id TEXT REFERENCES queues (queue_id),
        position INTEGER,
        kind TEXT,
        supersedes TEXT REFERENCES grades (grade_id) DEFERRABLE INITIALLY DEFERRED,
        pixels_sha256 TEXT,
        CHECK (grade IS NOT NULL OR supersedes IS NOT NULL),
        FOREIGN KEY (queue_id, position, object_id) REFERENCES queue_items (queue_id, position, object_id)
    )
    """,
    "CREATE INDEX grades_by_object ON grades (object_id, grader_id)",
    "CREATE INDEX grades_by_time ON grades (grader_id, t_graded)",
    "CREATE INDEX grades_superseded ON grades (supersedes) WHERE supersedes IS NOT NULL",
    """
    CREATE TRIGGER grades_stay BEFORE UPDATE ON grades
    BEGIN SELECT RAISE (ABORT, 'grades are append-only: add a row that supersedes'); END
    """,
    """
    CREATE TRIGGER grades_are_kept BEFORE DELETE ON grades
    BEGIN SELECT RAISE (ABORT, 'grades are append-only: add a row that supersedes'); END
    """,
    # The object is only looked up if the hash of the grade's pixels is known.
    """
    CREATE VIEW current_grades AS
    SELECT g.*,
           CASE WHEN g.pixels_sha256 IS NULL THEN 0 ELSE COALESCE(
               g.pixels_sha256 <> (SELECT o.pixels_sha256 FROM objects AS o WHERE o.object_id = g.object_id), 0
           ) END AS other_pixels
    FROM grades AS g
    WHERE g.grade IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM grades AS later WHERE later.supersedes = g.grade_id)
    """,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""statements that lead to each version, from 1; released entries never change, and new versions are appended"""


def bring_up_to_date(connection: sqlite3.Connection, path: object) -> None:
    """Create the tables of a new file, or run the missing migrations of an older file, in one transaction.

    Raises
    ------
    GridlensError
        If the file belongs to a newer version or another program.
    """
    if _version(connection, path) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done this in the meantime.
        version = _version(connection, path)
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection, path: object) -> None:
    """Raise GridlensError unless the file is a grade book of this version, as required for read-only files."""
    version = _version(connection, path)
    if version < len(MIGRATIONS):
        state = "is empty" if version == 0 else f"has version {version} and is read as version {len(MIGRATIONS)}"
        raise GridlensError(f"The grade book {path} {state}. Open it once for writing, or copy it to a place for that.")


def _version(connection: sqlite3.Connection, path: object) -> int:
    """Return the version of a file, 0 for an empty one; raise GridlensError if it cannot be used."""
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    if application != APPLICATION_ID and not (empty and application == 0 and version == 0):
        raise GridlensError(
            f"The file {path} is an SQLite file of another program, not a grade book. Name another file."
        )
    if version > len(MIGRATIONS):
        raise GridlensError(
            f"The grade book {path} has version {version}; this gridlens reads {len(MIGRATIONS)}. Update gridlens."
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
