"""Versions of images to learn from: other exposures and other seeing of one sky, turned and shifted a little.

What `gridlens.cutouts.Augmentation` does to pixels, for a batch of images in units of the noise, on the device that
trains. There is no colour jitter, no zoom, no stretch. A factor on the flux of all bands has no place in these units:
it changes nothing.
"""

from __future__ import annotations

import math

import torch

from gridlens_deep._images import Grid

__all__ = ["augment", "dihedral_images"]

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_MOST_BLUR = 0.6
"""FWHM in arcsec"""
_MOST_NOISE = 1.5
"""factor on the noise"""
_MOST_SHIFT = 2
"""pixels"""


def dihedral_images(images: torch.Tensor) -> list[torch.Tensor]:
    """The eight flips and quarter turns of images (n, 3, H, H)."""
    return [torch.rot90(side, k, (2, 3)) for side in (images, images.flip(3)) for k in range(4)]


def augment(images: torch.Tensor, grid: Grid) -> torch.Tensor:
    """A version of each image, drawn with torch's own generator on the images' device.

    Each is blurred by a Gaussian of up to 0.6 arcsec FWHM in all bands, its noise is raised by a factor of up to 1.5,
    white as before, in units of the new noise; then it is turned and shifted by up to two pixels. What is exactly 0,
    bad pixels and what lies off the cutout, stays 0.
    """
    n, _, size, _ = images.shape

    def drawn(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, 1, device=images.device)

    known = images != 0.0
    signal = grid.softening * torch.sinh(images)
    variance = (drawn(0.0, _MOST_BLUR) / _FWHM_PER_SIGMA / grid.pixel_scale) ** 2
    factor = torch.exp(drawn(0.0, math.log(_MOST_NOISE)))
    # The discrete Gaussian's transfer function, and what it leaves of white noise to be filled up.
    steps = 2.0 - 2.0 * torch.cos(2.0 * math.pi * torch.fft.fftfreq(size, device=images.device))
    transfer = torch.exp(-0.5 * variance * (steps[:, None] + steps[None, : size // 2 + 1]))
    noise = torch.randn(images.shape, device=images.device)
    mixed = (
        torch.fft.rfft2(signal) * transfer + torch.fft.rfft2(noise) * (factor**2 - transfer**2).clamp_min(0.0).sqrt()
    )
    signal = torch.fft.irfft2(mixed, s=(size, size)) / factor
    made = torch.where(known, torch.asinh(signal / grid.softening), 0.0)
    return _shifted(_turned(made))


def _turned(images: torch.Tensor) -> torch.Tensor:
    which = torch.randint(8, (len(images),), device=images.device)
    turned = torch.empty_like(images)
    for k in range(8):
        chosen = which == k
        side = images[chosen] if k < 4 else images[chosen].flip(3)
        turned[chosen] = torch.rot90(side, k % 4, (2, 3))
    return turned


def _shifted(images: torch.Tensor) -> torch.Tensor:
    n, _, size, _ = images.shape
    by = torch.randint(-_MOST_SHIFT, _MOST_SHIFT + 1, (2, n, 1), device=images.device)
    at = torch.arange(size, device=images.device) + by
    inside = (at >= 0) & (at < size)
    rows, columns = at.clamp(0, size - 1)
    picked = images[torch.arange(n, device=images.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return torch.where((inside[0][:, :, None] & inside[1][:, None, :])[:, None], picked.permute(0, 3, 1, 2), 0.0)
