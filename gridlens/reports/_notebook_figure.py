"""A figure that notebooks display. Importing this module imports matplotlib."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

__all__ = ["NotebookFigure"]


class NotebookFigure(Figure):
    """A figure without pyplot that a notebook displays as a picture.

    Jupyter displays figures of pyplot only, and shows the text ``<Figure size ...>`` for others.
    """

    def _repr_png_(self) -> bytes:
        """Return the figure as a PNG picture, for Jupyter."""
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()
