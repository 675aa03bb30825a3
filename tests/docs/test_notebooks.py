"""Tests that the notebooks run from start to end and are stored without outputs."""

import ast
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PAGE = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")


def cells_of(name):
    """Return the cells of a notebook of the folder examples."""
    return json.loads((ROOT / "examples" / name).read_text(encoding="utf-8"))["cells"]


def executed(name, replaced=()):
    """Run the code cells of a notebook with some code replaced; return its names and the last value of each cell."""
    names, values = {}, []
    code = ["".join(cell["source"]) for cell in cells_of(name) if cell["cell_type"] == "code"]
    for before, after in replaced:
        assert sum(source.count(before) for source in code) == 1
        code = [source.replace(before, after) for source in code]
    for k, source in enumerate(code):
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{name}, code cell {k}", "exec"), names)
        if last is not None:
            values.append(eval(compile(ast.Expression(last.value), f"{name}, code cell {k}", "eval"), names))
    return names, values


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_notebooks_have_no_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_the_page_of_notebooks_lists_every_notebook():
    assert sorted(set(re.findall(r"\(\.\./examples/(\w+\.ipynb)\)", PAGE))) == [path.name for path in NOTEBOOKS]


@pytest.mark.slow
def test_score_real_cutouts(monkeypatch, capsys):
    monkeypatch.chdir(ROOT / "examples")
    names, values = executed("score_real_cutouts.ipynb")
    assert len(names["table"]) == 24
    assert "tangential" in capsys.readouterr().out
    pictures = [value for value in values if hasattr(value, "_repr_png_")]
    assert pictures == [names["contact_sheet"], names["candidate_sheet"]]
    assert pictures[1]._repr_png_().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*are fewer than the 50 required:UserWarning")
def test_train_on_your_labels(monkeypatch, tmp_path):
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    names, _ = executed("train_on_your_labels.ipynb", [("N_CLUSTERS = 180", "N_CLUSTERS = 60")])
    plt.close(names["axes"].figure)
    assert len(names["p"]) == 120
    assert not set(names["cluster"][names["train"]]) & set(names["cluster"][names["test"]])
    assert names["auroc"](names["y"], names["p"], n_boot=2).value > 0.6


@pytest.mark.slow
def test_from_survey_images(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names, _ = executed("from_survey_images.ipynb")
    table = names["table"]
    assert table["status"].tolist() == ["ok"] * 12 + ["rejected"]
    assert len(list((tmp_path / "survey" / "sheets").glob("*.png"))) == 3
    # The clusters are measured at the positions where they were placed.
    assert table["arc_ra"].head(12).sub(150.0).abs().max() < 0.04
