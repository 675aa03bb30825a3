"""The eight flips and quarter turns of an image, in the fixed order of the package."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_TURNS", "turned"]

N_TURNS = 8


def turned(image: NDArray[Any], version: int) -> NDArray[Any]:
    """Return a view of an image of shape (H, W, ...) after a flip of x (versions 4 to 7) and ``version % 4`` turns.

    Versions 1 and 3 are inverse to each other; each of the others is its own inverse.
    """
    return np.rot90(image[:, ::-1] if version >= 4 else image, version % 4)
