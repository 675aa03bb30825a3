"""Tests of context columns added to a table."""

import numpy as np
import pandas as pd
import pytest

from gridlens._table_columns import describe_columns
from gridlens._tables import read_table, write_table
from gridlens.context import add_context
from gridlens.errors import GridlensError
from gridlens.lensing import einstein_radius_distribution


def test_columns_of_a_table():
    table = pd.DataFrame({"id": ["a", "b"], "ra": [182.3475, 10.0], "dec": [26.6796, 80.0], "score": [0.9, 0.1]})
    table.attrs = {"prevalence": 0.001}
    found = add_context(table)
    assert list(found.columns[:4]) == list(table.columns)
    assert found.attrs == table.attrs
    added = found.columns[4:]
    assert all(name.startswith("context_") for name in added)
    assert set(describe_columns(added, {})) == set(added)
    assert found["context_known_lens"][0] != ""
    assert found["context_known_lens"][1] == ""
    pd.testing.assert_frame_equal(add_context(found), found)


def test_einstein_radii_from_the_table_and_from_clusters():
    table = pd.DataFrame(
        {"id": ["a", "b"], "ra": [10.0, 20.0], "dec": [0.0, 0.0], "z": [0.3, 0.4], "lambda": [40.0, 90.0]}
    )
    found = add_context(table)
    expected = einstein_radius_distribution([0.3, 0.4], richness=[40.0, 90.0])
    np.testing.assert_array_equal(found["context_theta_e_p50"], expected["theta_e_p50"])
    assert found["context_proxy"].tolist() == ["richness", "richness"]
    clusters = pd.DataFrame(
        {"id": ["b", ""], "ra": [99.0, 10.0001], "dec": [0.0, 0.0], "redshift": 0.5, "log_mass": 15.0}
    )
    found = add_context(table, clusters=clusters)
    assert found["context_proxy"].tolist() == ["log_mass", "log_mass"]
    found = add_context(table, clusters=clusters[:1])
    assert found["context_proxy"].tolist() == ["", "log_mass"]


def test_notes_on_bad_rows():
    table = pd.DataFrame(
        {
            "ra": [np.nan, 400.0, 10.0, 10.0, 10.0, 10.0, 10.0],
            "dec": 80.0,
            "z": [0.3, 0.3, np.nan, -1.0, 0.0, 2.5, 0.3],
            "richness": [50.0, 50.0, 50.0, 50.0, 50.0, 50.0, 200.0],
            "log_mass": [np.nan] * 6 + [13.2],
        }
    )
    notes = add_context(table)["context_note"].tolist()
    for note, said in zip(
        notes,
        ["no position", "position out of range", "no redshift", "redshift outside", "redshift outside", "not behind"],
        strict=False,
    ):
        assert said in note
    assert notes[6] == "mass proxies contradict each other"


def test_hours_are_noted():
    ra = np.linspace(0.0, 23.9, 50)
    notes = add_context(pd.DataFrame({"ra": ra, "dec": 10.0}))["context_note"]
    assert notes.str.contains("are they hours").all()
    assert (add_context(pd.DataFrame({"ra": ra * 15.0, "dec": 10.0}))["context_note"] == "").all()


def test_invalid_tables_are_refused():
    with pytest.raises(GridlensError, match="must have the columns ra and dec"):
        add_context(pd.DataFrame({"id": ["a"]}))
    with pytest.raises(ValueError, match="'catalogs' parameter must hold a catalogue"):
        add_context(pd.DataFrame({"ra": [1.0], "dec": [1.0]}), bundled=False)
    assert len(add_context(pd.DataFrame({"ra": [], "dec": []}))) == 0


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".fits", ".votable"])
def test_tables_in_files(suffix, tmp_path):
    table = pd.DataFrame({"id": ["a", "b"], "ra": [182.3475, 10.0], "dec": [26.6796, 80.0], "z": [0.5, np.nan]})
    found = add_context(table.assign(richness=60.0))
    write_table(found, tmp_path / f"table{suffix}")
    again = read_table(tmp_path / f"table{suffix}")
    assert list(again) == list(found)
    np.testing.assert_allclose(again["context_theta_e_p50"], found["context_theta_e_p50"])
