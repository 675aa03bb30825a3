"""The command `gridlens`: one thin file per command, the work done elsewhere."""

from gridlens.cli._group import main

__all__ = ["main"]
