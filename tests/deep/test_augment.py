"""Tests of augmented images: turned, shifted and degraded, in units of the noise throughout."""

import numpy as np
import pytest
import torch
from gridlens_deep import Grid
from gridlens_deep import _augment as module
from gridlens_deep._augment import N_TURNS, augment, turned
from gridlens_deep._settings import Regime

GRID = Grid(64, 0.5)
STILL = Regime(most_shift=0)


@pytest.fixture
def noise():
    torch.manual_seed(5)
    return torch.asinh(torch.randn(32, 3, 64, 64) / GRID.softening)


def signal(images):
    return GRID.softening * torch.sinh(images)


def test_noise_keeps_unit_variance_and_stays_white(noise):
    made = signal(augment(noise, GRID, Regime()))
    assert float(made.std()) == pytest.approx(1.0, abs=0.02)
    # The shift leaves two empty rows and columns at most.
    inner = made[:, :, 4:-4, 4:-4]
    assert float((inner[:, :, :, 1:] * inner[:, :, :, :-1]).mean()) == pytest.approx(0.0, abs=0.02)


def test_a_source_is_blurred_and_dimmed_equally_in_all_bands():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    r2 = (rows - 31.5) ** 2 + (columns - 31.5) ** 2
    source = 2000.0 * torch.exp(-0.5 * r2 / 4.0) * torch.tensor([1.0, 2.0, 4.0])[:, None, None]
    images = torch.asinh(source[None].repeat(64, 1, 1, 1) / GRID.softening + 1e-6)
    torch.manual_seed(1)
    made = signal(augment(images, GRID, STILL))
    light = made[:, :, 16:-16, 16:-16].sum(dim=(2, 3))
    colours = light / light[:, :1]
    np.testing.assert_allclose(colours, np.tile([1.0, 2.0, 4.0], (64, 1)), rtol=0.02)
    fading = source[0].sum() / light[:, 0]
    assert float(fading.min()) > 0.98
    assert float(fading.max()) < 1.52
    assert 1.1 < float(fading.mean()) < 1.35
    near = r2 < 15.0**2
    second = (made[:, 2] * r2 * near).sum(dim=(1, 2)) / (made[:, 2] * near).sum(dim=(1, 2)) / 2.0
    # The sigma is 2 px; a FWHM of up to 0.6 arcsec adds up to (0.6 / 2.355 / 0.5)^2 = 0.26 px^2 to its square.
    assert 3.9 < float(second.min()) < 4.1
    assert 4.15 < float(second.max()) < 4.4


def test_turns_and_shifts_only_move_pixels(noise, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BLUR", 0.0)
    monkeypatch.setattr(module, "_MOST_NOISE", 1.0)
    made = augment(noise, GRID, STILL)
    seen = set()
    for before, after in zip(noise, made, strict=True):
        gaps = [
            float((version[0] - after).abs().max()) for version in (turned(before[None], k) for k in range(N_TURNS))
        ]
        assert min(gaps) < 1e-3
        seen.add(int(np.argmin(gaps)))
    assert len(seen) == 8
    torch.manual_seed(2)
    spot = torch.zeros(64, 3, 64, 64)
    spot[:, :, 20, 30] = 1.0
    moved = augment(spot, GRID, Regime())
    assert bool(((moved > 0.9).sum(dim=(2, 3)) == 1).all())
    # Turns lead to eight places, and shifts to 25 places about each of them.
    assert len({tuple(np.argwhere(image[0].numpy() > 0.9)[0]) for image in moved}) > 30


def test_without_degrading_pixels_keep_their_values():
    torch.manual_seed(4)
    images = torch.randn(64, 4, 33, 33)
    made = augment(images, Grid(33, 0.5, blue_map=True), Regime(degraded=False, most_shift=3))
    assert int((made != 0.0).sum(dim=(1, 2, 3)).min()) >= 4 * 30 * 30
    for after, before in zip(made, images, strict=True):
        assert set(after.flatten().tolist()) - {0.0} <= set(before.flatten().tolist())
    # Shifts are up to three pixels along both axes.
    empty = {int((image[0] == 0.0).all(dim=1).sum()) for image in made}
    assert empty == {0, 1, 2, 3}


def test_bad_pixels_and_empty_margins_stay_empty(noise):
    noise[:, :, 10:20, 10:20] = 0.0
    made = augment(noise, GRID, STILL)
    assert bool(((made == 0.0).sum(dim=(2, 3)) == 100).all())
