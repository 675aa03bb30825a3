"""Tests of the losses against plain numpy."""

import numpy as np
import pytest
import torch
from gridlens_deep._augment import N_TURNS, turned
from gridlens_deep._losses import nnpu_risk, weighted_cross_entropy
from gridlens_deep._scoring import fit_temperature

from gridlens._turns import turned as turned_cutout


def plain_parts(z, labelled, weight, prior):
    def mean(loss, rows):
        return np.sum(weight[rows] * loss[rows]) / np.sum(weight[rows])

    as_positive, as_negative = 1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))
    positive = prior * mean(as_positive, labelled == 1)
    return positive, mean(as_negative, labelled == 0) - prior * mean(as_negative, labelled == 1)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labelled = (np.arange(50) < 20).astype(float)
    return rng.normal(size=50) + labelled, labelled, rng.uniform(0.5, 2.0, 50)


def tensors(*arrays):
    return [torch.tensor(array, dtype=torch.float64) for array in arrays]


def test_risk_matches_the_paper(batch):
    positive, negative = plain_parts(*batch, 0.3)
    risk = nnpu_risk(*tensors(*batch), 0.3)
    assert negative > 0
    assert float(risk.value) == pytest.approx(positive + negative, rel=1e-12)
    assert float(risk.to_descend) == pytest.approx(positive + negative, rel=1e-12)
    assert float(risk.negative_part) == pytest.approx(negative, rel=1e-12)


def test_only_the_overfitted_negative_part_is_ascended(batch):
    z, labelled, weight = batch
    z = np.where(labelled == 1, 8.0, -8.0)
    positive, negative = plain_parts(z, labelled, weight, 0.6)
    assert negative < 0
    log_odds, s, w = tensors(z, labelled, weight)
    log_odds.requires_grad_()
    risk = nnpu_risk(log_odds, s, w, 0.6, gamma=0.5)
    assert float(risk.value) == pytest.approx(positive, rel=1e-12)
    assert float(risk.to_descend) == pytest.approx(-0.5 * negative, rel=1e-12)
    # While the negative part is above -beta, the whole risk is still descended.
    assert float(nnpu_risk(log_odds, s, w, 0.6, beta=0.7).to_descend) == pytest.approx(positive + negative, rel=1e-12)
    risk.to_descend.backward()
    step = 1e-6
    for k in (0, 30):
        moved = z.copy()
        moved[k] += step
        slope = -0.5 * (plain_parts(moved, labelled, weight, 0.6)[1] - negative) / step
        assert float(log_odds.grad[k]) == pytest.approx(slope, rel=1e-3)


def test_a_batch_without_labelled_rows_has_a_risk(batch):
    z, _, weight = batch
    risk = nnpu_risk(*tensors(z, np.zeros(50), weight), 0.3)
    assert np.isfinite(float(risk.value))


def test_cross_entropy_is_a_weighted_mean(batch):
    z, y, weight = batch
    losses = np.log1p(np.exp(-np.where(y == 1, z, -z)))
    expected = np.average(losses, weights=weight)
    assert float(weighted_cross_entropy(*tensors(z, y, weight))) == pytest.approx(expected, rel=1e-12)


def test_a_known_temperature_is_recovered():
    rng = np.random.default_rng(1)
    z = 2.0 * rng.normal(size=40_000)
    y = (rng.random(40_000) < 1 / (1 + np.exp(-z))).astype(float)
    assert fit_temperature(3.0 * z, y) == pytest.approx(3.0, rel=0.05)
    # Perfectly separated classes would give a temperature of 0.
    assert fit_temperature(np.where(y == 1, 5.0, -5.0), y) >= 0.05


def test_turns_are_in_the_order_of_the_package():
    image = np.random.default_rng(0).normal(size=(4, 4, 3))
    batch = torch.tensor(image).permute(2, 0, 1)[None]
    for version in range(N_TURNS):
        expected = turned_cutout(image, version)
        np.testing.assert_array_equal(turned(batch, version)[0].permute(1, 2, 0).numpy(), expected)


def test_there_are_eight_turns():
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
    versions = [turned(images, version) for version in range(N_TURNS)]
    assert len({tuple(version.flatten().tolist()) for version in versions}) == 8
    assert all(float(version.sum()) == float(images.sum()) for version in versions)
