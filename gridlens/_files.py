"""Atomic output files and folders, with locks against concurrent commands."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gridlens.errors import GridlensError

__all__ = [
    "atomic_folder",
    "atomic_path",
    "check_new_folder",
    "locked",
    "read_regular",
    "writable_folder",
]


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `target` that is renamed to it if the block ends without an error.

    The temporary name keeps the suffix of `target`, because many writers select their format by it. After an error or
    an interrupt in the block, the temporary file is removed and an existing `target` is unchanged.
    """
    target = Path(target)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem[:40]}-", suffix="".join(target.suffixes), dir=target.parent
        )
    except OSError as exc:
        raise GridlensError(
            f"Cannot write {target}: {exc.strerror or exc}. Choose an existing folder with write permission."
        ) from exc
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp creates private files; give the result the permissions of an ordinary new file.
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(target: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of an output file during the block, with the file ``.NAME.lock`` beside it.

    The system releases the lock when this process ends, even if it is killed; on systems or file systems without locks,
    the block is not protected.

    Raises
    ------
    GridlensError
        If another process holds the lock, or the lock file cannot be written.
    """
    target = Path(target)
    path = target.with_name(f".{target.name}.lock")
    while True:
        try:
            lock = open(path, "a")  # noqa: SIM115 - open while the lock is held
        except OSError as exc:
            raise GridlensError(f"Cannot write {target}: {exc.strerror or exc}. Choose another output.") from exc
        with lock:
            _take(lock, target)
            # The process that held the lock may have removed the file in the meantime.
            if not _is_file_at(lock, path):
                continue
            try:
                yield
            finally:
                # Remove the file before releasing the lock, so that no other process locks a file that is being
                # removed.
                path.unlink(missing_ok=True)
            return


def _take(lock: IO[str], target: Path) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise GridlensError(
            f"Another process is writing {target}. Wait until it has finished, or choose another output."
        ) from None
    except OSError:
        return


def _is_file_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def read_regular(path: Path) -> bytes:
    """Return the bytes of a file that gridlens wrote; raise FileNotFoundError for a link, a pipe or a device.

    Gridlens does not write links, and the target of a link may be endless.
    """
    if path.is_symlink() or not path.is_file():
        raise FileNotFoundError(path)
    return path.read_bytes()


def writable_folder(path: str | os.PathLike[str]) -> Path:
    """Create the folder `path` if it is missing and return it; raise GridlensError if it cannot be written to."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise GridlensError(
            f"Cannot write to the folder {folder}: {exc.strerror or exc}. Choose another output folder."
        ) from exc
    return folder


@contextlib.contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that is renamed to it if the block ends without an error.

    `target` must not exist yet, or be an empty folder. After an error or an interrupt in the block, the folder is
    removed.
    """
    target = Path(target)
    check_new_folder(target)
    parent = writable_folder(target.absolute().parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}-", dir=parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_new_folder(path: str | os.PathLike[str]) -> None:
    """Raise GridlensError unless `path` does not exist yet or is an empty folder."""
    path = Path(path)
    if path.exists() and not (path.is_dir() and next(path.iterdir(), None) is None):
        raise GridlensError(f"The output folder {path} is not empty. Choose a new folder, or empty this one first.")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
