"""Tests of choosing cutouts to explain: one of a file or folder, or the best of a table of scores."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridlens import load_model
from gridlens.cutouts import read_batches
from gridlens.engine import score_batches
from gridlens.errors import GridlensError
from gridlens.explain import Explainer, explain_table
from gridlens.explain._sample import read_one, rows_with_id

EXAMPLES = Path(__file__).parents[2] / "examples" / "cutouts"


@pytest.fixture(scope="module")
def explainer():
    return Explainer(load_model())


@pytest.fixture(scope="module")
def scored(tmp_path_factory, explainer):
    """Create a folder with three FITS files of one cutout, a shard, and the table of their scores."""
    folder = tmp_path_factory.mktemp("scored")
    cutouts = folder / "cutouts"
    cutouts.mkdir()
    for path in [*EXAMPLES.glob("DESJ0330*.fits"), EXAMPLES / "simulated.npz"]:
        shutil.copy(path, cutouts)
    table = score_batches(explainer.detector, read_batches(cutouts), prevalence=0.01)
    table.to_csv(folder / "scores.csv", index=False)
    return folder


def test_a_table_of_another_model_is_reported(scored, explainer):
    table = pd.read_csv(scored / "scores.csv")
    found = explain_table(explainer, table, top=2)
    assert found.notes == []
    assert found.prevalence == 0.01
    assert list(found.explanation.table["id"]) == list(table["id"][:2])
    np.testing.assert_allclose(found.explanation.table["score"], table["score"][:2], atol=1e-6)
    assert sorted(found.cutouts) == [0, 1]
    assert sorted(explain_table(explainer, table, top=2, n_sheets=1).cutouts) == [0]
    with pytest.raises(ValueError, match=r"'n_sheets' parameter must be 0 to 500\. Got 501"):
        explain_table(explainer, table, n_sheets=501)
    table.loc[0, "score"] = 0.2
    (note,) = explain_table(explainer, table, top=2).notes
    assert "The scores of 1 cutouts differ from the table's" in note
    table["branch"] = np.where(np.arange(len(table)) == 1, "classic", "full")
    (note,) = explain_table(explainer, table, top=2).notes
    assert "The table was scored with a screen" in note
    assert "1 of the 2 cutouts have a score without the slow members in the table" in note
    (note,) = explain_table(explainer, table.drop(columns="branch").assign(recalibrated_on=250), top=2).notes
    assert "The table was recalibrated on 250 unlabelled cutouts" in note


def test_missing_cutouts_are_reported(scored, explainer):
    table = pd.read_csv(scored / "scores.csv")
    fits = table["path"].str.endswith(".fits")
    table.loc[fits, "path"] = "nowhere.fits"
    found = explain_table(explainer, table, top=20)
    assert len(found.explanation) == len(table) - 1
    assert found.notes == [f"1 of the best {len(table)} cutouts could not be read again: {table['id'][fits].iloc[0]}."]
    with pytest.raises(GridlensError, match=r"There is no 'nowhere\.fits'\. Run this in the folder"):
        explain_table(explainer, table.assign(path="nowhere.fits"))
    with pytest.raises(GridlensError, match=r"It lacks rank, status. `gridlens score"):
        explain_table(explainer, table[["id", "path"]])
    with pytest.raises(GridlensError, match="a row with the status 'ok'"):
        explain_table(explainer, table.assign(status="rejected"))


def test_an_empty_table_is_reported():
    with pytest.raises(GridlensError, match=r"no row with the id 'x'\. It is empty"):
        rows_with_id(pd.DataFrame({"id": [], "path": [], "rank": [], "status": []}), "x")


def test_one_of_several_cutouts_is_read(scored):
    cutouts = scored / "cutouts"
    assert read_one(cutouts / "simulated.npz", "sim-2026-000007").ids.tolist() == ["sim-2026-000007"]
    with pytest.raises(GridlensError, match=r"several cutouts, such as .* Select one of them with id="):
        read_one(cutouts)
    with pytest.raises(GridlensError, match="no cutout with the id 'x'"):
        read_one(cutouts, "x")
