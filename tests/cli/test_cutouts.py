"""Tests of `gridlens cutouts`, and of `gridlens score` with survey images."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from skies import DEC, RA, gnomonic, write_image

from gridlens.cli import main
from gridlens.cutouts import CutoutFlag, CutoutSet

SIZE = 700


@pytest.fixture
def survey(tmp_path):
    """Return a folder with tiles, two in each band, and a catalogue with invalid rows.

    A galaxy is in the middle of each tile.
    """
    rng = np.random.default_rng(5)
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    galaxy = 300.0 * np.exp(-np.hypot(x, y) / 12.0)
    (tmp_path / "tiles").mkdir()
    for k in range(2):
        for band, colour in zip("gri", (0.4, 1.0, 1.5), strict=True):
            image = (rng.normal(size=(SIZE, SIZE)) + colour * galaxy).astype(np.float32)
            wcs = gnomonic(0.2, SIZE, ra=RA + k * 0.1)
            write_image(tmp_path / "tiles" / f"t{k}_{band}.fits", image, wcs, MAGZERO=27.0)
    rows = [f"A,{RA},{DEC},40", f"B,{RA + 0.1},{DEC},50", f"far,{RA + 5},{DEC},1", f"lost,what,{DEC},1"]
    (tmp_path / "clusters.csv").write_text("\n".join(["Name,RA [deg],DEC [deg],RICH", *rows]))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def images_of(folder):
    return [word for band in "gri" for word in ("--image", f"{band}={folder / 'tiles'}")]


@pytest.mark.parametrize("kind", ["npz", "fits"])
def test_cutouts_of_a_catalogue(survey, kind):
    out = survey / "out"
    result = run(
        *("cutouts", "--catalog", survey / "clusters.csv", *images_of(survey), "--size", "64arcsec", "--npix", 128),
        *("--out", out, "--format", kind, "--column", "richness=RICH"),
    )
    assert result.exit_code == 0, result.output
    assert "2 cutouts, 2 rejected" in result.stderr
    assert "1 in 'RA [deg]' (row 4 'what')" in result.stderr
    table = pd.read_csv(out / "cutouts.csv", keep_default_na=False).set_index("id")
    assert table["status"].to_dict() == {"far": "rejected", "lost": "rejected", "A": "ok", "B": "ok"}
    assert table["flags"]["far"] == CutoutFlag.NO_IMAGE
    assert table["flags"]["lost"] == CutoutFlag.BAD_POSITION
    cutouts = CutoutSet.read(out)
    assert sorted(cutouts.ids) == ["A", "B"]
    assert np.unravel_index(np.argmax(cutouts.pixels[0, :, :, 2]), (128, 128)) in [
        (63, 63),
        (63, 64),
        (64, 63),
        (64, 64),
    ]
    if kind == "npz":
        assert sorted(cutouts.metadata["richness"]) == [40.0, 50.0]


def test_scores_from_images_match_those_of_cutouts(survey):
    arguments = ["--catalog", survey / "clusters.csv", *images_of(survey)]
    assert run("cutouts", *arguments, "--out", survey / "out").exit_code == 0
    direct = run("score", *arguments, "--out", survey / "direct.csv")
    assert direct.exit_code == 0, direct.output
    assert "2 scored, 2 rejected" in direct.stderr
    assert run("score", survey / "out", "--out", survey / "two.csv").exit_code == 0
    one, two = (pd.read_csv(survey / name).set_index("id") for name in ("direct.csv", "two.csv"))
    assert one["score"][["A", "B"]].tolist() == two["score"][["A", "B"]].tolist()
    assert one["message"]["far"] == "No image of g and r and i covers the position."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["score"], "PATHS or survey images with --image"),
        (["score", "x.npz", "--image", "g=y"], "Name either cutouts"),
        (["score", "--image", "g=y"], "--image needs a --catalog"),
        (["score", "--image", "g=y", "--catalog", "c.csv", "--bands", "gri"], "cannot be combined with --image"),
        (["cutouts", "--catalog", "c.csv", "--out", "o", "--image", "u=x"], "a band g, r or i and a path"),
        (["cutouts", "--catalog", "c.csv", "--out", "o", "--image", "x"], "a band g, r or i and a path"),
        (["cutouts", "--image", "g=x", "--out", "o"], "--image needs a --catalog"),
        (["cutouts", "--catalog", "c.csv", "--out", "o", "--survey", "panda"], "must be one of hsc"),
        (["cutouts", "--catalog", "c.csv", "--out", "o", "--column", "ra"], "such as richness=LAMBDA_CHISQ"),
        (["cutouts", "--out", "o"], "PATHS or survey images with --image"),
    ],
)
def test_usage(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"i": "nowhere.fits"}, "There is no image"),
        ({"i": None}, "The band i is missing"),
        ({"size": "wide"}, "must be an angle such as 64arcsec"),
        ({"catalog": "none.csv"}, "There is no catalogue"),
        ({"column": "ra=Ascension"}, "has no column 'Ascension'"),
    ],
)
def test_failures_have_a_clear_message(survey, change, words):
    images = dict.fromkeys("gri", survey / "tiles") | {k: v for k, v in change.items() if k in "gri"}
    arguments = [word for band, path in images.items() if path is not None for word in ("--image", f"{band}={path}")]
    if "column" in change:
        arguments += ["--column", change["column"]]
    out = survey / "out"
    catalog = survey / change.get("catalog", "clusters.csv")
    result = run("cutouts", "--catalog", catalog, *arguments, "--size", change.get("size", "64"), "--out", out)
    assert result.exit_code == 1
    assert words in result.stderr.splitlines()[-1]
    assert not out.exists()


def test_exchanged_columns_are_named(survey):
    result = run(
        *("cutouts", "--catalog", survey / "clusters.csv", *images_of(survey), "--out", survey / "out"),
        *("--column", "ra=DEC [deg]", "--column", "dec=RA [deg]"),
    )
    assert result.exit_code == 1
    assert "None of the 4 positions is on the images" in result.stderr


def test_a_folder_that_is_not_empty_is_left_alone(survey):
    result = run("cutouts", "--catalog", survey / "clusters.csv", *images_of(survey), "--out", survey / "tiles")
    assert result.exit_code == 1
    assert "not empty" in result.stderr
    assert len(list((survey / "tiles").iterdir())) == 6
