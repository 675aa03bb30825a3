"""Outputs: checks of existing ones, and computation of the parts of a new one."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from joblib import effective_n_jobs

from gridlens._files import locked
from gridlens.cutouts.catalogs._join import JoinReport
from gridlens.engine._local import Engine, ProcessEngine, ThreadEngine
from gridlens.engine._parts import Parts, is_parts_folder
from gridlens.engine._record import check_record, write_record
from gridlens.engine._run import run
from gridlens.engine._task import Task
from gridlens.engine._work import Work
from gridlens.errors import GridlensError
from gridlens.sources import Source

__all__ = ["check_output", "finished_parts", "kept_parts", "parts_folder"]

# Minimum number of partitions for processes: threads finish fewer before processes have loaded their libraries.
_PROCESSES_FROM = 16
_ENGINES = ("local", "dask")
_LOGGER = logging.getLogger(__name__)


def parts_folder(out: str | os.PathLike[str]) -> Path:
    """Return the folder next to an output for its finished parts."""
    return Path(out).with_name(Path(out).name + ".parts")


def is_taken(out: Path) -> bool:
    """Return whether an output exists; an empty folder does not count."""
    return next(out.iterdir(), None) is not None if out.is_dir() else out.exists()


def check_output(out: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> None:
    """Raise GridlensError if an existing output prevents a new one; called before the work and once it is locked.

    Raises
    ------
    GridlensError
        The output exists, or finished parts of it do, and neither `resume` nor `overwrite` is set; or both are.
    """
    out, parts = Path(out), parts_folder(out)
    if resume and overwrite:
        raise GridlensError("resume=True and overwrite=True are mutually exclusive. Give one of them.")
    if resume or overwrite:
        return
    if is_taken(out):
        raise GridlensError(f"The output {out} exists. Use another output, or replace it with overwrite=True.")
    if is_parts_folder(parts):
        raise GridlensError(
            f"The folder {parts} holds the finished parts of an earlier run. Resume it with resume=True, or start "
            "again with overwrite=True."
        )


@contextlib.contextmanager
def finished_parts(
    source: Source,
    work: Work,
    out: str | os.PathLike[str] | None,
    *,
    settings: Mapping[str, str] | None = None,
    models: Sequence[str] = (),
    notes: Mapping[str, Any] | None = None,
    resume: bool,
    overwrite: bool = False,
    engine: str,
    scheduler: str | None,
    n_jobs: int | None,
    progress: Callable[[int], Any] | None,
) -> Iterator[Parts | None]:
    """Process all partitions without a part, and yield all parts in a context that writes `out`.

    None is yielded if `resume` finds `out` complete. The lock of `out` is held within the context. If it ends without
    an error, the parts are removed, and a record of the run is written next to `out`.

    Parameters
    ----------
    out : path or None
        The output; None keeps the parts in a temporary folder.
    settings : mapping of str to str, optional
        Further dependencies of `out`, by name.
    models : sequence of str, default=()
        Names or paths of the models, for the record of the run.
    notes : mapping of str to object, optional
        Further entries of the record, in JSON types.
    """
    with contextlib.ExitStack() as stack:
        whole = source.identity() | work.identity() | dict(settings or {})
        if out is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridlens-"))) / "parts"
        else:
            out, folder = Path(out), parts_folder(out)
            stack.enter_context(locked(out))
            # Another command may have written it in the meantime.
            check_output(out, resume=resume, overwrite=overwrite)
            if resume and is_taken(out) and not folder.exists():
                check_record(out, whole)
                yield None
                return
        parts = stack.enter_context(
            kept_parts(
                source,
                work,
                folder,
                resume=resume,
                overwrite=overwrite,
                engine=engine,
                scheduler=scheduler,
                n_jobs=n_jobs,
                progress=progress,
            )
        )
        try:
            yield parts
            if out is not None:
                options = {
                    "folder": os.getcwd(),
                    "models": [os.fspath(model) for model in models],
                    "source": source.arguments,
                    **(notes or {}),
                }
                write_record(out, whole, options)
        except OSError as exc:
            raise GridlensError(
                f"The output cannot be written: {exc.strerror or exc}. The finished parts are kept in {folder}; resume "
                "the run with resume=True."
            ) from exc


@contextlib.contextmanager
def kept_parts(
    source: Source,
    work: Work,
    folder: Path,
    *,
    resume: bool,
    overwrite: bool = False,
    engine: str,
    scheduler: str | None,
    n_jobs: int | None,
    progress: Callable[[int], Any] | None,
) -> Iterator[Parts]:
    """Process all partitions without a part in `folder`, and yield all parts.

    If the context ends without an error, the parts are removed; otherwise another call with `resume` continues.
    """
    if engine not in _ENGINES:
        raise GridlensError(f"The 'engine' parameter must be 'local' or 'dask'. Got {engine!r} instead.")
    if scheduler is not None and engine != "dask":
        raise GridlensError("The 'scheduler' parameter requires the engine 'dask'. Use engine=\"dask\".")
    identity = source.identity() | work.identity()
    with Parts(folder, identity, resume=resume, overwrite=overwrite) as parts:
        if progress is not None and parts.resumed:
            progress(parts.resumed)
        _make_parts(source, work, parts, engine, scheduler, n_jobs, progress)
        _say(parts)
        yield parts
        parts.remove()


def _make_parts(
    source: Source,
    work: Work,
    parts: Parts,
    engine: str,
    scheduler: str | None,
    n_jobs: int | None,
    progress: Callable[[int], Any] | None,
) -> None:
    partitions = source.partitions()
    todo = len(partitions) - len(parts.done)
    if parts.resumed:
        _LOGGER.info("Resumed with %d rows of an earlier run in %s", parts.resumed, parts.folder)
    if todo:
        made, task = _engine(source, work, todo, engine, scheduler, n_jobs, isolate=parts.crashed)
        with parts.in_threads() if isinstance(made, ThreadEngine) else contextlib.nullcontext():
            run(task, partitions, made, parts, progress)
    elif not parts.done:
        parts.write(0, Task(source, work).empty())


def _engine(
    source: Source, work: Work, todo: int, engine: str, scheduler: str | None, n_jobs: int | None, *, isolate: bool
) -> tuple[Engine, Task]:
    """Return the engine for `todo` partitions: processes for many, or if a cutout may crash a worker (`isolate`)."""
    n_workers = int(effective_n_jobs(n_jobs))
    task = Task(source, work)
    if engine == "dask":
        from gridlens.engine._dask import DaskEngine

        _LOGGER.info("Processing %d partitions on %s", todo, scheduler or f"a Dask cluster of {n_workers} processes")
        return DaskEngine(task, n_workers, scheduler), task
    # Daemonic processes of `multiprocessing.Pool` must not start others; joblib reports a single worker there.
    isolate = isolate and not multiprocessing.current_process().daemon
    if isolate or (todo >= _PROCESSES_FROM and n_workers > 1):
        _LOGGER.info("Processing %d partitions in %d processes", todo, n_workers)
        return ProcessEngine(task, n_workers), task
    threads = min(n_workers, todo)
    task = Task(source, work, n_threads=max(1, n_workers // threads))
    _LOGGER.info("Processing %d partitions in %d threads", todo, threads)
    return ThreadEngine(task, threads), task


def _say(parts: Parts) -> None:
    """Issue the warnings of workers and of catalogue joins."""
    joins, said = JoinReport(), dict[str, None]()
    for gaps, warned in parts.reports():
        joins.add(gaps)
        said |= dict.fromkeys(warned)
    for message in said:
        warnings.warn(message, UserWarning, stacklevel=2)
    joins.warn()
