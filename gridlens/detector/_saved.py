"""`save` and `load` of a detector."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from gridlens.errors import GridlensError

__all__ = ["SavedDetector"]


class SavedDetector:
    """Mixin with `save` and `load`; `gridlens.models` registers their implementation here."""

    _writer: ClassVar[Callable[..., None] | None] = None
    _reader: ClassVar[Callable[..., Any] | None] = None

    def save(
        self, path: str | os.PathLike[str], *, card: str | None = None, training: Mapping[str, Any] | None = None
    ) -> None:
        """Save the fitted detector as a model bundle, completely or not at all.

        `gridlens.load_model`, `LensDetector.load` and ``--model`` of the command line read it.

        Parameters
        ----------
        path : str or path
            A new or empty folder, or a new file with a name that ends in .zip.
        card : str, default=None
            Model card in Markdown. If None, a card is generated that describes the training, the out-of-fold metrics of
            the members and the calibration.
        training : mapping, default=None
            Settings with which the training can be repeated, as JSON values; they are stored in the manifest.

        Raises
        ------
        GridlensError
            If the folder is not empty, the file exists or cannot be written, or the name of a member is no valid folder
            name.
        ValueError
            If `training` contains a value that JSON cannot represent, such as NaN.
        sklearn.exceptions.NotFittedError
            If the detector is not fitted.

        Examples
        --------
        >>> from gridlens import load_model
        >>> load_model("default").save("mine.zip")  # doctest: +SKIP
        """
        _registered(self._writer)(self, path, card=card, training=training)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load a detector that `save` or `gridlens train` wrote; it gives bit-identical scores.

        Parameters
        ----------
        path : str or path
            A folder or a .zip file.

        Returns
        -------
        LensDetector
            Ready to score. Attributes that only describe its fit, such as `members_`, are not saved.

        Raises
        ------
        ModelError
            As for `gridlens.load_model`.

        Examples
        --------
        >>> from gridlens import LensDetector
        >>> LensDetector.load("mine.zip")  # doctest: +SKIP
        """
        detector: Self = _registered(cls._reader)(path)
        return detector


def _registered(function: Callable[..., Any] | None) -> Callable[..., Any]:
    if function is None:
        raise GridlensError("Model bundles need gridlens.models. Import it, or LensDetector from gridlens.")
    return function
