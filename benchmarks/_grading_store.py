"""Time and memory to open a grade book of 10^6 grades, read it, compute the consensus and export it.

Run ``python benchmarks/_grading_store.py``.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from gridlens.grading import GradeBook

__all__ = ["store_table"]

N_GRADES = 1_000_000
N_OBJECTS = 300_000
GRADERS = ("ada", "ben", "cleo", "dan", "eve")
PREVALENCE = 0.01
# P(grade A, B, C, X or U | class) for lenses and for non-lenses.
TABLES = {True: (0.45, 0.25, 0.15, 0.10, 0.05), False: (0.003, 0.017, 0.08, 0.85, 0.05)}
BATCH = 100_000
MOST_SECONDS, MOST_MIB = 20.0, 1e9 / 2**20

# Run in a separate process, so that its memory is that of a user's session.
MEASURED = """
import json, sys, time
from gridlens.grading import GradeBook, consensus

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))

def step(name, call):
    start = time.perf_counter()
    made = call()
    steps.append((name, time.perf_counter() - start, peak()))
    return made

steps = [("import gridlens.grading", 0.0, peak())]
book = step("open", lambda: GradeBook.open(sys.argv[1]))
grades = step("current()", book.current)
n_grades, n_objects = len(grades), grades["object_id"].nunique()
found = step("consensus", lambda: consensus(grades))
del grades, found
step("export to Parquet", lambda: book.export(sys.argv[2]))
print(json.dumps({"steps": steps, "n_grades": n_grades, "n_objects": n_objects}))
"""


def drawn_grades(rng: np.random.Generator) -> pd.DataFrame:
    """Return the grades of distinct random pairs of an object and a grader."""
    pairs = rng.permutation(N_OBJECTS * len(GRADERS))[:N_GRADES]
    lens = rng.random(N_OBJECTS)[pairs // len(GRADERS)] < PREVALENCE
    letters = np.array(list("ABCXU"))
    grade = np.empty(N_GRADES, dtype=letters.dtype)
    for kind, table in TABLES.items():
        grade[lens == kind] = rng.choice(letters, size=int((lens == kind).sum()), p=table)
    times = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(N_GRADES) * 1500, unit="ms")
    return pd.DataFrame(
        {
            "object_id": [f"cluster-{k:06d}" for k in pairs // len(GRADERS)],
            "grader": np.array(GRADERS)[pairs % len(GRADERS)],
            "grade": grade,
            "t_graded": times,
        }
    )


def store_table() -> str:
    """Return the time and the peak memory of each step, and whether the totals are within the limits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grades.sqlite"
        grades = drawn_grades(np.random.default_rng(0))
        start = time.perf_counter()
        with GradeBook.open(path) as book:
            for first in range(0, N_GRADES, BATCH):
                book.add_many(grades[first : first + BATCH])
        filled = time.perf_counter() - start
        size = path.stat().st_size / 2**20
        command = [sys.executable, "-c", MEASURED, str(path), str(Path(folder) / "grades.parquet")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    seconds, peak = sum(step[1] for step in found["steps"]), max(step[2] for step in found["steps"])
    within = "yes" if seconds <= MOST_SECONDS and peak <= MOST_MIB else "NO"
    lines = [
        f"{found['n_grades']} grades of {found['n_objects']} objects by {len(GRADERS)} graders, {size:.0f} MiB on "
        f"disk, filled in {filled:.0f} s",
        *(f"{name:24s} {took:6.2f} s, peak {mib:5.0f} MiB" for name, took, mib in found["steps"]),
        f"{'together':24s} {seconds:6.2f} s, peak {peak:5.0f} MiB (at most {MOST_SECONDS:.0f} s and 1 GB: {within})",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(store_table())
