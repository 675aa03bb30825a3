"""Test of the page in one file: opened from disk in a real browser, it returns its grades as a table."""

import shutil

import pytest

pytest.importorskip("playwright")
pytest.importorskip("starlette")

from browsing import ARGUMENTS, CHROMIUM, example_folder
from playwright.sync_api import sync_playwright

from gridlens.grading import GradeBook
from gridlens.triage import export_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_grades_of_the_page_in_one_file_are_imported(tmp_path, monkeypatch):
    example_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    made = export_page("scores.parquet", "sent", graders=["ada"], strategy="top", batch=24)
    # The page needs no other files.
    page_file = shutil.copy(made.path, tmp_path / "alone.html")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(accept_downloads=True)
        page.set_default_timeout(10_000)
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_selector(".tile.selected:focus")
        for key in ("a", "s", "u"):
            page.keyboard.press(key)
        page.keyboard.press("z")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("n")
        page.keyboard.type('a "thin", faint arc')
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        # The browser keeps the state when the page is loaded again.
        page.on("dialog", lambda dialog: dialog.accept())
        page.reload()
        page.wait_for_selector(".badge-A")
        page.keyboard.press("Shift+X")
        page.locator("#download").click()
        assert "Enter your name" in page.locator("#live").text_content()
        page.keyboard.type("Ann Lee")
        page.keyboard.press("Tab")
        with page.expect_download() as waiting:
            page.locator("#download").click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        browser.close()
    assert path.name == "grades-Ann_Lee.csv" and not errors
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)
    with GradeBook.open("grades.sqlite") as book:
        imported = book.import_grades(path)
        table = book.current()
    assert table["queue_id"].nunique() == 1 and table["position"].notna().all() and set(table["view"]) == {"export"}
    assert imported.added == 20 and set(table["grader"]) == {"Ann Lee"}
    assert sorted(table["grade"]) == ["A", "C"] + ["X"] * 18
    assert table["subclass"].tolist().count("spiral") == 1
    # The grades refer to the items of the queue, so that its weights apply.
    assert table["queue_id"].nunique() == 1 and sorted(table["position"]) == list(range(20))
    assert set(table["view"]) == {"export"} and (table["t_shown"] <= table["t_graded"]).all()
    assert table.loc[table["grade"] == "C", "note"].tolist() == ['a "thin", faint arc']
