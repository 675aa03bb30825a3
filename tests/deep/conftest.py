"""Fixtures of the plugin's tests; tests of networks are skipped where torch is not installed."""

from importlib.util import find_spec

import numpy as np
import pytest

_NETWORKS = ("augment", "convnet", "embedding", "losses", "members", "train")
collect_ignore = [] if find_spec("torch") else [f"test_{name}.py" for name in _NETWORKS]


@pytest.fixture(scope="session")
def arcs():
    """Return 240 cutouts of a galaxy and their labels; every second cutout has a blue arc."""
    from gridlens.testing._member import _cutouts

    return _cutouts(np.random.default_rng(3))
