"""Tests of the columns of a score table in every format: order, units, UCDs, descriptions, values."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits, votable
from astropy.io.votable.ucd import check_ucd

from gridlens._table_columns import SCORE_COLUMNS, described_attrs, in_order
from gridlens._tables import TABLE_SUFFIXES, read_table, write_table

PAGE = Path(__file__).parents[1] / "docs" / "score-table.md"
VOTABLES = (".votable", ".vot", ".xml")


@pytest.fixture
def table():
    table = pd.DataFrame(
        {
            "id": ["A1703", "0012", "Abell-é"],
            "ra": [198.771826123456, 0.25, np.nan],
            "dec": [51.8178, -0.5, np.nan],
            "path": ["a;b;c.fits", "", "é/x.npz"],
            "rank": [1, 2, 0],
            "score": [0.93, 1 / 3, np.nan],
            "p_lens": [0.013, 1e-300, np.nan],
            "prevalence": 1e-3,
            "status": ["ok", "ok", "rejected"],
            "message": ["", "A warning; with, marks", "No pixel."],
            "flags": [0, 2**18, 1],
            "arc_x": [80.25, np.nan, np.nan],
            "arc_distance": [11.5, np.nan, np.nan],
            "arc_color_gr": [-0.5, np.nan, np.nan],
            "arc_snr": [85.0, np.nan, np.nan],
            "members_in_favour": [2, 0, 0],
            "lightgbm": [0.9, 0.1, np.nan],
            # astropy writes 999999 for a missing integer by default.
            "n_gal": pd.array([999999, None, 7], dtype="Int64"),
            "object_id": pd.array([2**60 + 1, None, -7], dtype="Int64"),
            "relaxed": pd.array([True, None, False], dtype="boolean"),
            "notes": ["cool core", "", "=x"],
        }
    )
    table.attrs = {
        "prevalence": 1e-3,
        **described_attrs(["lightgbm"], kept=dict.fromkeys(["n_gal", "object_id", "notes", "relaxed"], "")),
    }
    return table


def test_ucds_and_units_are_known_to_astropy():
    for name, column in SCORE_COLUMNS.items():
        assert not column.ucd or check_ucd(column.ucd, check_controlled_vocabulary=True), name
        units.Unit(column.unit)
        assert column.description.isascii()


def test_columns_are_ordered_and_unknown_ones_are_last():
    names = ["lightgbm", "p_lens", "notes", "dec", "score", "id", "ra"]
    assert in_order(names) == ["id", "ra", "dec", "score", "p_lens", "lightgbm", "notes"]


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_a_table_survives_a_round_trip(table, tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Text in a FITS table must be ASCII")
        write_table(table, path)
    found = read_table(path)
    assert found.columns.tolist() == table.columns.tolist()
    found["notes"] = found["notes"].fillna("")  # CSV cannot distinguish an empty text from a missing value
    for name in ("id", "path", "status", "message", "notes"):
        assert found[name].tolist() == table[name].tolist(), name
    for name in table.columns.difference(["id", "path", "status", "message", "notes"]):
        np.testing.assert_array_equal(
            found[name].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan),
            table[name].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan),
            err_msg=name,
        )


@pytest.mark.parametrize("suffix", [".parquet", ".fits", *VOTABLES])
def test_no_digit_of_an_integer_is_lost(table, tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(table[["id", "object_id"]], path)
    assert read_table(path)["object_id"].tolist() == [2**60 + 1, pd.NA, -7]


def test_fits_headers_describe_the_columns(table, tmp_path):
    write_table(table.replace("é", "e", regex=True), tmp_path / "t.fits")
    with fits.open(tmp_path / "t.fits") as hdus:
        header = hdus[1].header
        places = {name: k for k, name in enumerate(hdus[1].columns.names, start=1)}
        nulls = hdus[1].columns["n_gal"].null
    assert header[f"TUNIT{places['ra']}"] == "deg"
    assert header[f"TUNIT{places['arc_distance']}"] == "arcsec"
    assert f"TUNIT{places['score']}" not in header
    assert header[f"TUCD{places['dec']}"] == "pos.eq.dec;meta.main"
    assert header[f"TCOMM{places['arc_snr']}"] == "Signal-to-noise ratio of the arc candidate"
    assert header[f"TCOMM{places['lightgbm']}"] == "Probability of a lens by the member lightgbm, uncalibrated"
    assert header["PREVAL"] == 1e-3
    assert nulls is not None


@pytest.mark.parametrize("unit", ["log10(Msun)", "2 Jy", "h:m:s", "µJy"])
def test_names_and_units_unknown_to_fits_are_written(tmp_path, unit):
    rows = pd.DataFrame({"id": ["a", None], "masse_é": [1.0, 2.0]})
    rows.attrs = described_attrs((), kept={"masse_é": unit})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_table(rows, tmp_path / "t.fits")
    header = fits.getheader(tmp_path / "t.fits", 1)
    assert header["TTYPE2"] == "masse_\\u00e9"
    assert header["TUNIT2"] == unit.replace("µ", "u")


@pytest.mark.parametrize("suffix", VOTABLES)
def test_fields_of_a_votable_describe_the_columns(table, tmp_path, suffix):
    write_table(table, tmp_path / f"t{suffix}")
    found = votable.parse_single_table(tmp_path / f"t{suffix}")
    field = {field.name: field for field in found.fields}
    assert field["ra"].ucd == "pos.eq.ra;meta.main"
    assert str(field["ra"].unit) == "deg"
    assert " ".join(field["score"].description.split()) == SCORE_COLUMNS["score"].description
    assert field["n_gal"].description == "Column of the catalogue"


def test_parquet_fields_describe_the_columns(table, tmp_path):
    write_table(table, tmp_path / "t.parquet")
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.field("dec").metadata[b"unit"] == b"deg"
    assert schema.field("dec").metadata[b"ucd"] == b"pos.eq.dec;meta.main"
    assert schema.field("arc_distance").metadata[b"description"] == b"Distance of the arc candidate to the BCG"
    assert read_table(tmp_path / "t.parquet").attrs["columns"]["lightgbm"]["description"].endswith("uncalibrated")


def test_the_page_lists_the_columns_in_their_order():
    section = PAGE.read_text(encoding="utf-8").partition("\n| bit |")[0].partition("\n## Files")[0]
    cells = re.findall(r"^\|((?: `\w+`,?)+) \|", section, re.MULTILINE)
    assert re.findall(r"\w+", " ".join(cells)) == list(SCORE_COLUMNS)
