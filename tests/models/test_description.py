import json
import shutil

import pytest
from bundles import restate, rewrite
from click.testing import CliRunner

from gridlens.cli import main
from gridlens.errors import ModelError
from gridlens.models import compare_models, describe_model, save_model


def run(*arguments):
    return CliRunner().invoke(main, ["info", *map(str, arguments)])


def test_a_model_and_its_zip_file_do_not_differ(saved, detector, tmp_path):
    save_model(detector, tmp_path / "model.zip", card="# A card\n", training={"seed": 1})
    assert compare_models(saved, tmp_path / "model.zip") == []
    assert run(saved, "--diff", tmp_path / "model.zip").stdout == "The two models are the same.\n"


def test_differences_are_listed(saved, bundle):
    restate(bundle, weights=[2.0], calibration_prevalence=0.25)
    rewrite(bundle, training={"seed": 2, "scenes": 7}, versions={"numpy": "1.0.0"})
    found = {row.what: (row.a, row.b) for row in compare_models(saved, bundle)}
    assert found["members.lightgbm.weight"] == (1.0, 2.0)
    assert found["calibration.prevalence"][1] == 0.25
    assert found["training.seed"] == (1, 2)
    assert found["training.scenes"] == (None, 7)
    assert found["versions.numpy"][1] == "1.0.0"
    assert "files.detector.json" in found
    assert "files.lightgbm/trees.txt" not in found


def test_the_table_is_aligned_and_json_contains_the_same(saved, bundle):
    rewrite(bundle, training={"seed": 2, "long": "x" * 200})
    lines = run(saved, "--diff", bundle).stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["training.seed", "1", "2"],
        ["training.long", "-", "x" * 41 + "..."],
    ]
    assert lines[1].index("1") == lines[2].index("-")
    listed = json.loads(run(saved, "--diff", bundle, "--json").stdout)
    assert listed[0] == {"what": "training.seed", "a": 1, "b": 2}


def test_a_model_is_described_by_its_argument_or_its_option(saved):
    assert run(saved).stdout == run("--model", saved).stdout == "# A card\n"
    assert json.loads(run(saved, "--json").stdout)["training"] == {"seed": 1}
    assert run(saved, "--model", saved).exit_code == 2


def test_a_card_that_was_tampered_with_is_not_printed(bundle):
    (bundle / "card.md").write_text("the best")
    result = run(bundle)
    assert result.exit_code == 1
    assert "damaged" in result.stderr


def test_control_characters_of_a_card_are_removed(detector, tmp_path):
    save_model(detector, tmp_path / "model", card="# A\x1b[2Jcard\n", training={})
    assert describe_model(tmp_path / "model").card == "# A[2Jcard\n"


def test_members_need_not_be_installed(bundle):
    shutil.move(bundle / "lightgbm", bundle / "arcnet")
    restate(bundle, members=["arcnet"])
    rewrite(bundle, sources={"arcnet": "gridlens-arcnet 1.2"})
    assert describe_model(bundle).detector["members"]["arcnet"]["source"] == "gridlens-arcnet 1.2"


def test_a_missing_model_has_a_clear_message(tmp_path):
    with pytest.raises(ModelError, match="not a model bundle"):
        describe_model(tmp_path)
