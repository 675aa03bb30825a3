"""Tests that catalogue context stays out of training, and known lenses out of its negatives."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gridlens import train
from gridlens.cutouts import read_catalog
from gridlens.errors import GridlensError
from gridlens.features import FEATURE_NAMES, FeatureCacheWriter, Measured
from gridlens.sources import open_source
from gridlens.training._context import ListedLenses, check_split
from gridlens.training._injected_rows import _presumed
from gridlens.training._injected_source import AS_IT_IS, KNOWN_LENS
from gridlens.training._labels import read_labels

LINEAR = ("linear(turns=False)",)
LENS = (26.733469, -9.497815)  # SDSS J0146-0929
pytestmark = pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")


def measured(n=200, at=()):
    """Return `n` rows with alternating labels; rows in `at` lie at a known lens, the others have no position."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)
    y = np.arange(n) % 2
    X[:, FEATURE_NAMES.index("patch0_arc_snr")] += 4.0 * y
    ids = np.array([f"c{k:04d}" for k in range(n)], dtype=object)
    nothing = np.full(n, "", dtype=object)
    rows = Measured(ids, nothing, X, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), nothing, np.ones(n))
    places = np.full((n, 2), np.nan)
    places[list(at)] = LENS
    return replace(rows, bcg_radec=places), pd.DataFrame({"id": ids, "label": y})


def cache(folder, rows):
    with FeatureCacheWriter(folder / "features.parquet", "a test") as writer:
        writer.add(rows)
    return folder / "features.parquet"


def test_known_lenses_are_dropped_from_the_negatives(tmp_path):
    rows, labels = measured(at=(10, 11))
    trained = train(cache(tmp_path, rows), labels, members=LINEAR, n_jobs=1)
    note = "1 known lenses (lenscat 1.1.3) were among the non-lenses and are left out: c0010."
    assert trained.notes == [note]
    assert note in trained.card
    assert "199 cutouts" in trained.card


def test_unlabelled_rows_are_not_negatives(tmp_path):
    _, labels = measured()
    known = read_labels(labels.rename(columns={"label": "known_lens"}), positive_unlabelled=True)
    assert not known.negative(np.arange(200)).any()
    vetted = read_labels(labels, positive_unlabelled=True)
    assert vetted.negative(np.array([0, 1, -1])).tolist() == [True, False, False]


def test_known_lenses_are_removed_from_mined_pools():
    rows, _ = measured(at=(3, 4))
    listed = ListedLenses()
    assert [len(part) for part in listed.pool([rows, rows[:3]])] == [198, 3]
    assert listed.dropped == ["c0003", "c0004"]
    assert "2 known lenses" in listed.notes[0]


def test_only_named_known_lenses_stay_in_pools_for_injection():
    rows, _ = measured(6, at=(1, 2, 3))
    told = pd.DataFrame(
        {"cutout": ["a", "b", "b", "c", "d", "e"], "kind": [AS_IT_IS, AS_IT_IS, "arc", KNOWN_LENS, AS_IT_IS, "arc"]}
    )
    listed = ListedLenses()
    assert _presumed(rows, told, listed)["cutout"].tolist() == ["a", "c", "d", "e"]
    assert listed.dropped == ["b"]


def test_a_known_lens_on_both_sides_of_a_split_is_refused(tmp_path):
    rows, labels = measured(at=(11, 151))
    check_split(rows[:100], rows[100:150])
    labels["calibration"] = (np.arange(200) >= 150).astype(int)
    with pytest.raises(
        GridlensError, match=r"SDSS J0146-0929 is on both sides of the split: c0011 .* c0151 a calibration row"
    ):
        train(cache(tmp_path, rows), labels, members=LINEAR, n_jobs=1)


def test_context_columns_are_refused(tmp_path):
    rows, labels = measured()
    path = cache(tmp_path, rows)
    context = labels.assign(context_theta_e_p50=5.0)
    with pytest.raises(GridlensError, match="table of labels must not have columns of catalogue context"):
        train(path, context, members=LINEAR)
    with pytest.raises(GridlensError, match="must not name columns of catalogue context"):
        read_catalog(context, columns={"redshift": "context_known_z"})
    table = pq.read_table(path)
    pq.write_table(table.append_column("context_known_z", pa.array(np.zeros(200))), path)
    with pytest.raises(GridlensError, match=r"feature cache .* must not have columns of catalogue context"):
        open_source(path)
