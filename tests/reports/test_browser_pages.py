"""Tests of the layout of reports in Chromium, on wide, narrow and dark screens."""

import numpy as np
import pandas as pd
import pytest
from browsing import ARGUMENTS, CHROMIUM

from gridlens import evaluate_scores
from gridlens.reports import write_evaluation

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]
# Counts the letters in the longest line of the first paragraph.
MEASURE = """() => {
  const text = document.querySelector(".lead"), range = document.createRange(), lines = {};
  const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    for (let k = 0; k < walker.currentNode.length; k++) {
      range.setStart(walker.currentNode, k); range.setEnd(walker.currentNode, k + 1);
      const top = Math.round(range.getBoundingClientRect().top / 8);
      lines[top] = (lines[top] || 0) + 1;
    }
  }
  return Math.max(...Object.values(lines));
}"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
GROUND = "() => getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    rng = np.random.default_rng(0)
    truth = pd.DataFrame({"id": np.arange(400), "label": np.arange(400) % 4 == 0, "seeing": rng.uniform(0.5, 1.3, 400)})
    scores = pd.DataFrame({"id": truth["id"], "score": rng.normal(size=400) + 2 * truth["label"]})
    folder = tmp_path_factory.mktemp("pages") / "report"
    write_evaluation(evaluate_scores(scores, truth, n_boot=20), folder)
    return (folder / "index.html").as_uri()


def test_the_page_fits_wide_narrow_and_dark_screens(address):
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        assert page.evaluate(OVERFLOW) == 0
        assert page.evaluate(MEASURE) <= 75
        assert page.evaluate(GROUND) == "rgb(255, 255, 255)"
        contents, title = page.locator(".contents").bounding_box(), page.locator("h1").bounding_box()
        assert contents["x"] + contents["width"] < title["x"]
        page.set_viewport_size({"width": 390, "height": 900})
        assert page.evaluate(OVERFLOW) == 0
        assert page.locator(".contents").bounding_box()["x"] == page.locator("h1").bounding_box()["x"]
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(GROUND) == "rgb(20, 24, 31)"
        browser.close()
