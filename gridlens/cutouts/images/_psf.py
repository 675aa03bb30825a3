"""Match the seeing of the bands of a cutout.

The blue map of the features is g minus i. If their seeing differs, a bright galaxy leaves a blue or red ring about as
wide as the seeing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["blur", "matching_sigmas"]

_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
REACH = 4.0
"""radius, in sigmas, at which a Gaussian is truncated"""


def matching_sigmas(fwhm: Sequence[float]) -> NDArray[np.float64]:
    """Return the sigmas of the Gaussians that broaden PSFs to the widest of them, in the unit of `fwhm`.

    The PSFs are approximated by Gaussians, whose squared widths add under convolution. The widest band is not changed.

    Examples
    --------
    >>> matching_sigmas([1.3, 1.0, 1.3]).round(3)
    array([0.   , 0.353, 0.   ])
    """
    widths = np.asarray(fwhm, dtype=np.float64)
    return np.asarray(np.sqrt(widths.max() ** 2 - widths**2) / _FWHM_PER_SIGMA)


def blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Convolve an image of (ny, nx) with a Gaussian of `sigma` px, ignoring pixels that are not finite.

    Bad pixels stay bad; a good pixel near bad ones becomes the weighted mean of the good pixels around it.
    """
    from scipy.ndimage import gaussian_filter

    if sigma <= 0.0:
        return image
    good = np.isfinite(image)
    if good.all():
        return np.asarray(gaussian_filter(image, sigma, truncate=REACH, mode="nearest"))
    weight = gaussian_filter(good.astype(np.float32), sigma, truncate=REACH, mode="constant")
    total = gaussian_filter(np.where(good, image, np.float32(0.0)), sigma, truncate=REACH, mode="constant")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(good, total / weight, np.nan).astype(np.float32)
