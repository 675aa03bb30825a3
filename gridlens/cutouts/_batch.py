"""A batch of cutouts of one size, with the files that failed."""

from typing import NamedTuple

from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._set import CutoutSet

__all__ = ["CutoutBatch", "ReadFailure"]


class ReadFailure(NamedTuple):
    """A file that could not be read as a cutout."""

    id: str
    path: str
    message: str
    """one or two sentences: the problem and the remedy"""
    flags: int = int(CutoutFlag.UNREADABLE)
    """bits of `CutoutFlag`"""


class CutoutBatch(NamedTuple):
    """Cutouts of one size, and the files that failed while they were read."""

    cutouts: CutoutSet | None
    """None if the batch holds only failures"""
    failures: list[ReadFailure]
