"""Fixtures shared by the tests of several subpackages."""

import os

# Tests run in parallel, and two threads of LightGBM or torch on one processor wait for each other, which makes them
# nine times slower. The variable is set before the imports because the libraries read it when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from real_images import DATA

from gridlens import LensDetector
from gridlens.features import FEATURE_NAMES
from gridlens.members import LightGBMMember


def pytest_configure(config):
    """Let idle workers of pytest-xdist take tests from busy ones, because a few tests take much longer than most."""
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "worksteal"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Skip tests of real survey images if the images are missing, before their fixtures are made."""
    if item.get_closest_marker("real") and not DATA.is_dir():
        pytest.skip("no real images beside the checkout")


def feature_rows(n, seed):
    """Return rows of 315 features and their labels; the arc S/N of the first patch separates lenses from non-lenses."""
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
    """Fit a small detector that performs better than chance."""
    member = LightGBMMember(n_estimators=40, learning_rate=0.1, min_child_samples=20, turns=False)
    return LensDetector(members=(member,), random_state=0).fit(*training_rows, calibration=calibration_rows)


@pytest.fixture
def noise():
    """Return a function that makes cutouts of noise with a galaxy in the middle."""

    def make(n=4, size=64, seed=0):
        rng = np.random.default_rng(seed)
        y, x = np.indices((size, size)) - (size - 1) / 2
        galaxy = 200.0 * np.exp(-np.hypot(x, y) / 4.0)
        return (rng.normal(size=(n, size, size, 3)) + galaxy[None, :, :, None] * [0.4, 1.0, 1.5]).astype(np.float32)

    return make
