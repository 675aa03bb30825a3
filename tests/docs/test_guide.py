"""The commands of the README and of the guide run in order, in a terminal of 80 columns or in a pipe."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scenes import cluster
from skies import DEC, RA, gnomonic, write_image
from walking import COLUMNS, commands_of, printed_lines, snippets_of, walk

from gridlens.cutouts import CutoutSet, write_npz

pytest.importorskip("matplotlib")
ROOT = Path(__file__).parents[2]
SCORED = "gridlens score cutouts/ --catalog clusters.csv --out scores.csv"
# Commands that a page assumes to have run.
PAGES = {
    "README.md": [],
    "docs/quickstart.md": [],
    "docs/command-line.md": [],
    "docs/cutouts.md": [],
    "docs/scale.md": [
        SCORED,
        "gridlens train --data my-cutouts/ --labels labels.csv --out mine/",
    ],
    "docs/training.md": ["gridlens features cutouts/ --out features.parquet"],
    "docs/evaluation.md": [
        SCORED,
        "gridlens features cutouts/ --out features.parquet",
        "gridlens train --data my-cutouts/ --labels labels.csv --out mine/",
    ],
    "docs/context.md": [],
    "docs/explain.md": ["gridlens score examples/cutouts --out scores.csv"],
    "docs/deep.md": [],
    "docs/survey-files.md": [],
    "docs/other-skies.md": [],
    "docs/realism.md": [],
}
# Parts of commands that are not run here: they need a scheduler, pictures, 200 clusters of one survey, or a network.
ELSEWHERE = ("tcp://HOST", "pictures/", "triplets/", "--engine", "--inject-into", "known.csv", "deep")
# Networks score on their own page, and are trained in their own tests.
ELSEWHERE_OF_NETWORKS = ("--recipe", "--members")
OTHERS = {"pip", "pytest", "python", "sphinx-build"}
N = 12
FIELD = 600  # px
SCALE = 0.5


def sky_of(k):
    """Return the position of a cluster on the image, px, and on the sky, degrees."""
    x, y = 150.0 + 100.0 * (k % 4), 150.0 + 130.0 * (k // 4)
    centre = (FIELD - 1) / 2
    ra = RA - (x - centre) * SCALE / 3600.0 / np.cos(np.radians(DEC))
    return x, y, ra, DEC + (y - centre) * SCALE / 3600.0


def drawn(seed, n=N, side=96):
    """Return images of clusters; every second cluster has an arc."""
    rng = np.random.default_rng(seed)
    found = [cluster(rng, side, arc_px=22 if k % 2 else None, n_galaxies=10)[0] for k in range(n)]
    return np.stack(found).astype(np.float32)


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    """Return a folder with small versions of the files that the pages assume."""
    home = tmp_path_factory.mktemp("readme")
    ids = [f"cl{k:02d}" for k in range(N)]
    (home / "examples").mkdir()
    shutil.copytree(ROOT / "examples" / "cutouts", home / "examples" / "cutouts")
    for seed, (folder, names) in enumerate(
        {
            "cutouts": ids,
            "shards": ids,
            "my-cutouts": [f"m{k:03d}" for k in range(60)],
            "my-clusters": [f"s{k:03d}" for k in range(220)],
            "unlabelled-cutouts": [f"u{k:03d}" for k in range(104)],
        }.items()
    ):
        (home / folder).mkdir()
        pixels = drawn(seed, len(names))
        write_npz(home / folder / "0.npz", CutoutSet(pixels, ids=names, pixel_scale=SCALE))
    places = [sky_of(k) for k in range(N)]
    catalog = pd.DataFrame({"id": ids, "ra": [p[2] for p in places], "dec": [p[3] for p in places], "richness": 40.0})
    catalog.to_csv(home / "clusters.csv", index=False)
    label = np.arange(N) % 2
    pd.DataFrame({"id": ids, "label": label}).to_csv(home / "truth.csv", index=False)
    pd.DataFrame({"id": ids, "score": np.linspace(0.1, 0.9, N)}).to_csv(home / "other-scores.csv", index=False)
    labels = pd.DataFrame({"id": [f"m{k:03d}" for k in range(60)], "label": np.arange(60) % 2})
    labels.to_csv(home / "labels.csv", index=False)
    field = np.random.default_rng(9).normal(size=(FIELD, FIELD, 3)).astype(np.float32)
    for k, (x, y, *_) in enumerate(places):
        x0, y0 = int(x) - 48, int(y) - 48
        field[y0 : y0 + 96, x0 : x0 + 96] += drawn(50 + k, 1)[0]
    for band, plane in zip("gri", np.moveaxis(field, -1, 0), strict=True):
        for path in (f"coadds/{band}/tile.fits", f"coadd/{band}.fits", f"tiles/{band}.fits"):
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            write_image(home / path, plane, gnomonic(SCALE, FIELD), MAGZERO=27.0, FILTER=band)
    from astropy.io import fits

    planes = [
        fits.ImageHDU(plane, gnomonic(SCALE, FIELD).to_header(), name=band)
        for band, plane in zip("gri", np.moveaxis(field, -1, 0), strict=True)
    ]
    for plane in planes:
        plane.header["MAGZERO"] = 27.0
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(home / "field.fits")
    return home


def page_commands(page):
    """Return the commands of a page that can run here, preceded by the commands that it needs."""
    before = [shlex.split(line) for line in PAGES[page]]
    found = [words for words in commands_of((ROOT / page).read_text(encoding="utf-8")) if words[0] not in OTHERS]
    assert {words[0] for words in found} <= {"gridlens"}
    elsewhere = ELSEWHERE_OF_NETWORKS if page == "docs/deep.md" else ELSEWHERE
    found = [words for words in found if not any(part in " ".join(words) for part in elsewhere)]
    # Blocks of a page write to the same names, because each can be read on its own.
    written = set()
    for words in found:
        out = words[words.index("--out") + 1] if "--out" in words else None
        resumed = "--resume" in words and page == "docs/scale.md"
        if out in written and not resumed and "--overwrite" not in words:
            words[:] = [*(word for word in words if word != "--resume"), "--overwrite"]
        written.add(out)
    return before + found


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_can_be_pasted_in_order(small_files, tmp_path, page):
    home = tmp_path / "home"
    shutil.copytree(small_files, home)
    if page == "docs/training.md":  # the labels name its cutouts
        shutil.rmtree(home / "cutouts")
        (home / "my-cutouts").rename(home / "cutouts")
    if page == "docs/survey-files.md":  # its commands make the cutouts
        shutil.rmtree(home / "cutouts")
    mode = "terminal" if page in ("README.md", "docs/quickstart.md", "docs/cutouts.md") else "pipe"
    commands = page_commands(page)
    assert len(commands) > len(PAGES[page])
    for done in walk(commands, home, mode):
        words, output = done["words"], done["output"]
        assert done["status"] == 0, f"{' '.join(words)}\n{output}"
        assert "Traceback" not in output
        if "--out" in words:
            assert (home / words[words.index("--out") + 1]).exists()
        if mode == "terminal":
            wide = [line for line in printed_lines(output) if len(line) > COLUMNS and "/" not in line]
            assert not wide, f"{' '.join(words)}\n" + "\n".join(wide)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/cutouts.md"])
def test_the_snippets_run(small_files, tmp_path, monkeypatch, page):
    shutil.copytree(small_files, tmp_path, dirs_exist_ok=True)
    pd.read_csv(tmp_path / "other-scores.csv").to_parquet(tmp_path / "scores.parquet")
    monkeypatch.chdir(tmp_path)
    names = {}
    snippets = snippets_of((ROOT / page).read_text(encoding="utf-8"))
    assert snippets
    for code in snippets:
        exec(compile(code, page, "exec"), names)
    assert page == "docs/cutouts.md" or len(names["table"]) == N


def test_the_links_of_the_readme_are_valid():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert len(links) > 20
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert not missing
    assert len(text.splitlines()) <= 130
