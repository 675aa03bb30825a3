"""Messages about damaged files and about missing libraries."""

import importlib
from typing import Any

from gridlens.errors import CutoutError

__all__ = ["damage_message", "import_library"]


def damage_message(exc: Exception, file: str = "The file") -> str:
    """Return a message that `file` is damaged, with the first line of the underlying library's error."""
    reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
    return f"{file} is damaged or does not match its name ({reason}). Download or write it again."


def import_library(module: str, what: str) -> Any:
    """Import an optional module that reading `what` needs; raise CutoutError if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        name = getattr(exc, "name", None) or module
        raise CutoutError(
            f"Reading {what} needs the package {name.split('.')[0]}, which cannot be imported. "
            "Install it with: pip install 'gridlens[formats]'."
        ) from exc
