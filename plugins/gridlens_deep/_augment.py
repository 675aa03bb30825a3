"""Augmentation of training images: other exposures and seeing, flips, turns and small shifts.

Images are in units of the noise and are augmented in batches on the training device. There is no colour jitter, zoom or
stretch, because colours and angular sizes distinguish arcs from spirals. A common factor on the flux of all bands would
change nothing in these units.
"""

from __future__ import annotations

import math

import torch
from astropy.stats import gaussian_sigma_to_fwhm

from gridlens_deep._images import Grid
from gridlens_deep._settings import Regime

__all__ = ["N_TURNS", "augment", "turned"]

N_TURNS = 8
_MOST_BLUR = 0.6
"""maximum FWHM of the blur, arcsec"""
_MOST_NOISE = 1.5
"""maximum factor on the noise"""


def turned(images: torch.Tensor, version: int) -> torch.Tensor:
    """Flip (versions 4 to 7) and turn images (n, 3, H, H), in the order of `gridlens.features.dihedral`."""
    return torch.rot90(images.flip(3) if version >= 4 else images, version % 4, (2, 3))


def augment(images: torch.Tensor, grid: Grid, regime: Regime) -> torch.Tensor:
    """Draw an augmented version of each image with torch's generator on the images' device.

    Each image is degraded if `regime` requires it, turned, and shifted by up to `regime.most_shift` pixels. Pixels that
    are exactly 0 (bad pixels and pixels outside the cutout) stay 0.
    """
    return _shifted(_any_turned(_degraded(images, grid) if regime.degraded else images), regime.most_shift)


def _degraded(images: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Blur each image by a Gaussian of up to 0.6 arcsec FWHM in all bands, and raise its noise by up to 1.5 times.

    The noise stays white, and the result is in units of the new noise.
    """
    n, _, size, _ = images.shape

    def drawn(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, 1, device=images.device)

    known = images != 0.0
    signal = grid.softening * torch.sinh(images)
    variance = (drawn(0.0, _MOST_BLUR) / float(gaussian_sigma_to_fwhm) / grid.pixel_scale) ** 2
    factor = torch.exp(drawn(0.0, math.log(_MOST_NOISE)))
    # Transfer function of the discrete Gaussian; the white noise that it removes is drawn again.
    steps = 2.0 - 2.0 * torch.cos(2.0 * math.pi * torch.fft.fftfreq(size, device=images.device))
    transfer = torch.exp(-0.5 * variance * (steps[:, None] + steps[None, : size // 2 + 1]))
    noise = torch.randn(images.shape, device=images.device)
    mixed = (
        torch.fft.rfft2(signal) * transfer + torch.fft.rfft2(noise) * (factor**2 - transfer**2).clamp_min(0.0).sqrt()
    )
    signal = torch.fft.irfft2(mixed, s=(size, size)) / factor
    return torch.where(known, torch.asinh(signal / grid.softening), 0.0)


def _any_turned(images: torch.Tensor) -> torch.Tensor:
    which = torch.randint(N_TURNS, (len(images),), device=images.device)
    made = torch.empty_like(images)
    for version in range(N_TURNS):
        chosen = which == version
        made[chosen] = turned(images[chosen], version)
    return made


def _shifted(images: torch.Tensor, most: int) -> torch.Tensor:
    n, _, size, _ = images.shape
    by = torch.randint(-most, most + 1, (2, n, 1), device=images.device)
    at = torch.arange(size, device=images.device) + by
    inside = (at >= 0) & (at < size)
    rows, columns = at.clamp(0, size - 1)
    picked = images[torch.arange(n, device=images.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return torch.where((inside[0][:, :, None] & inside[1][:, None, :])[:, None], picked.permute(0, 3, 1, 2), 0.0)
