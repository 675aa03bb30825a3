"""Exceptions of gridlens. Their messages state the problem in one sentence, followed by the way out.

Invalid arguments raise `ValueError` or `TypeError` with the name of the parameter.
"""

__all__ = ["CutoutError", "GridlensError", "ModelError"]


class GridlensError(Exception):
    """Base class of errors that a user can act on. The command line prints them without a traceback."""


class CutoutError(GridlensError, ValueError):
    """File or array that cannot be read as cutouts."""


class ModelError(GridlensError):
    """Model that is missing, damaged or incompatible with this version of the feature contract."""
