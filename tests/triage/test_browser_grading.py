"""Tests of grading in a real browser: by keyboard alone, with two graders at once, and with a killed server."""

import json
import time

import numpy as np
import pytest

pytest.importorskip("playwright")
pytest.importorskip("starlette")

from browsing import ARGUMENTS, CHROMIUM, Server, example_folder, example_pixels
from playwright.sync_api import sync_playwright

from gridlens.cutouts import CutoutSet
from gridlens.grading import GRADES, GradeBook
from gridlens.reports import lupton_rgb
from gridlens.triage._views import encoded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
GRADERS = ("kay", "una", "nora", "rosa", "duo", "two", "mia", "lena", "dora", "hal", "pia")
SCREENS = ("start", "grade", "mosaic", "practice", "disagreement", "progress", "agreement", "history", "retrain")
# Two of the 24 examples are gold, and are not also queued as candidates.
N = 22
BATCH = ("--strategy", "top", "--batch", "24")


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return example_folder(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def server(folder):
    (folder / "gold.csv").write_text("object_id,truth,kind\nAbell1703,1,known_lens\nKiDS-test,0,known_nonlens\n")
    with Server(folder, GRADERS, "--gold", "gold.csv", *BATCH) as running:
        yield running


@pytest.fixture
def opened(chromium, server):
    """Return a function that opens the page of a grader with a batch; errors of a page fail the test."""
    contexts, errors = [], []

    def open_page(grader, screen="grade", link=None, **options):
        context = chromium.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        page.goto(link or server.links[grader])
        page.wait_for_selector("#go")
        if screen != "start":
            page.keyboard.press("Enter")
            ready(page)
        if screen == "mosaic":
            page.keyboard.press("g")
            page.wait_for_selector(".tile.selected")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def wait_until(page, condition, argument=None):
    """Wait until a JavaScript function returns true; the security policy of the page blocks Playwright's own method."""
    end = time.monotonic() + 15.0
    while not page.evaluate(condition, argument):
        assert time.monotonic() < end, (condition, page.locator("body").inner_text())
        time.sleep(0.03)


def ready(page):
    """Wait until the image of the current object is drawn."""
    wait_until(
        page,
        """() => { const id = document.querySelector("canvas.viewer")?.dataset.object;
                   return id && document.querySelector(".place").textContent.includes(id); }""",
    )


def saved(page):
    wait_until(page, "() => document.querySelector('#saved').textContent === 'all saved'")


def announcement(page):
    return page.locator("#live").text_content()


def position_text(page):
    return page.locator(".single .place strong").text_content()


def grades_of(folder, grader):
    with GradeBook.open(folder / "grades.sqlite") as book:
        table = book.current()
    return table[table["grader"] == grader].reset_index(drop=True)


def test_a_list_can_be_graded_with_the_keyboard_only(opened, folder):
    page = opened("kay")
    keys = ["1", "a", "2", "b", "3", "c", "4", "x", "u", "s", "r", "m", "h", "t", "e", "f", "o"]
    shown = []
    for number, key in enumerate(keys):
        assert position_text(page) == f"{number + 1} of {N}"
        ready(page)
        shown.append(page.locator("canvas.viewer").get_attribute("data-object"))
        page.keyboard.press(key)
    assert announcement(page).startswith(f"Graded X, other. Image 18 of {N}.")
    page.keyboard.press("ArrowLeft")
    assert position_text(page) == f"17 of {N}"
    page.wait_for_selector(".info dl")
    assert "Probability of a lens" in page.locator(".info").text_content()
    link = page.locator(".links a").first
    assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
    page.keyboard.press("l")
    assert page.evaluate("document.activeElement.tagName") == "A"
    page.keyboard.press("Shift+ArrowRight")
    assert position_text(page) == f"18 of {N}"
    page.keyboard.press("g")
    page.keyboard.press("Shift+X")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+X")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "The batch is graded." in page.locator("#trouble").text_content()
    saved(page)
    table = grades_of(folder, "kay")
    assert len(table) == N and table["object_id"].is_unique and table["blind"].astype(bool).all()
    assert table["object_id"][:17].tolist() == shown
    assert table["grade"][:17].tolist() == list("AABBCCXXU") + ["X"] * 8
    assert table["subclass"][9:17].tolist() == [
        "spiral", "ring galaxy", "merger", "star halo or spike", "satellite trail", "edge-on", "artefact", "other",
    ]  # fmt: skip
    assert set(table["view"]) == {"single colour", "mosaic"} and (table["t_shown"] != "").all()
    with GradeBook.open(folder / "grades.sqlite") as book:
        assert book.export(folder / "graded.csv") >= N


def test_undo(opened, folder):
    page = opened("una")
    page.keyboard.press("a")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("x")
    page.keyboard.press("z")
    assert position_text(page) == f"1 of {N}" and page.locator(".place .badge").text_content() == "A"
    page.keyboard.press("z")
    assert page.locator(".place .badge").count() == 0
    page.keyboard.press("g")
    page.wait_for_selector(".tile.selected")
    page.keyboard.press("b")
    page.keyboard.press("Shift+X")
    saved(page)
    assert grades_of(folder, "una")["grade"].tolist() == ["B"] + ["X"] * 19
    page.keyboard.press("z")
    saved(page)
    assert grades_of(folder, "una")["grade"].tolist() == ["B"]
    page.keyboard.press("z")
    page.keyboard.press("z")
    assert announcement(page) == "There is nothing to undo."
    saved(page)
    assert grades_of(folder, "una").empty


def test_typing_a_note_triggers_no_key(opened, folder):
    page = opened("nora")
    page.keyboard.press("n")
    page.keyboard.type("a bright arc, z = 1.4 <b>x</b>")
    assert position_text(page) == f"1 of {N}" and page.locator(".place .badge").count() == 0
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    saved(page)
    assert grades_of(folder, "nora")["note"].tolist() == ["a bright arc, z = 1.4 <b>x</b>"]
    page.evaluate("location.hash = 'history'")
    # The note is shown as text, not as HTML.
    page.wait_for_selector("td:has-text('<b>x</b>')")


def test_a_click_marks_an_arc_and_a_reveal_is_recorded(opened, folder):
    page = opened("rosa")
    box = page.locator("canvas.viewer").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.keyboard.press("i")
    page.wait_for_selector(".info dl")
    page.keyboard.press("b")
    page.keyboard.press("c")
    saved(page)
    with GradeBook.open(folder / "grades.sqlite") as book:
        rows = book.history().query("grader == 'rosa'")
    assert rows["blind"].astype(bool).tolist() == [False, True]
    (mark,) = json.loads(rows["marks_json"].iloc[0])
    # The mark is a quarter from the left and a quarter from the top; y counts from the bottom.
    assert 3 * (mark[0] + 0.5) == pytest.approx(mark[1] + 0.5, abs=2)


def test_two_browsers_can_grade_concurrently(opened, folder):
    pages = [opened("duo"), opened("two")]
    for _ in range(20):
        for page, key in zip(pages, "ax", strict=True):
            page.keyboard.press(key)
    for page in pages:
        saved(page)
    assert grades_of(folder, "duo")["grade"].tolist() == ["A"] * 20
    assert grades_of(folder, "two")["grade"].tolist() == ["X"] * 20
    pages[0].evaluate("location.hash = 'disagreement'")
    pages[0].wait_for_selector(".dispute.selected")
    pages[0].keyboard.press("c")
    saved(pages[0])
    assert sorted(grades_of(folder, "duo")["grade"]) == ["A"] * 19 + ["C"]


def test_no_grade_is_lost_if_the_server_is_killed(opened, tmp_path):
    example_folder(tmp_path)
    with Server(tmp_path, ["kim"], *BATCH) as first:
        page = opened("kim", link=first.links["kim"])
        for _ in range(5):
            page.keyboard.press("x")
        saved(page)
        first.kill()
    assert len(grades_of(tmp_path, "kim")) == 5
    for _ in range(5):
        page.keyboard.press("a")
    wait_until(page, "() => document.querySelector('#saved').textContent === '5 not saved yet'")
    assert f"start it with --port {first.port}" in page.locator("#trouble").text_content()
    assert position_text(page).startswith("11 of")
    with Server(tmp_path, ["kim"], *BATCH, port=first.port):
        saved(page)
        assert page.locator("#trouble").is_hidden()
        assert grades_of(tmp_path, "kim")["grade"].tolist() == ["X"] * 5 + ["A"] * 5
        # The cookie is still valid, and the page continues where it was.
        page.reload()
        page.wait_for_selector("#saved.state-saved")
        ready(page)
        assert position_text(page).startswith("11 of")


def test_every_screen_fits_a_narrow_display(opened):
    page = opened("mia")
    page.set_viewport_size({"width": 390, "height": 800})
    for screen in SCREENS:
        page.evaluate(f"location.hash = '{screen}'")
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, screen
    page.evaluate("location.hash = 'grade'")
    buttons = page.locator(".grade").all()
    assert len(buttons) == len(GRADES) and all(button.bounding_box()["x"] >= 0 for button in buttons)
    buttons[1].click()
    saved(page)


READABLE = (".place", ".state-saved", ".quiet, .facts dt", ".impostor", "#saved", ".badge", "nav a[aria-current]")
CONTRAST = """(selector) => {
  const element = document.querySelector(selector);
  let back = element;
  const plain = (one) => getComputedStyle(one).backgroundColor;
  while (plain(back) === "rgba(0, 0, 0, 0)") back = back.parentElement;
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map((v) => v / 255).map((v) =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(getComputedStyle(element).color), light(plain(back))];
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), b];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_both_schemes_are_readable(opened, scheme):
    page = opened("lena" if scheme == "light" else "dora", color_scheme=scheme, reduced_motion="reduce")
    page.keyboard.press("x")
    page.keyboard.press("ArrowLeft")
    saved(page)
    for selector in READABLE:
        contrast, back = page.evaluate(CONTRAST, selector)
        assert contrast >= 4.5, selector
    _, back = page.evaluate(CONTRAST, ".place")
    assert back > 0.8 if scheme == "light" else back < 0.1
    assert page.evaluate("getComputedStyle(document.querySelector('canvas.viewer')).outlineStyle") != "none"


def as_sent(pixels):
    """Return one cutout (H, W, 3) with the fluxes that the page gets, in 16 bits."""
    body = encoded(CutoutSet(pixels[None], pixel_scale=0.2, ids=["cl"]), ("raw",), {})
    start = 4 + int.from_bytes(body[:4], "little")
    header = json.loads(body[4:start])
    values = np.frombuffer(body[start:], "<u2").reshape(3, header["height"], header["width"])
    low, high = (np.array(header[name][0])[:, None, None] for name in ("low", "high"))
    return np.moveaxis(low + (high - low) / 65534 * values, 0, 2)


def test_the_pixels_on_the_canvas_match_python(opened):
    page = opened("hal", "mosaic")
    wait_until(page, "() => !document.querySelector('.tile canvas.loading')")
    compared = 0
    for name in ("sim-2026-000003", "sim-2026-000012"):
        tile = page.locator(f".tile[aria-label^='{name}'] canvas")
        if tile.count() == 0:
            continue
        width, height, values = tile.evaluate(
            "(c) => [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
        )
        drawn = np.array(values).reshape(height, width, 4)[::-1, :, :3]
        expected = lupton_rgb(as_sent(example_pixels(name))).astype(int)
        assert expected.shape == drawn.shape and expected.max() > 200
        assert np.abs(drawn - expected).max() <= 1
        compared += 1
    assert compared
    before = tile.evaluate("(c) => c.toDataURL().length")
    page.keyboard.press("]")
    wait_until(page, "(n) => document.querySelector('.tile canvas').toDataURL().length !== n", before)


def test_the_training_round_and_the_help(opened):
    page = opened("pia", "start")
    page.evaluate("location.hash = 'practice'")
    page.wait_for_selector("canvas.viewer:focus")
    page.keyboard.press("a")
    assert page.locator(".verdict").text_content().split(":")[0] in ("Right", "Wrong")
    page.keyboard.press("Space")
    page.keyboard.press("x")
    page.keyboard.press("Space")
    page.wait_for_selector(".feedback .fact")
    assert page.locator(".feedback .fact").text_content() in ("0 of 2 right.", "2 of 2 right.")
    page.keyboard.press("Shift+Slash")
    assert page.locator("#help tr").count() > 30
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
