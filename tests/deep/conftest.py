"""The plugin's tests; those of networks are left out where torch is not installed."""

from importlib.util import find_spec

import numpy as np
import pytest

collect_ignore = [] if find_spec("torch") else ["test_augment.py", "test_losses.py", "test_members.py", "test_train.py"]


@pytest.fixture(scope="session")
def arcs():
    """240 cutouts of a galaxy, every second one with a blue arc."""
    from gridlens.testing._member import _cutouts

    return _cutouts(np.random.default_rng(3))
