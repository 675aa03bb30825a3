"""Retraining from the page: a separate process, its progress, and the decision on its result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gridlens._files import writable_folder

__all__ = ["BUNDLE", "JOB", "RESULT", "SCORES", "STATUS", "Retraining"]

JOB, STATUS, RESULT, BUNDLE, SCORES = "job.json", "status.json", "result.json", "model", "scores.parquet"
"""names of the files of a training"""

_LINES = 200
_BYTES = 65_536
_LOG = "log.txt"
# Time that a training gets to end after a signal, s.
_PATIENCE = 5.0
_COMMAND = [sys.executable, "-m", "gridlens.triage._retrain_work"]


class Retraining:
    """Successive trainings, each in a new folder beside the grade book.

    Parameters
    ----------
    grades : str or path
        The grade book.

    Attributes
    ----------
    state : {"idle", "running", "done", "failed", "accepted", "kept"}
        "done" once there is a result, "accepted" or "kept" after a decision on it.
    """

    def __init__(self, grades: str) -> None:
        self._grades = Path(grades).absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._before: list[str] = []
        self._state = "idle"

    @property
    def state(self) -> str:
        """State of the last training."""
        if self._state == "running" and self._process is not None and (code := self._process.poll()) is not None:
            self._state = "done" if code == 0 and self._result() else "failed"
        return self._state

    @property
    def accepted(self) -> bool:
        """True if the new model is not worse and may replace the old one."""
        return self.state in ("done", "accepted", "kept") and self._result().get("accepted", False)

    @property
    def bundle(self) -> Path:
        """Bundle of the new model."""
        assert self._folder is not None
        return self._folder / BUNDLE

    @property
    def scores(self) -> Path:
        """Table of scores by the new model."""
        assert self._folder is not None
        return self._folder / SCORES

    def start(
        self, source: Mapping[str, Any], ids: Sequence[str], before: Sequence[str], model: str, prevalence: float
    ) -> None:
        """Start a training.

        Parameters
        ----------
        source : mapping
            Arguments of `open_source` for the pool.
        ids : sequence of str
            Objects of the pool.
        before : sequence of str
            The best of them according to the old model, best first.
        model : str
            The old model.
        prevalence : float
            Prevalence of the new table of scores.
        """
        models = writable_folder(self._grades.with_name(f"{self._grades.stem}.models"))
        number = 1 + max((int(path.name) for path in models.iterdir() if path.name.isdigit()), default=0)
        self._folder = writable_folder(models / f"{number:03d}")
        job = {
            "source": source,
            "ids": list(ids),
            "grades": str(self._grades),
            "model": model,
            "prevalence": prevalence,
        }
        (self._folder / JOB).write_text(json.dumps(job), encoding="utf-8")
        self._before, self._state = list(before), "running"
        with open(self._folder / _LOG, "wb") as log:
            self._process = subprocess.Popen(
                [*_COMMAND, str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # It leads a process group, so that its workers end with it; after Ctrl-C, the server ends it.
                start_new_session=True,
            )

    def decide(self, accept: bool) -> None:
        """Record the decision on the result."""
        self._state = "accepted" if accept else "kept"

    def status(self, after: Sequence[str]) -> dict[str, Any]:
        """Return the state, the progress and the result for the page.

        `after` are the best objects of the new table of scores, best first.
        """
        state, result = self.state, self._result()
        progress = self._read(STATUS) if state == "running" else {}
        return {
            "state": state,
            "stage": progress.get("stage", ""),
            "fraction": progress.get("fraction", 1.0 if result else 0.0),
            "log": self._log(),
            "card": result.get("card", ""),
            "verdict": result.get("verdict", ""),
            "accepted": self.accepted,
            "before": self._before,
            "after": list(after),
            "scores": str(self.scores) if self.accepted else "",
        }

    def close(self) -> None:
        """End the current training, if any."""
        if self._process is None or self._process.poll() is not None:
            return
        # The first signal lets it remove its temporary files.
        self._end(self._process, signal.SIGTERM)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._end(self._process, getattr(signal, "SIGKILL", signal.SIGTERM))
            self._process.wait()

    def _end(self, process: subprocess.Popen[bytes], how: int) -> None:
        """Send a signal to a training and its workers."""
        try:
            os.killpg(process.pid, how)
        except (AttributeError, OSError):  # on systems without process groups
            process.kill()

    def _result(self) -> dict[str, Any]:
        return self._read(RESULT)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found = {} if self._folder is None else json.loads((self._folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _log(self) -> list[str]:
        """Return the last lines of the log."""
        try:
            if self._folder is None:
                return []
            with open(self._folder / _LOG, "rb") as log:
                log.seek(max(0, log.seek(0, 2) - _BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return []
        return text.splitlines()[-_LINES:]
