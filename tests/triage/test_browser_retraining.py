"""Test of the guide in a real browser: from a table of scores to a graded list and a better model.

The training is a real one, with few scenes and small forests.
"""

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
import sys
from pathlib import Path
from gridlens.training import _graded_old, _tuned
from gridlens.triage._retrain_work import main
_graded_old._SCENES, _tuned._TREES = 64, 10
if __name__ == "__main__":
    main(Path(sys.argv[1]))
"""
LISTS = """() => [...document.querySelectorAll(".beside > div")].map((one) =>
  [...one.querySelectorAll("li span")].map((name) => name.textContent))"""
N, LEFT = 22, 2


def graded(browser, link, lenses):
    """Grade the batch of a link by keyboard and return the page."""
    page = browser.new_context().new_page()
    page.set_default_timeout(20_000)
    page.goto(link)
    page.wait_for_selector("#go")
    page.keyboard.press("Enter")
    page.wait_for_selector("canvas.viewer[data-object]")
    for number in range(N):
        here, name = page.locator(".place").text_content().split(" · ")
        assert here == f"{number + 1} of {N}"
        page.keyboard.press("a" if name.split()[0] in lenses else "s")
    page.wait_for_selector("#saved.state-saved")
    return page


def test_a_graded_list_gives_a_better_model(tmp_path):
    example_folder(tmp_path)
    (tmp_path / "learn.py").write_text(LEARN)
    (tmp_path / "start.py").write_text(PROGRAM)
    names = pd.read_parquet(tmp_path / "scores.parquet")["id"].tolist()
    options = ("--strategy", "top", "--batch", str(N))
    with Server(tmp_path, ["ada", "ben"], *options, program=["start.py"]) as server, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        graded(browser, server.links["ben"], names[: N // 2])
        page = graded(browser, server.links["ada"], names[: N // 2])
        page.get_by_role("link", name="Retrain").press("Enter")
        page.get_by_role("button", name="Train on the grades").press("Enter")
        page.wait_for_selector("#accept", timeout=240_000)
        assert "This model is accepted" in page.locator(".card").first.text_content()
        assert "Measuring the pool" in page.locator(".log").text_content()
        before, after = page.evaluate(LISTS)
        assert before == names[:20] and len(after) == 20 and after != before
        page.locator("#accept").press("Enter")
        page.get_by_text("The new model is in use.").wait_for()
        page.get_by_role("link", name="Start").press("Enter")
        page.get_by_role("button", name="New batch").press("Enter")
        page.wait_for_selector(f".place:has-text('1 of {LEFT}')")
        browser.close()
    with GradeBook.open(tmp_path / "grades.sqlite") as book:
        assert book.export(tmp_path / "graded.csv") == 2 * N
        assert len(book.models()) == 2
        assert book.queues()["model_id"].tolist()[-1] == book.models()["model_id"].tolist()[-1]
    table = pd.read_csv(tmp_path / "graded.csv")
    assert set(table.loc[table["grade"] == "A", "object_id"]) == set(names[: N // 2])
