"""Tests of rows of folds, in memory and in files."""

import numpy as np
import pytest

from gridlens.stacking import _taken as room

X = np.arange(60, dtype=np.float32).reshape(20, 3)
ROWS = np.array([7, 3, 3, 19])


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], np.arange(1, 20)])
def test_rows_of_a_large_array_are_memory_mapped(monkeypatch, tmp_path, rows):
    monkeypatch.setattr(room, "_LARGE_BYTES", 0)
    monkeypatch.setattr(room, "_BLOCK_ROWS", 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with room.taken(X, rows) as found:
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, X[rows])
    assert not list(tmp_path.iterdir())


def test_no_rows_or_all_rows_need_no_file(monkeypatch):
    monkeypatch.setattr(room, "_LARGE_BYTES", 0)
    with room.taken(X, np.arange(20)) as found:
        assert found is X
    with room.taken(X, np.arange(0)) as found:
        assert found.shape == (0, 3)


def test_small_and_non_numeric_arrays_stay_in_memory():
    for values in (X, np.array(["a", "b"] * 10)):
        with room.taken(values, ROWS) as found:
            assert not isinstance(found, np.memmap)
            np.testing.assert_array_equal(found, values[ROWS])
