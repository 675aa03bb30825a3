"""What stands where an output is to be, and the parts that it is made of."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from joblib import effective_n_jobs

from gridlens._errors import GridlensError
from gridlens.cutouts import JoinReport
from gridlens.engine._local import Engine, ProcessEngine, ThreadEngine
from gridlens.engine._parts import Parts
from gridlens.engine._run import run
from gridlens.engine._task import Source, Task, Work

__all__ = ["check_output", "finished_parts", "parts_folder"]

# Threads have finished fewer before processes would have loaded their libraries.
_PROCESSES_FROM = 16
_ENGINES = ("local", "dask")


def parts_folder(out: str | os.PathLike[str]) -> Path:
    """The folder beside an output that keeps what is finished of it."""
    return Path(out).with_name(Path(out).name + ".parts")


def check_output(out: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> bool:
    """Whether an output is complete and `resume` has nothing to do; drop parts of an earlier run with `overwrite`.

    Raises
    ------
    GridlensError
        It exists, or parts of it do, and neither is set; or both are.
    """
    out, parts = Path(out), parts_folder(out)
    if resume and overwrite:
        raise GridlensError("An earlier run is either gone on with or dropped. Give --resume or --overwrite, not both.")
    if overwrite:
        shutil.rmtree(parts, ignore_errors=True)
    if resume or overwrite:
        return resume and out.exists() and not parts.is_dir()
    if out.exists():
        raise GridlensError(f"The output {out} exists. Name another, or replace it with --overwrite.")
    if parts.is_dir():
        raise GridlensError(
            f"The folder {parts} holds what an earlier run had finished. Go on with it by --resume, or begin anew with "
            "--overwrite."
        )
    return False


@contextlib.contextmanager
def finished_parts(
    source: Source,
    work: Work,
    folder: Path | None,
    *,
    resume: bool,
    engine: str,
    scheduler: str | None,
    n_jobs: int | None,
    progress: Callable[[int], Any] | None,
) -> Iterator[Parts]:
    """Work on all parcels that have no part yet, and yield all parts; they are removed once the block has ended well.

    `folder` is where they are kept, None for a temporary one.
    """
    if engine not in _ENGINES:
        raise GridlensError(f"The 'engine' parameter must be 'local' or 'dask'. Got {engine!r} instead.")
    if scheduler is not None and engine != "dask":
        raise GridlensError("The 'scheduler' parameter is for the engine 'dask'. Give --engine dask.")
    parcels = source.parcels()
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridlens-")))
        parts = stack.enter_context(Parts(folder, source.identity() | work.identity(), resume=resume))
        stack.callback(parts.remove_if_empty)
        if progress is not None and parts.resumed:
            progress(parts.resumed)
        todo = len(parcels) - len(parts.done)
        if todo:
            made, task = _engine(source, work, todo, engine, scheduler, n_jobs)
            run(task, parcels, made, parts, progress)
        elif not parts.done:
            parts.write(0, Task(source, work).empty())
        _say(parts)
        try:
            yield parts
        except OSError as exc:
            raise GridlensError(
                f"The output cannot be written: {exc.strerror or exc}. What is finished is kept in {folder}; the same "
                "command with --resume goes on."
            ) from exc
        parts.remove()


def _engine(
    source: Source, work: Work, todo: int, engine: str, scheduler: str | None, n_jobs: int | None
) -> tuple[Engine, Task]:
    n_workers = int(effective_n_jobs(n_jobs))
    task = Task(source, work)
    if engine == "dask":
        from gridlens.engine._dask import DaskEngine

        return DaskEngine(task, n_workers, scheduler), task
    if todo >= _PROCESSES_FROM and n_workers > 1:
        return ProcessEngine(task, n_workers), task
    threads = min(n_workers, todo)
    task = Task(source, work, n_threads=max(1, n_workers // threads))
    return ThreadEngine(task, threads), task


def _say(parts: Parts) -> None:
    """Warn of what workers warned of, and of what joins left open."""
    joins, said = JoinReport(), dict[str, None]()
    for gaps, warned in parts.reports():
        joins.add(gaps)
        said |= dict.fromkeys(warned)
    for message in said:
        warnings.warn(message, UserWarning, stacklevel=2)
    joins.warn()
