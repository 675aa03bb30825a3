"""Tests of damaged arrays, of which the cutouts outside the damage are read."""

import numpy as np
import pytest

from gridlens.cutouts import CutoutSet
from gridlens.cutouts.readers._salvage import Unreadable, read_around

N = 100


def read_except(damaged):
    calls = []

    def read(start, stop):
        calls.append((start, stop))
        if any(start <= place < stop for place in damaged):
            raise OSError(f"damage in {start} to {stop}")
        return CutoutSet(np.zeros((stop - start, 2, 2, 3)), ids=[str(k) for k in range(start, stop)])

    return read, calls


def places(parts):
    """Return the rows that were read and the rows that were lost, and assert that they come in order."""
    read, lost, order = [], [], []
    for part in parts:
        own = list(range(part.start, part.stop)) if isinstance(part, Unreadable) else [int(k) for k in part.ids]
        (lost if isinstance(part, Unreadable) else read).extend(own)
        order.extend(own)
    assert order == sorted(order)
    return read, lost


@pytest.mark.parametrize("damaged", [{0}, {99}, {40, 41}, set(range(10)), set(range(0, N, 2)), set(range(50, N))])
@pytest.mark.parametrize("step", [1, 7, N])
def test_every_cutout_outside_of_the_damage_is_read(damaged, step):
    read, _ = read_except(damaged)
    found, lost = places(read_around(read, [(k, min(k + step, N)) for k in range(0, N, step)]))
    assert sorted(found + lost) == list(range(N))
    assert set(lost) == damaged


def test_without_damage_each_range_is_read_once():
    read, calls = read_except(())
    assert places(read_around(read, [(0, 50), (50, 100)])) == (list(range(N)), [])
    assert calls == [(0, 50), (50, 100)]


def test_the_first_error_is_raised_if_nothing_can_be_read():
    read, calls = read_except(range(N))
    with pytest.raises(OSError, match="damage in 0 to 50"):
        list(read_around(read, [(0, 50), (50, 100)]))
    assert len(calls) <= 25
