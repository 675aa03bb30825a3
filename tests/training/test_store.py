"""Tests that rows in files equal the rows that were appended."""

from dataclasses import fields

import numpy as np
import pytest

from gridlens import CutoutSet
from gridlens.errors import GridlensError
from gridlens.features import Measured, measure
from gridlens.training._store import MeasuredStore


@pytest.fixture
def measured(noise):
    metadata = {"redshift": np.arange(5) / 10}
    return measure(CutoutSet(noise(5, 64), pixel_scale=0.6, ids=list("abcde"), paths=["f.npz"] * 5, metadata=metadata))


def test_rows_and_cutouts_are_memory_mapped(measured, tmp_path):
    store = MeasuredStore(tmp_path, "rows")
    for part in (measured[:2], measured[2:2], measured[2:]):
        store.add(part)
    assert len(store) == 5
    found = store.measured()
    for column in fields(Measured):
        if column.name != "cutouts":
            np.testing.assert_array_equal(getattr(found, column.name), getattr(measured, column.name))
    assert isinstance(found.features, np.memmap)
    assert found.cutouts.metadata.equals(measured.cutouts.metadata)
    for name in ("pixels", "bcg_xy", "pixel_scale", "ids", "paths", "flags"):
        np.testing.assert_array_equal(getattr(found.cutouts, name), getattr(measured.cutouts, name))
    assert isinstance(found.cutouts.pixels.base, np.memmap)


def test_rows_without_cutouts_and_empty_stores(measured, tmp_path):
    store = MeasuredStore(tmp_path, "rows")
    assert store.measured().features.shape == (0, 315)
    store.add(measured.without_cutouts())
    assert store.measured().cutouts is None
    before = store.measured()
    store.add(measured.without_cutouts()[:1])
    assert (len(before), len(store.measured())) == (5, 6)


def test_cutouts_of_another_size_and_a_missing_folder_are_reported(measured, noise, tmp_path):
    store = MeasuredStore(tmp_path, "rows")
    store.add(measured)
    with pytest.raises(GridlensError, match=r"of one size\. Got cutouts of 64 x 64 px and 80 x 80 px instead"):
        store.add_cutouts(CutoutSet(noise(1, 80)))
    with pytest.raises(GridlensError, match="set TMPDIR to another folder"):
        MeasuredStore(tmp_path / "missing", "rows").add(measured)
