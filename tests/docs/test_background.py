"""Tests that the background pages of the guide agree with the names, numbers and functions of the code."""

import re
from pathlib import Path

import pytest

import gridlens
from gridlens import calibration, features
from gridlens.features import _arcs, _circle, _components, _contract, _maps

DOCS = Path(__file__).parents[2] / "docs"
CONTRACT = (DOCS / "feature-contract.md").read_text(encoding="utf-8")
PROBABILITIES = (DOCS / "probabilities.md").read_text(encoding="utf-8")


def table(page, header):
    """Return the rows of the table whose first line is `header`, as lists of cells."""
    lines = page.split(f"| {header} |\n")[1].splitlines()[1:]
    rows = lines[: next(k for k, line in enumerate([*lines, ""]) if not line.startswith("|"))]
    return [[cell.strip().strip("`") for cell in row[1:-1].split("|")] for row in rows]


def test_the_patch_features_match_the_contract():
    rows = table(CONTRACT, "number | name | unit | group | definition")
    *single, flags = rows
    names = [name for _, name, *_ in single]
    assert [int(number) for number, *_ in single] == list(range(1, 26))
    assert flags[:2] == ["26-34", "position_0` ... `position_8"]
    assert [*names, *(f"position_{k}" for k in range(9))] == list(_contract.PATCH_FEATURE_NAMES)
    for _, name, unit, group, _ in single:
        assert (unit, group) == (_contract.PATCH_FEATURE_UNITS[name], _contract.PATCH_FEATURE_GROUPS[name])
    assert flags[3] == _contract.PATCH_FEATURE_GROUPS["position_8"]


def test_the_groups_and_the_metadata_match_the_contract():
    counts = {
        group: (per_patch, int(total)) for group, per_patch, total in table(CONTRACT, "group | per patch | in all")
    }
    assert {group: total for group, (_, total) in counts.items()} == {
        group: len(names) for group, names in features.FEATURE_GROUPS.items()
    }
    of_patch = list(_contract.PATCH_FEATURE_GROUPS.values())
    for group, (per_patch, _) in counts.items():
        assert (int(per_patch) if per_patch else 0) == of_patch.count(group)
    metadata = table(CONTRACT, "name | unit | value")
    assert [name for name, *_ in metadata] == list(_contract.METADATA_NAMES)
    assert {name: unit for name, unit, _ in metadata} == {
        name: features.FEATURE_UNITS[name] for name in _contract.METADATA_NAMES
    }
    choices = [choice.strip('"') for choice, _ in table(CONTRACT, "`metadata` | values in use")]
    assert choices == list(_contract.METADATA_CHOICES)


def test_the_figures_of_the_contract_match_the_code():
    for text in (
        f"one vector of {len(features.FEATURE_NAMES)} numbers",
        f"which are {_contract.N_IMAGE_FEATURES} image features",
        f"The contract is version {features.CONTRACT_VERSION}.",
        f"H = W of at least {_maps.MIN_SIZE}",
        f"{_maps.MIN_SCALE:g} to {_maps.MAX_SCALE:g} arcsec per pixel",
        f"more than {100 // _maps.ONE_BAD_IN} % of bad pixels",
        f"the {100 * _maps.SKY_FRACTION:g}th percentile",
        f"at least {_components.MIN_PIXELS} px above a threshold",
        f"{_circle.N_TRIPLETS} triplets",
        f"within {_circle.INLIER_PX:g} px of the circle",
        f"in radii, 0 to {_arcs.MAX_OFFSET:g}",
    ):
        assert text in CONTRACT


@pytest.mark.parametrize("page", [CONTRACT, PROBABILITIES], ids=["contract", "probabilities"])
def test_the_snippets_run(page):
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    for code in snippets:
        exec(compile(code, "background", "exec"), names)
    assert snippets


def test_the_functions_of_probabilities_exist():
    for name in re.findall(r"`gridlens\.calibration\.(\w+)`", PROBABILITIES):
        assert name in calibration.__all__
    for name in re.findall(r"`LensDetector\.(\w+)`", PROBABILITIES):
        assert hasattr(gridlens.LensDetector, name)
