"""The Python blocks of the guide run in order on small data; the flags of all commands in the documentation exist."""

import dataclasses
import shutil
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from scenes import cluster
from walking import commands_of, snippets_of

import gridlens
from gridlens.cli import main
from gridlens.cutouts import CutoutSet, write_npz
from gridlens.features import FeatureCacheWriter, measure
from gridlens.training import RECIPES, _injected_rows, _injected_set

ROOT = Path(__file__).parents[2]
SCALE, SIDE, N = 0.5, 64, 220
IDS = [f"c{k:03d}" for k in range(N)]
LABELS = np.arange(N) % 2
QUICK = 'members=("linear(turns=False)",), n_jobs=1'
# Replacements in the blocks of each page: no downloaded weights, quick members, few scenes.
PAGES = {
    "command-line": [],
    "context": [],
    "deep": [
        ('CutoutSet.read("cutouts/")', 'CutoutSet.read("cutouts/")[:60]'),
        ('"18", pretrained="weights/resnet-18/", checkpoints="states/"', '"10", size=32, pixel_scale=1.0, epochs=1'),
        ('("lightgbm", "patch", network)', '("linear", network), cv=2, random_state=0'),
        ("with-network/", "with-resnet.zip"),
    ],
    "evaluation": [],
    "explain": [],
    "feature-contract": [],
    "other-skies": [],
    "own-sky": [
        ('survey="hsc", init_model="default", ', QUICK + ", seeing=0.8, "),
        ('survey="hsc")', "zeropoint=27.0)[:20]"),
    ],
    "positive-unlabelled": [],
    "probabilities": [],
    "realism": [("10_000", "8")],
    "survey-files": [],
    "training": [
        ('init_model="default"', QUICK),
        ("verbose=1", QUICK),
        ('("hsc", "des")', '("hsc",)'),
        ("recipe=recipe", "recipe=recipe, n_jobs=1"),
    ],
}
# A scheduler of Dask is tested with its engine; other pages in the test modules of their own.
ELSEWHERE = {"scale", "members", "lensing", "quickstart", "cutouts", "grading", "tutorials"}


def blocks(page):
    """Return the Python blocks of a page of the documentation."""
    return snippets_of((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the files that the blocks read."""
    folder = tmp_path_factory.mktemp("guide")
    shutil.copytree(ROOT / "examples" / "cutouts", folder / "examples" / "cutouts")
    rng = np.random.default_rng(0)
    pixels = np.stack([cluster(rng, SIDE, arc_px=18 if y else None, n_galaxies=6)[0] for y in LABELS])
    cutouts = CutoutSet(pixels.astype(np.float32), ids=IDS, pixel_scale=SCALE)
    (folder / "cutouts").mkdir()
    write_npz(folder / "cutouts" / "0.npz", cutouts)
    with FeatureCacheWriter(folder / "mine.parquet", "the guide") as writer:
        writer.add(measure(cutouts))
    positions = {"ra": np.linspace(10.0, 350.0, N), "dec": np.linspace(-60.0, 60.0, N)}
    clusters = pd.DataFrame({"id": IDS, **positions, "z": 0.4, "richness": 40.0})
    clusters.to_csv(folder / "clusters.csv", index=False)
    pd.DataFrame({"id": IDS, "label": LABELS}).to_csv(folder / "labels.csv", index=False)
    mine = {"name": "mine", "ra": 10.0, "dec": -60.0, "type": "cluster", "grade": "confident"}
    pd.DataFrame([mine]).to_csv(folder / "mine.csv", index=False)
    return folder


@pytest.fixture
def names(home):
    """Return the names that the blocks take from the reader."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2400, 4)) + 2.0 * (np.arange(2400) < 400)[:, None]
    cutouts = CutoutSet.read(home / "cutouts")
    score = np.where(LABELS, 0.6, 0.4) + rng.normal(scale=0.1, size=N)
    table = pd.DataFrame({"id": IDS, "ra": np.linspace(10.0, 350.0, N), "dec": np.linspace(-60.0, 60.0, N)})
    return {
        "X": X,
        "s": (np.arange(2400) < 40).astype(int),
        "cluster": np.arange(2400) // 2,
        "labels": LABELS,
        "names_of_known_lenses": IDS[1:80:2],
        "pd": pd,
        "gridlens": gridlens,
        "cutouts": cutouts,
        "reference": cutouts,
        "features": measure(cutouts).features,
        "scores": pd.DataFrame({"id": IDS, "score": score}),
        "truth": pd.DataFrame({"id": IDS, "label": LABELS, "cluster": IDS}),
        "clusters": pd.read_csv(home / "clusters.csv"),
        "table": table,
        "pixels": cutouts.pixels,
        "ra": table["ra"],
        "dec": table["dec"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore:.* are fewer than the:UserWarning")
def test_the_blocks_of_a_page_run_in_order(home, names, tmp_path, monkeypatch, page):
    for package in {"deep": ["torch"], "explain": ["shap", "matplotlib"], "evaluation": ["matplotlib"]}.get(page, []):
        pytest.importorskip(package)
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_injected_rows, "CONTROLLED", 20)
    monkeypatch.setattr(_injected_set, "_MOST_SCENES", 8)
    small = dataclasses.replace(RECIPES["quick"], n_train=64, n_calibrate=64, n_test=32)
    monkeypatch.setitem(RECIPES, "quick", small)
    if page == "deep":
        names |= {"labels": LABELS[:60], "cluster": IDS[:60]}
    for code in blocks(page):
        shutil.rmtree("my-model", ignore_errors=True)  # each block writes to it as if it stood alone
        for before, after in PAGES[page]:
            code = code.replace(before, after)
        exec(compile(code, f"docs/{page}.md", "exec"), names)


def test_pages_with_python_blocks_are_all_tested():
    pages = {path.stem for path in (ROOT / "docs").glob("*.md") if snippets_of(path.read_text(encoding="utf-8"))}
    assert pages == PAGES.keys() | ELSEWHERE


def test_the_flags_of_every_command_exist():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    commands = [words for page in pages for words in commands_of(page.read_text(encoding="utf-8"))]
    commands = [words[1:] for words in commands if words[0] == "gridlens"]
    assert len(commands) > 60
    for words in commands:
        command, words = main, [word for word in words if word not in ("-v", "-q")]
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            command = command.get_command(click.Context(command), words[0])
            assert command is not None, words
            words = words[1:]
        known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known | {"--help", "--version"}, words
