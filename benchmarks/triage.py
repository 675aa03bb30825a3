"""Measure the triage page in Chromium: first image, next image, mosaic of 100, memory, two browsers at once.

The table has 500,000 rows. Only its best rows have cutouts, in one shard; the others are never shown.
Needs the extra `triage`, playwright and Chromium.

    python benchmarks/triage.py
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd

from gridlens.cutouts import CutoutSet, write_npz
from gridlens.grading import GradeBook

EXAMPLES = Path(__file__).parents[1] / "examples" / "cutouts" / "simulated.npz"
BATCH = 500
# Number of rows that have cutouts.
SHOWN = 600
KEYS = 300
LIMITS = {
    "first image": (2.0, "s"),
    "key to next image, 95th percentile": (150.0, "ms"),
    "mosaic of 100": (1.5, "s"),
    "memory of the server": (400.0, "MB"),
    "grades lost": (0.0, ""),
    "lock errors": (0.0, ""),
}
OTHER_UNITS = {
    "key to next image, median": "ms",
    "2 browsers x 500 grades": "s",
    "its peak, while a batch is chosen": "MB",
}
# Resolves when the image of another object than `before` is on the screen, two frames after it was drawn.
PAINTED = """(before) => new Promise((resolve) => {
  const look = () => {
    const shown = document.querySelector("canvas.viewer")?.dataset.object;
    if (shown && shown !== before) requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())));
    else setTimeout(look, 1);
  };
  look();
})"""
# Presses a key and returns the time until the next image is on the screen.
PRESS = """(code) => new Promise((resolve) => {
  const canvas = document.querySelector("canvas.viewer");
  const before = canvas.dataset.object;
  const start = performance.now();
  canvas.dispatchEvent(new KeyboardEvent("keydown", { code, bubbles: true, cancelable: true }));
  const look = () => {
    if (canvas.dataset.object !== before) {
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
    } else setTimeout(look, 1);
  };
  look();
})"""
MOSAIC = """() => new Promise((resolve) => {
  const select = document.querySelector("#grid");
  select.value = "3";
  const start = performance.now();
  select.dispatchEvent(new Event("change"));
  const look = () => {
    const tiles = document.querySelectorAll(".tile canvas:not(.loading)").length;
    if (tiles === 100) requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
    else setTimeout(look, 2);
  };
  look();
})"""


def make(folder: Path, rows: int) -> None:
    """Write a table of `rows` scores and the cutouts of its best rows."""
    with np.load(EXAMPLES) as shard:
        pixels = shard["pixels"]
    rng = np.random.default_rng(0)
    ids = [f"cl{k:06d}" for k in range(rows)]
    # Noise makes all cutouts different, so that no cache of equal pixels helps.
    some = pixels[rng.integers(0, len(pixels), SHOWN)]
    some = some + rng.normal(scale=0.01, size=some.shape).astype(np.float32)
    write_npz(folder / "shard.npz", CutoutSet(some, pixel_scale=0.2, ids=ids[:SHOWN]))
    p = np.sort(rng.beta(0.3, 6.0, rows))[::-1]
    table = pd.DataFrame({"id": ids, "path": "shard.npz", "rank": np.arange(rows) + 1, "score": p, "p_lens": p})
    table["p_low"], table["p_high"], table["status"] = p / 2, np.minimum(1.0, 2 * p), "ok"
    table["ra"], table["dec"] = rng.uniform(0, 360, rows), rng.uniform(-30, 30, rows)
    table["disagreement"] = rng.uniform(0, 1, rows)
    table.to_parquet(folder / "scores.parquet")


def start(folder: Path, graders: list[str]) -> tuple[subprocess.Popen, list[str], float]:
    """Start the server; return its process, a link for each grader, and the seconds until the links were printed."""
    command = [sys.executable, "-m", "gridlens", "triage", "scores.parquet", "--graders", ",".join(graders)]
    command += ["--strategy", "top", "--batch", str(BATCH), "--no-browser"]
    begun = time.monotonic()
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    links: list[str] = []
    while len(links) < len(graders):
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((folder / "log.txt").read_text())
        links += re.findall(r"http://127\S+", line)
    return process, links, time.monotonic() - begun


def memory(pid: int, entry: str) -> float:
    """Return the current (VmRSS) or peak (VmHWM) resident memory of a process without its children, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{entry}:\s+(\d+)", status)[1]) / 1024


def begin(browser, link: str):
    """Open the page and start a batch; return the page and the seconds from the link to the first image."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    begun = time.monotonic()
    page.goto(link)
    page.wait_for_selector("#go")
    page.keyboard.press("Enter")
    page.evaluate(PAINTED, None)
    return page, time.monotonic() - begun


def wait_saved(page) -> None:
    while page.locator("#saved").text_content() != "all saved":
        time.sleep(0.05)


def grade_all(chromium: str, link: str, key: str, failures: list) -> None:
    """Grade a whole batch in a browser, as fast as the page allows."""
    from playwright.sync_api import sync_playwright

    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page, _ = begin(browser, link)
            for _ in range(BATCH):
                page.keyboard.press(key)
            wait_saved(page)
            browser.close()
    except Exception as exc:
        failures.append(exc)


def measure(folder: Path, chromium: str) -> tuple[dict[str, float], float]:
    """Return the figures by name, and the seconds until the server listened."""
    from playwright.sync_api import sync_playwright

    figures: dict[str, float] = {}
    process, links, listening = start(folder, ["ann", "two", "duo"])
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page, figures["first image"] = begin(browser, links[0])
            waits = [page.evaluate(PRESS, "KeyX") for _ in range(KEYS)]
            figures["key to next image, 95th percentile"] = float(np.percentile(waits, 95))
            figures["key to next image, median"] = float(np.median(waits))
            wait_saved(page)
            page.keyboard.press("g")
            page.wait_for_selector(".tile.selected")
            figures["mosaic of 100"] = page.evaluate(MOSAIC) / 1000
            browser.close()
        failures: list = []
        pairs = zip(links[1:], "ax", strict=True)
        threads = [threading.Thread(target=grade_all, args=(chromium, *pair, failures)) for pair in pairs]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        figures["2 browsers x 500 grades"] = time.monotonic() - begun
        figures["memory of the server"] = memory(process.pid, "VmRSS")
        figures["its peak, while a batch is chosen"] = memory(process.pid, "VmHWM")
        if failures:
            raise failures[0]
    finally:
        process.terminate()
        process.wait(20)
    with GradeBook.open(folder / "grades.sqlite") as book:
        graded = book.current().groupby("grader").size()
    figures["grades lost"] = float(KEYS + 2 * BATCH - graded.sum())
    figures["lock errors"] = float((folder / "log.txt").read_text().count("locked"))
    return figures, listening


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the table")
    rows = parser.parse_args().rows
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, rows)
        figures, listening = measure(folder, chromium)
    print(f"{rows:,} rows; {os.cpu_count()} processors; the server listened after {listening:.1f} s\n")
    print("| figure | measured | limit |\n|---|---|---|")
    for title, value in figures.items():
        limit, unit = LIMITS.get(title, (None, OTHER_UNITS.get(title)))
        text = "" if limit is None else f"{limit:g} {unit}".strip()
        print(f"| {title} | {value:.3g} {unit} | {text} |" if unit else f"| {title} | {value:g} | {text} |")


if __name__ == "__main__":
    main()
