"""`save` and `load` of a detector."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from gridlens.errors import GridlensError

__all__ = ["SavedDetector"]


class SavedDetector:
    """Saving and loading: `gridlens.models`, whose bundles are made of detectors, puts its functions here."""

    _writer: ClassVar[Callable[..., None] | None] = None
    _reader: ClassVar[Callable[..., Any] | None] = None

    def save(
        self, path: str | os.PathLike[str], *, card: str | None = None, training: Mapping[str, Any] | None = None
    ) -> None:
        """Write the fitted detector as a model bundle, whole or not at all.

        `gridlens.load_model`, `LensDetector.load` and ``--model`` of the command line read it.

        Parameters
        ----------
        path : str or path
            A new or empty folder; or a new file with a name that ends in .zip.
        card : str, default=None
            The model card, Markdown. None writes how the detector was made, how its members score out of fold and
            how it was calibrated.
        training : mapping, default=None
            What the training is to be repeated from, as JSON values; it goes into the manifest.

        Raises
        ------
        GridlensError
            The folder is not empty, the file exists, it cannot be written, or a member's name makes no folder.
        ValueError
            `training` holds a value that JSON cannot represent, such as NaN.
        sklearn.exceptions.NotFittedError
            The detector is not fitted.

        Examples
        --------
        >>> from gridlens import load_model
        >>> load_model("default").save("mine.zip")  # doctest: +SKIP
        """
        _registered(self._writer)(self, path, card=card, training=training)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a detector that `save` or `gridlens train` wrote; the scores are the same to the bit.

        Parameters
        ----------
        path : str or path
            A folder or a .zip file.

        Returns
        -------
        LensDetector
            Ready to score. What was known of its fit alone, such as `members_`, is not kept.

        Raises
        ------
        ModelError
            As `gridlens.load_model`.

        Examples
        --------
        >>> from gridlens import LensDetector
        >>> LensDetector.load("mine.zip")  # doctest: +SKIP
        """
        detector: Self = _registered(cls._reader)(path)
        return detector


def _registered(function: Callable[..., Any] | None) -> Callable[..., Any]:
    if function is None:
        raise GridlensError("Bundles of models are not loaded. Import LensDetector from gridlens, or gridlens.models.")
    return function
