"""What the pixels of a cutout give away beside the rules of the contract: saturation, and a star for a BCG."""

import numpy as np
from numpy.typing import NDArray

from gridlens.cutouts._flags import CutoutFlag
from gridlens.cutouts._set import CutoutSet

__all__ = ["quality_flags"]

_SATURATED_SHARE = 0.02
# Light within one FWHM of the centre over light within three. A Moffat star of beta 3 has 0.77 and a Gaussian one 0.94
# before pixels blur them; a de Vaucouleurs galaxy with an effective radius of 1.5 FWHM has 0.45.
_STAR_SHARE = 0.65
_STAR_SNR = 20.0
_SEARCH = 1.5
"""arcsec from the catalogue's place to the brightest pixel"""
_RED = 1
"""the band r: its seeing is what catalogues quote"""


def quality_flags(cutouts: CutoutSet) -> NDArray[np.int64]:
    """Look at the pixels for what rejects a cutout, or deserves a second look, beyond the contract's own rules.

    Parameters
    ----------
    cutouts : CutoutSet of n

    Returns
    -------
    ndarray of shape (n,), int64
        Bits of `CutoutFlag`: `SATURATED` where 2 % or more of the finite pixels of a band share its highest value
        (pictures flagged `UNCALIBRATED` are clipped by nature and are spared), and `STAR` where the light within one
        FWHM of the object at the BCG's place is over 0.65 of that within three, above the median of the ring from
        three to four; told in r, where the seeing is known and the object has an S/N of 20. With n = 0, empty.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import CutoutFlag, CutoutSet, quality_flags
    >>> pixels = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
    >>> pixels[:, 20:40, 20:40, 0] = 65535.0
    >>> CutoutFlag(quality_flags(CutoutSet(pixels))[0])
    <CutoutFlag.SATURATED: 64>
    """
    flags = np.zeros(len(cutouts), dtype=np.int64)
    n, height, width, planes = cutouts.pixels.shape
    flat = cutouts.pixels.reshape(n, height * width, planes)
    highest = np.fmax.reduce(flat, axis=1)
    at_limit = (flat == highest[:, None]).sum(axis=1)
    saturated = (at_limit >= _SATURATED_SHARE * np.isfinite(flat).sum(axis=1)) & (at_limit > 1)
    saturated &= ((cutouts.flags & CutoutFlag.UNCALIBRATED) == 0)[:, None]
    flags[saturated.any(axis=1)] |= CutoutFlag.SATURATED
    seeing = cutouts.metadata["seeing"].to_numpy()
    for k in range(n):
        scale = float(cutouts.pixel_scale[k])
        if seeing[k] > 0.0 and _is_star(cutouts.pixels[k, :, :, _RED], cutouts.bcg_xy[k], seeing[k] / scale, scale):
            flags[k] |= CutoutFlag.STAR
    return flags


def _is_star(image: NDArray[np.float32], xy: NDArray[np.float64], fwhm: float, pixel_scale: float) -> bool:
    """Whether the object at `xy` is as narrow as the PSF; `fwhm` in px."""
    # a pixel blurs the PSF as it samples it
    width = float(np.hypot(fwhm, 1.0))
    reach = int(np.ceil(4 * width + _SEARCH / pixel_scale))
    if not np.isfinite(xy).all():
        return False
    x0, y0 = (max(0, round(float(value)) - reach) for value in xy)
    box = image[y0 : round(float(xy[1])) + reach + 1, x0 : round(float(xy[0])) + reach + 1]
    finite = np.isfinite(box)
    if not finite.any():
        return False
    y, x = np.mgrid[y0 : y0 + box.shape[0], x0 : x0 + box.shape[1]]
    near = finite & (np.hypot(x - xy[0], y - xy[1]) <= max(1.0, _SEARCH / pixel_scale))
    if not near.any():
        return False
    peak = np.argmax(np.where(near, box, -np.inf))
    r = np.hypot(x - x.flat[peak], y - y.flat[peak])
    ring = box[finite & (r > 3 * width) & (r <= 4 * width)]
    inner, outer = finite & (r <= width), finite & (r <= 3 * width)
    if ring.size < 8 or np.count_nonzero(inner) < 0.9 * np.count_nonzero(r <= width):
        return False
    sky = np.median(ring)
    noise = 1.4826 * np.median(np.abs(ring - sky))
    core, whole = float((box[inner] - sky).sum()), float((box[outer] - sky).sum())
    return core > _STAR_SNR * noise * np.sqrt(np.count_nonzero(inner)) and core > _STAR_SHARE * whole
