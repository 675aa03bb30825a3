import json

import pandas as pd
import pytest
from click.testing import CliRunner

from gridlens.cli import main
from gridlens.cutouts import read_batches


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "command", ["score", "explain", "cutouts", "simulate", "train", "grades", "evaluate", "members", "info"]
)
def test_help_shows_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: gridlens {command}" in result.stdout


def test_version():
    assert run("--version").stdout.startswith("gridlens, version ")


def test_info_prints_the_card_and_the_manifest():
    assert run("info").stdout.startswith("# ")
    assert json.loads(run("info", "--json").stdout)["contract_version"] == 1
    failure = run("info", "--model", "nowhere")
    assert failure.exit_code == 1
    assert "nowhere" in failure.stderr


def test_members_are_listed():
    lines = run("members").stdout.splitlines()
    assert any(line.startswith("lightgbm") and "features" in line for line in lines)
    listed = json.loads(run("members", "--json").stdout)
    assert [member["name"] for member in listed] == sorted(member["name"] for member in listed)
    without_torch = [member for member in listed if member["name"] not in ("convnet", "embedding", "resnet", "vit")]
    assert all(member["status"] == "ok" for member in without_torch)


def test_simulate_writes_shards_and_truth(tmp_path):
    out = tmp_path / "training"
    result = run("simulate", out, "--n", 6, "--survey", "hsc", "--survey", "DES", "--seed", 3, "--jobs", 1)
    assert result.exit_code == 0, result.stderr
    truth = pd.read_csv(out / "truth.csv")
    assert set(truth["survey"]) <= {"hsc", "des"}
    ids = {name for batch in read_batches(out) for name in batch.cutouts.ids}
    assert ids == set(truth["id"])
    again = run("simulate", out, "--n", 6)
    assert again.exit_code == 1
    assert "is not empty" in again.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--n", 0],
        ["--n", 2, "--survey", "sdss9"],
        ["--n", 2, "--seed", -1],
        ["--n", 2, "--pixel-scale", 0.3],
        ["--n", 2, "--into", "x.fits"],
        ["--n", 2, "--into", "x.fits", "--survey", "kids", "--randomise"],
        ["--n", 2, "--into", "x.fits", "--survey", "kids", "--realistic"],
        [],
    ],
)
def test_simulate_refuses_wrong_usage(tmp_path, options):
    assert run("simulate", tmp_path / "training", *options).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_train_refuses_a_non_empty_folder_early(tmp_path):
    (tmp_path / "kept.txt").write_text("x")
    result = run("train", "--recipe", "quick", "--out", tmp_path)
    assert result.exit_code == 1
    assert "is not empty" in result.stderr
