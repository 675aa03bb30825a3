"""Messages about damaged files, and about libraries that reading them needs."""

import importlib
from typing import Any

from gridlens.errors import CutoutError

__all__ = ["damage_message", "import_library"]


def damage_message(exc: Exception, file: str = "The file") -> str:
    """Say that `file` is damaged, with the first line of what the library below said of it."""
    reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
    return f"{file} is damaged or not what its name says ({reason}). Fetch or write it again."


def import_library(module: str, what: str) -> Any:
    """Import what reading `what` needs and gridlens does not require; raise CutoutError where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        name = getattr(exc, "name", None) or module
        raise CutoutError(
            f"Reading {what} needs the package {name.split('.')[0]}, which cannot be imported. "
            "Install it with: pip install 'gridlens[formats]'."
        ) from exc
