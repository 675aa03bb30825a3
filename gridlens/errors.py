"""Errors that gridlens raises on purpose: one sentence each, with the way out.

Wrong arguments raise `ValueError` or `TypeError` with the name of the parameter.
"""

__all__ = ["CutoutError", "GridlensError", "ModelError"]


class GridlensError(Exception):
    """Base of every error that a user can act on. The command line prints it without a traceback."""


class CutoutError(GridlensError, ValueError):
    """A file or array that cannot be read as cutouts."""


class ModelError(GridlensError):
    """A model file that is missing, damaged or made for another contract version."""
