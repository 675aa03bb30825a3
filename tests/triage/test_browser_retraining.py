"""The walk of the guide in a real browser: from a table of scores to a graded list to another model.

The training itself is that of `train`, which has tests of its own and takes minutes. Here a process that learns the
grades by heart takes its place.
"""

import time

import pytest

pytest.importorskip("playwright")
pytest.importorskip("starlette")

import pandas as pd
from browsing import ARGUMENTS, CHROMIUM, Server, example_folder
from playwright.sync_api import sync_playwright

from gridlens.grading import GradeBook

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

PROGRAM = """
import sys
from gridlens.cli import main
from gridlens.triage import _retraining
# Processes that the server starts import this file.
if __name__ == "__main__":
    _retraining._COMMAND = [sys.executable, "learn.py"]
    main(sys.argv[1:])
"""
LEARN = """
import json, pathlib, shutil, sys
import pandas as pd
from gridlens.grading import GradeBook
from gridlens.models._bundle import model_folder
folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
print("Fitting", flush=True)
with GradeBook.open(job["grades"], read_only=True) as book:
    grades = book.current().set_index("object_id")["grade"]
table = pd.read_parquet("scores.parquet")
known = table["id"].map(grades)
table["p_lens"] = table["p_lens"].mask(known == "A", 0.99).mask(known == "X", 0.001)
table["score"] = table["p_lens"]
table = table.sort_values("p_lens", ascending=False)
table["rank"] = range(1, len(table) + 1)
table.to_parquet(folder / "scores.parquet")
shutil.copytree(model_folder("cluster-cluster"), folder / "model")
result = {"accepted": True, "verdict": "The new model is not worse.", "card": "# Card"}
(folder / "result.json").write_text(json.dumps(result))
"""
BEST = "() => [...document.querySelectorAll('.beside > div')].map((one) => one.querySelector('li span').textContent)"


def test_from_a_graded_list_to_a_better_model(tmp_path):
    example_folder(tmp_path)
    (tmp_path / "learn.py").write_text(LEARN)
    (tmp_path / "start.py").write_text(PROGRAM)
    first = pd.read_parquet(tmp_path / "scores.parquet")["id"].tolist()
    options = ("--strategy", "top", "--batch", "10")
    with Server(tmp_path, ["ada"], *options, program=["start.py"]) as server, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(server.links["ada"])
        page.wait_for_selector("#go")
        page.keyboard.press("Enter")
        page.wait_for_selector("canvas.viewer[data-object]")
        # The fifth of the list is the lens.
        for _ in range(10):
            name = page.locator(".place").text_content().split(" · ")[1].split()[0]
            page.keyboard.press("a" if name == first[4] else "s")
        page.wait_for_selector("#saved.state-saved")
        page.get_by_role("link", name="Retrain").press("Enter")
        page.get_by_role("button", name="Train on the grades").press("Enter")
        page.wait_for_selector("#accept")
        assert "The new model is not worse." in page.locator(".card").first.text_content()
        assert page.evaluate(BEST) == [first[0], first[4]]
        assert page.locator(".log").text_content() == "Fitting"
        page.locator("#accept").press("Enter")
        page.get_by_text("The new model is in use.").wait_for()
        page.get_by_role("link", name="Start").press("Enter")
        page.get_by_role("button", name="New batch").press("Enter")
        page.wait_for_selector("canvas.viewer[data-object]")
        ends = time.monotonic() + 10.0
        while (shown := page.locator("canvas.viewer").get_attribute("data-object")) not in first[10:20]:
            assert time.monotonic() < ends, shown
        browser.close()
    with GradeBook.open(tmp_path / "grades.sqlite") as book:
        assert book.export(tmp_path / "graded.csv") == 10
        assert len(book.models()) == 2 and len(book.queues()) == 2
    graded = pd.read_csv(tmp_path / "graded.csv")
    assert graded.loc[graded["grade"] == "A", "object_id"].tolist() == [first[4]]
