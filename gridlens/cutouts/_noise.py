"""Noise of each band of a cutout, estimated from its pixels."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gridlens._constants import MAD_TO_SIGMA

__all__ = ["band_noise"]


def band_noise(pixels: NDArray[np.float32], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Estimate the noise of each band from the differences of neighbouring pixels.

    The noise is 1.4826 times the median of the absolute differences of horizontal neighbours, divided by the square
    root of two, as in the features. Light that varies over many pixels cancels in the differences.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, n_bands), float32
        Linear flux of one cutout. A pixel that is not finite in one band is ignored in all bands.
    dtype : dtype, default=float64
        Type of the result, and of the division by the square root of two.

    Returns
    -------
    ndarray of shape (n_bands,), of `dtype`
        Standard deviation per pixel, in the unit of `pixels`; 0 if no two neighbours are finite.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import band_noise
    >>> band_noise(np.random.default_rng(0).normal(scale=[1, 2, 3], size=(128, 128, 3)).astype(np.float32)).round(1)
    array([1., 2., 3.])
    """
    good = np.asarray(np.isfinite(pixels).all(axis=2))
    pairs = good[:, 1:] & good[:, :-1]
    if not pairs.any():
        return np.zeros(pixels.shape[2], dtype)
    differences = np.abs(pixels[:, 1:][pairs] - pixels[:, :-1][pairs])
    return np.asarray(MAD_TO_SIGMA * np.median(differences, axis=0) / np.sqrt(np.array(2.0, dtype)))
