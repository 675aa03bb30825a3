"""A training from grades in a separate process: train, and score the pool with the new model.

Run as ``python -m gridlens.triage._retrain_work JOB``, where JOB is a folder with ``job.json``; see `Retraining`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from gridlens._files import atomic_path
from gridlens.errors import GridlensError
from gridlens.triage._orphans import end_with_parent
from gridlens.triage._retraining import BUNDLE, JOB, RESULT, SCORES, STATUS

__all__ = ["main"]


def main(folder: Path) -> None:
    """Train as specified by the job and write the result; an error is the last line of the log."""
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    result = _trained(folder, job)
    if result["accepted"]:
        _score(folder, job)
    _write(folder / RESULT, result)


def _pool(job: dict[str, Any]) -> Any:
    """Return the cutouts of the table of scores, without others that may have been added since."""
    from gridlens.sources import open_source
    from gridlens.sources._selection import Selection

    return Selection(open_source(**job["source"]), job["ids"])


def _trained(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    from gridlens.training import train

    trained = train(
        _pool(job),
        grades=job["grades"],
        init_model=job["model"],
        out=folder / BUNDLE,
        n_jobs=_workers(),
        verbose=1,
        progress=_Progress(folder, "Measuring the pool", len(job["ids"])),
    )
    for note in trained.notes:
        print(note, flush=True)
    return {"accepted": trained.accepted, "verdict": trained.comparison, "card": trained.card}


def _score(folder: Path, job: dict[str, Any]) -> None:
    from gridlens.engine import score_files

    score_files(
        _pool(job),
        folder / SCORES,
        models=(str(folder / BUNDLE),),
        prevalence=job["prevalence"],
        n_jobs=_workers(),
        progress=_Progress(folder, "Scoring the pool with the new model", len(job["ids"])),
    )


def _workers() -> int:
    """Return the number of workers, which leaves one processor to the page."""
    return max(1, (os.cpu_count() or 1) - 1)


class _Progress:
    """Write the stage and its finished fraction for the page.

    The scenes simulated after the pool count as well. The fits after them do not, so their fraction is None.
    """

    def __init__(self, folder: Path, stage: str, total: int) -> None:
        self._path, self._stage, self._total, self._done, self._told = folder / STATUS, stage, total, 0, -1
        print(stage, flush=True)
        self(0)

    def __call__(self, count: int, step: str = "") -> None:
        """Add `count` finished cutouts or scenes."""
        self._done += count
        percent = min(100 * self._done // max(self._total, 1), 101)
        if percent == self._told:
            return
        self._told = percent
        if percent > 100:
            _write(self._path, {"stage": "Simulating earlier training scenes, and fitting", "fraction": None})
        else:
            _write(self._path, {"stage": self._stage, "fraction": percent / 100})


def _write(path: Path, values: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values), encoding="utf-8")


def _print_warning(message: Any, category: type[Warning], *_: Any) -> None:
    """Write a warning of gridlens to the log, without its location in the code."""
    if issubclass(category, UserWarning):
        print(f"Warning: {message}", flush=True)


if __name__ == "__main__":
    end_with_parent(group=True)
    # The signal raises an exception, so that temporary files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended by the server."))
    warnings.showwarning = _print_warning  # type: ignore[assignment]
    try:
        main(Path(sys.argv[1]))
    except (GridlensError, ValueError) as exc:
        sys.exit(f"Error: {exc}")
