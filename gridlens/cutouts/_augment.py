"""Versions of cutouts to train on, such as the sky could have given: turned, seen worse, fainter or brighter.

Colours and sizes on the sky tell an arc from a spiral. So there is no colour jitter here, no zoom, no stretch and no
clipping: `gridlens.testing.check_augmentation` holds this module, and anybody's augmentation, to that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlens.cutouts._set import CutoutSet

__all__ = ["Augmentation", "turn_cutouts"]

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_LAG = 2
"""px between the pixels whose difference tells the noise: resampling correlates neighbours"""


@dataclass(frozen=True)
class Augmentation:
    """Draw a version of each cutout that keeps its colours and its scale on the sky.

    Each cutout gets its own draw, done in this order: the blur, the noise, the flux factor, the turn. Blur comes before
    noise, as the air before the detector: a blur after it would leave the noise smooth, which no survey's is. Nothing
    is clipped: a negative sky stays one.

    Parameters
    ----------
    turns : bool, default=True
        Whether to draw one of the eight flips and quarter turns of a square cutout (see `turn_cutouts`), or of the
        four that keep the shape of another. Pixels only trade places, and `bcg_xy` follows.
    blur : (float, float), default=(0, 0)
        Lowest and highest FWHM, arcsec, of a Gaussian that all bands are convolved with; drawn evenly. It brings a
        PSF of FWHM a to c where it is sqrt(c^2 - a^2).
    noise : (float, float), default=(1, 1)
        Lowest and highest factor, from 1, by which the noise grows; drawn evenly on a log scale, one for all bands.
        Each band's own noise is measured before the blur: 1.4826 times the median of the absolute differences
        of pixels two apart along rows and columns, over the root of two.
    flux : (float, float), default=(1, 1)
        Lowest and highest factor on the flux, sky included; drawn evenly on a log scale, one for all bands.

    Raises
    ------
    ValueError
        A parameter is not such a pair, or `turns` is not a bool.

    See Also
    --------
    gridlens.testing.check_augmentation : whether an augmentation is safe.
    gridlens.features.dihedral : the eight turns done to the features.

    Notes
    -----
    The kernel is the discrete analogue of the Gaussian (Lindeberg 1990, IEEE Trans. PAMI 12, 234), ``exp(-t) I_n(t)``
    for a variance of t px^2: its variance adds to the PSF's exactly, where that of a Gaussian sampled at the pixels is
    38 % short at a FWHM of one pixel. The image is mirrored at its borders, which keeps the sum of a cutout.

    Next to bad pixels a good one becomes the weighted mean of the good ones within the kernel (normalised convolution,
    which keeps a level and not the sum): no bad pixel spreads, none is filled.

    A blur takes noise away. What it took comes back with the noise that is added, whose power spectrum is
    sigma^2 (f^2 - G^2) for a noise of sigma, a factor f and the kernel's transfer function
    G = exp(-t (2 - cos k_x - cos k_y)). White noise becomes white again, f times as strong: a cutout of the same
    exposure in worse seeing, and not a smooth one. A band without noise, as drawn by hand, gets none.

    The metadata follow: ``seeing`` becomes sqrt(seeing^2 + blur^2), and ``depth`` changes by
    -2.5 log10(factor of the noise x factor of the flux x seeing after / seeing before), which holds for a point source
    in white noise at the zero point of before. Where a blurred cutout's seeing is unknown, so is its depth then.

    In a torch ``Dataset``, ``augmentation(cutouts[i], (seed, epoch, i))`` gives cutout i the same version whatever the
    batch and the number of workers; the object pickles.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import Augmentation, CutoutSet
    >>> pixels = np.random.default_rng(0).normal(size=(4, 64, 64, 3))
    >>> cutouts = CutoutSet(pixels, bcg_xy=(30, 33), metadata={"seeing": 0.9, "depth": 25.0})
    >>> augmentation = Augmentation(blur=(0.5, 0.8), noise=(1.0, 1.5), flux=(0.8, 1.25))
    >>> version = augmentation(cutouts, random_state=1)
    >>> version.bcg_xy[0].tolist(), version.metadata["seeing"].round(2).tolist()
    ([30.0, 30.0], [1.11, 1.05, 1.17, 1.07])
    """

    turns: bool = True
    blur: tuple[float, float] = (0.0, 0.0)
    noise: tuple[float, float] = (1.0, 1.0)
    flux: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not isinstance(self.turns, bool | np.bool_):
            raise ValueError(
                f"The 'turns' parameter of Augmentation must be True or False. Got {self.turns!r} instead."
            )
        rules = {
            "blur": (0.0, "the lowest and the highest FWHM in arcsec, from 0"),
            "noise": (1.0, "the lowest and the highest factor, from 1, since noise cannot be taken away"),
            "flux": (np.finfo(np.float64).tiny, "the lowest and the highest factor, above 0"),
        }
        for name, (least, rule) in rules.items():
            object.__setattr__(self, name, _checked_range(name, getattr(self, name), least, rule))

    def __call__(self, cutouts: CutoutSet, random_state: int | Sequence[int] | np.random.Generator) -> CutoutSet:
        """Return a new set with one version of each cutout.

        Parameters
        ----------
        cutouts : CutoutSet
            n cutouts of one size; left as they are. Bad pixels stay where they are on the sky. A cutout that will be
            rejected is no error.
        random_state : int, sequence of int or Generator
            An int or a sequence gives the same versions each time; a generator goes on, so that each epoch differs.

        Returns
        -------
        CutoutSet
            Of the same length and size, order, ids, paths, flags and pixel scale; `bcg_xy` and the metadata `seeing`
            and `depth` follow the pixels. With n = 0, empty.

        Raises
        ------
        TypeError
            `cutouts` is not a `CutoutSet`.
        """
        _check_set(cutouts, "Augmentation")
        rng = np.random.default_rng(random_state)
        pixels, bcg_xy = np.empty_like(cutouts.pixels), cutouts.bcg_xy.copy()
        metadata = cutouts.metadata.copy()
        seeing, depth = metadata["seeing"].to_numpy(copy=True), metadata["depth"].to_numpy(copy=True)
        height, width = pixels.shape[1:3]
        for k in range(len(cutouts)):
            blur = float(rng.uniform(*self.blur))
            noise, flux = (math.exp(rng.uniform(*np.log(bounds))) for bounds in (self.noise, self.flux))
            turn = int(rng.integers(8) if height == width else 2 * rng.integers(4)) if self.turns else 0
            image = _seen_worse(cutouts.pixels[k], blur / _FWHM_PER_SIGMA, noise, float(cutouts.pixel_scale[k]), rng)
            pixels[k] = _turned(image * flux, turn)
            bcg_xy[k] = _turned_place(cutouts.bcg_xy[k], width, height, turn)
            loss = noise * flux
            if blur > 0.0:
                # Catalogues write 0 or -99 for a seeing that they do not know.
                before = seeing[k] if seeing[k] > 0.0 else math.nan
                seeing[k] = math.hypot(before, blur)
                loss *= seeing[k] / before
            depth[k] -= 2.5 * math.log10(loss)
        metadata["seeing"], metadata["depth"] = seeing, depth
        return _like(cutouts, pixels, bcg_xy, metadata)


def turn_cutouts(cutouts: CutoutSet, k: ArrayLike) -> CutoutSet:
    """Flip and turn cutouts; their pixels trade places and none is changed.

    Version ``k < 4`` of an image is ``numpy.rot90(image, k)``, version ``4 + k`` is ``numpy.rot90(image[:, ::-1], k)``:
    the order of `gridlens.features.dihedral`. Versions 1 and 3 undo each other, the others themselves.

    Parameters
    ----------
    cutouts : CutoutSet
        n cutouts of one size.
    k : int or array-like of shape (n,)
        Version of all cutouts or of each, 0 to 7. An odd one swaps height and width, so that cutouts that are not
        square take either odd versions or even ones.

    Returns
    -------
    CutoutSet
        `bcg_xy` follows the pixels: (x, y) of an image W px wide goes to (W - 1 - x, y) by the flip and to
        (y, W - 1 - x) by a quarter turn. All else is kept. With n = 0, empty.

    Raises
    ------
    TypeError
        `cutouts` is not a `CutoutSet`.
    ValueError
        `k` is not such a number, or mixes odd and even ones where the cutouts are not square.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens.cutouts import CutoutSet, turn_cutouts
    >>> cutouts = CutoutSet(np.zeros((2, 48, 60, 3)), bcg_xy=(10, 20))
    >>> turn_cutouts(cutouts, 1)
    CutoutSet(2 cutouts of 48 x 60 px, 0.500 arcsec/px, 24.0 arcsec across; metadata: none)
    >>> turn_cutouts(cutouts, [0, 4]).bcg_xy.tolist()
    [[10.0, 20.0], [49.0, 20.0]]
    """
    _check_set(cutouts, "turn_cutouts")
    versions = np.asarray(k)
    fits = versions.dtype.kind in "iu" and versions.shape in {(), (len(cutouts),)}
    if len(cutouts) == 0 and versions.size == 0:
        versions, fits = versions.astype(np.int64), True
    if not fits or ((versions < 0) | (versions > 7)).any():
        raise ValueError(
            f"The 'k' parameter must be a whole number from 0 to 7, or one for each of the {len(cutouts)} cutouts. "
            f"Got {k!r} instead."
        )
    odd = versions % 2 == 1
    height, width = cutouts.pixels.shape[1:3]
    if height != width and odd.any() and not odd.all():
        raise ValueError(
            f"The 'k' parameter must hold odd versions or even ones alone, since cutouts of {width} x {height} px "
            "change their shape in a quarter turn. Got both instead; turn them in two sets, or cut them square."
        )
    shape = (width, height) if odd.any() else (height, width)
    pixels = np.empty((len(cutouts), *shape, 3), dtype=np.float32)
    bcg_xy = np.empty_like(cutouts.bcg_xy)
    for row, version in enumerate(np.broadcast_to(versions, (len(cutouts),)).tolist()):
        pixels[row] = _turned(cutouts.pixels[row], version)
        bcg_xy[row] = _turned_place(cutouts.bcg_xy[row], width, height, version)
    return _like(cutouts, pixels, bcg_xy, cutouts.metadata)


def _turned(image: NDArray[Any], k: int) -> NDArray[Any]:
    """Version `k` of an image of shape (H, W, 3)."""
    return np.rot90(image[:, ::-1] if k >= 4 else image, k % 4)


def _turned_place(xy: NDArray[np.float64], width: int, height: int, k: int) -> tuple[float, float]:
    """Where (x, y) goes in version `k`; pixel centres are integers, so that the last column is at W - 1."""
    x, y = xy
    if k >= 4:
        x = width - 1 - x
    for _ in range(k % 4):
        x, y, width, height = y, width - 1 - x, height, width
    return x, y


def _seen_worse(
    pixels: NDArray[np.float32], sigma: float, factor: float, pixel_scale: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Pixels (H, W, 3) blurred by a Gaussian of `sigma` arcsec, then with `factor` times the noise of before."""
    image = pixels.astype(np.float64)
    # Without a pixel scale the cutout will be rejected, and blurring it means nothing.
    variance = (sigma / pixel_scale) ** 2 if pixel_scale > 0.0 else 0.0
    if variance == 0.0 and factor == 1.0:
        return image
    gain: Any = math.sqrt(factor**2 - 1.0)
    if variance > 0.0:
        height, width = image.shape[:2]
        k_y, k_x = 2.0 * np.pi * np.fft.fftfreq(height)[:, None], 2.0 * np.pi * np.fft.rfftfreq(width)
        gain = np.sqrt(factor**2 - np.exp(-2.0 * variance * (2.0 - np.cos(k_x) - np.cos(k_y))))
        kernel = _discrete_gaussian(variance, max(height, width))
    for band in range(image.shape[2]):
        plane = np.ascontiguousarray(image[:, :, band])
        grain = rng.normal(size=plane.shape)
        noise = _noise(plane)
        if variance > 0.0:
            plane = _convolved(plane, kernel)
            grain = np.fft.irfft2(np.fft.rfft2(grain) * gain, s=plane.shape)
        else:
            grain *= gain
        image[:, :, band] = plane + noise * grain
    return image


def _noise(plane: NDArray[np.float64]) -> float:
    """Noise of one band, the same for all eight turns; 0 where it cannot be told."""
    with np.errstate(invalid="ignore"):
        differences = np.concatenate(
            [(plane[:, _LAG:] - plane[:, :-_LAG]).ravel(), (plane[_LAG:] - plane[:-_LAG]).ravel()]
        )
    differences = np.abs(differences[np.isfinite(differences)])
    return 1.4826 * float(np.median(differences)) / math.sqrt(2.0) if differences.size else 0.0


def _discrete_gaussian(variance: float, reach: int) -> NDArray[np.float64]:
    """Kernel ``exp(-t) I_n(t)`` of a variance of t px^2, out to five sigmas and one more, or to `reach` if less."""
    from scipy.special import ive

    n = np.arange(min(math.ceil(5.0 * math.sqrt(variance)) + 1, reach) + 1)
    half = ive(n, variance)
    kernel = np.concatenate([half[:0:-1], half])
    return np.asarray(kernel / kernel.sum())


def _convolved(plane: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """An image convolved along both axes and mirrored at its borders; what is not finite gives and takes nothing."""
    from scipy.ndimage import correlate1d

    def convolve(image: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(correlate1d(correlate1d(image, kernel, axis=0), kernel, axis=1))

    good = np.isfinite(plane)
    if good.all():
        return convolve(plane)
    total, weight = convolve(np.where(good, plane, 0.0)), convolve(good.astype(np.float64))
    # A good pixel has its own weight, so that only bad ones divide by zero.
    return np.where(good, total / np.where(good, weight, 1.0), plane)


def _like(cutouts: CutoutSet, pixels: NDArray[np.float32], bcg_xy: NDArray[np.float64], metadata: Any) -> CutoutSet:
    return CutoutSet(
        pixels,
        bcg_xy=bcg_xy,
        pixel_scale=cutouts.pixel_scale,
        ids=cutouts.ids,
        metadata=metadata,
        paths=cutouts.paths,
        flags=cutouts.flags,
    )


def _check_set(cutouts: Any, name: str) -> None:
    if not isinstance(cutouts, CutoutSet):
        raise TypeError(
            f"The 'cutouts' parameter of {name} must be a CutoutSet. Got {type(cutouts).__name__} instead. "
            "CutoutSet(pixels) wraps an array of shape (n, H, W, 3)."
        )


def _checked_range(name: str, value: Any, least: float, rule: str) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError):
        low = high = math.nan
    if not least <= low <= high < math.inf:
        raise ValueError(f"The '{name}' parameter of Augmentation must be a pair, {rule}. Got {value!r} instead.")
    return low, high
