"""Tests of cells of text: changes for a file format are undone when the table is read."""

import pandas as pd
import pytest

from gridlens._cells import ascii_cells, marked_cells, quoted_formulas, restored_cells
from gridlens._ids import as_ascii, from_ascii

TEXTS = ["A1703", "=1+1", "+1", "-5", "@x", "'=1", "''=1", "'A", "", "a=b", "Abell-é", "漢字🔭", "\\u00e9", "\\\\u00e9"]
TEXTS += ["\\u005cu00e9", "\\U0001f52d", "\\Uffffffff", "\\x0d", "\\", "é\\u00e9"]


def scores(texts):
    columns = {"id": texts, "path": texts, "message": texts, "rank": 1, "status": "ok", "flags": 0, "score": -0.5}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("change", [quoted_formulas, marked_cells])
def test_csv_round_trip(change):
    table = scores(TEXTS)
    changed = change(table)
    pd.testing.assert_frame_equal(restored_cells(changed, ".csv"), table)
    assert (changed["score"] == -0.5).all()
    pd.testing.assert_frame_equal(table, scores(TEXTS))


def test_no_quoted_cell_starts_a_formula():
    quoted = quoted_formulas(scores(TEXTS))
    assert not quoted["id"].str.match(r"[=+\-@]").any()
    assert (quoted["id"] != TEXTS).sum() == 6


def test_ordinary_text_is_not_marked():
    marked = marked_cells(scores(TEXTS))
    assert [text for text, given in zip(marked["id"], TEXTS, strict=True) if text != given] == ["''=1", "'''=1"]


def test_fits_round_trip_through_ascii():
    table, changed = ascii_cells(scores(TEXTS))
    assert table["id"].map(str.isascii).all()
    assert changed == 3 * 7
    pd.testing.assert_frame_equal(restored_cells(table, ".fits"), scores(TEXTS))


def test_tables_from_other_programs_are_unchanged():
    table = pd.DataFrame({"id": ["'=1", "\\u00e9"], "label": [0, 1]})
    for suffix in (".csv", ".fits", ".parquet"):
        pd.testing.assert_frame_equal(restored_cells(table, suffix), table)
    pd.testing.assert_frame_equal(marked_cells(table), table)


@pytest.mark.parametrize("text", TEXTS)
def test_escapes_round_trip_exactly(text):
    assert as_ascii(text).isascii()
    assert from_ascii(as_ascii(text)) == text
