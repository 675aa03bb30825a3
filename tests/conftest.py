"""Fixtures that several rooms share."""

import os

# Tests run side by side, and two threads of LightGBM or torch on one processor wait for each other: nine times slower.
# Libraries read this as they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from gridlens import LensDetector
from gridlens.features import FEATURE_NAMES
from gridlens.members import LightGBMMember


def feature_rows(n, seed):
    """Rows of 315 features, the first patch's arc S/N telling lenses from others, and their labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)
    y = rng.integers(0, 2, n)
    X[:, FEATURE_NAMES.index("patch0_arc_snr")] += 1.5 * y
    X[:, 306:] = np.nan
    return X, y


@pytest.fixture(scope="session")
def training_rows():
    return feature_rows(600, seed=1)


@pytest.fixture(scope="session")
def calibration_rows():
    return feature_rows(400, seed=2)


@pytest.fixture(scope="session")
def detector(training_rows, calibration_rows):
    """A small detector that knows something."""
    member = LightGBMMember(n_estimators=40, learning_rate=0.1, min_child_samples=20, turns=False)
    return LensDetector(members=(member,), random_state=0).fit(*training_rows, calibration=calibration_rows)


@pytest.fixture
def noise():
    """A maker of cutouts of noise with a galaxy in the middle."""

    def make(n=4, size=64, seed=0):
        rng = np.random.default_rng(seed)
        y, x = np.indices((size, size)) - (size - 1) / 2
        galaxy = 200.0 * np.exp(-np.hypot(x, y) / 4.0)
        return (rng.normal(size=(n, size, size, 3)) + galaxy[None, :, :, None] * [0.4, 1.0, 1.5]).astype(np.float32)

    return make
