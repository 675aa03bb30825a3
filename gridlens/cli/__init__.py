"""The command `gridlens`: one thin module for each command; the library does the work."""

from gridlens.cli._group import main

__all__ = ["main"]
