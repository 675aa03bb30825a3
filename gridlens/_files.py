"""Write files whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gridlens._errors import GridlensError

__all__ = ["atomic_path", "writable_folder"]


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its name once the block ends without an error.

    The temporary name keeps the suffix of `target`, since many writers choose their format by it. An error
    or an interrupt in the block removes the temporary file and leaves whatever stood at `target` as it was.
    """
    target = Path(target)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}-", suffix="".join(target.suffixes), dir=target.parent)
    except OSError as exc:
        raise GridlensError(
            f"Cannot write {target}: {exc.strerror or exc}. Choose a folder that exists and that you may write to."
        ) from exc
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private to the user; give the result the permissions of an ordinary new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def writable_folder(path: str | os.PathLike[str]) -> Path:
    """Make the folder `path` if it is missing and return it; raise GridlensError where it cannot be written."""
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
