"""Functions shared by commands that work in partitions: workers, interrupts and closing messages."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gridlens._progress import progress_bar
from gridlens.cli._terminal import say
from gridlens.errors import GridlensError

__all__ = [
    "check_page",
    "compile_kernels",
    "interruptible",
    "remove_page",
    "run_options",
    "tell",
    "tell_complete",
    "terminable",
]

_PAGE_FILES = ("index.html", "metrics.json")


def run_options(engine: str, scheduler: str | None, jobs: int, resume: bool, overwrite: bool) -> dict[str, Any]:
    """Return the arguments of `gridlens.engine` for command-line options; a scheduler implies the engine "dask"."""
    return {
        "resume": resume,
        "overwrite": overwrite,
        "engine": "dask" if scheduler is not None else engine,
        "scheduler": scheduler,
        "n_jobs": jobs,
    }


def check_page(folder: Path) -> None:
    """Raise GridlensError if a folder contains files other than those of a page of `evaluate` or `explain`."""
    others = [path.name for path in folder.iterdir() if path.name not in _PAGE_FILES] if folder.is_dir() else []
    if others:
        raise GridlensError(
            f"The output folder {folder} contains files other than a page, such as {others[0]}. Name another folder."
        )


def remove_page(folder: Path) -> None:
    """Remove an earlier page of `evaluate` or `explain` from a folder that passed `check_page`."""
    for name in _PAGE_FILES:
        (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Treat a termination signal (SIGTERM) in the block like Ctrl-C, unless the caller ignores or handles it."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def interruptible(out: str | None) -> Iterator[None]:
    """Explain after an interrupt in the block how to resume, if parts of the output are finished."""
    try:
        yield
    except KeyboardInterrupt:
        from gridlens.engine._output import parts_folder

        if out is None or not parts_folder(out).is_dir():
            raise
        raise GridlensError(
            f"Interrupted. The finished parts are kept in {parts_folder(out)}; resume the command with --resume."
        ) from None


def compile_kernels(source: Any = None) -> None:
    """Compile the kernels in advance and report it, if they are needed and not compiled yet."""
    from gridlens.features._kernels import kernels_are_compiled
    from gridlens.sources import CacheSource

    if isinstance(source, CacheSource) or kernels_are_compiled():
        return
    say("gridlens: compiling the kernels for this machine, which takes about half a minute and is done only once")
    import numpy as np

    from gridlens.cutouts import CutoutSet
    from gridlens.features import measure

    with progress_bar("Compiling", None):
        noise = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
        measure(CutoutSet(noise, pixel_scale=1.0), "all", 1)


def tell_complete(out: str) -> None:
    """Report that the output is complete already."""
    say(f"gridlens: {out} is complete, there is nothing left to do")


def tell(done: str, rows: int, rejected: int, resumed: int, seconds: float, out: str | None) -> None:
    """Report how many cutouts were processed (`done` is a participle), how fast, and the output file."""
    rate = (rows - resumed) / seconds if seconds > 0.0 else float("inf")
    say(
        f"{rows - rejected} {done}, {rejected} rejected, {rate:.0f} cutouts per second"
        + (f", {resumed} from an earlier run" if resumed else "")
        + (f"; written to {out}" if out is not None else "")
    )
