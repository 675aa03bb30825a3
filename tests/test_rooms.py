"""Who may import whom: data flow one way, and these are the doors."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gridlens"

# Private modules at the top serve every room; the rest may import what is named, and itself.
ROOMS = {
    "cutouts": set(),
    "features": {"cutouts"},
    "simulate": {"cutouts"},
    "pu": set(),
    "calibration": set(),
    "evaluation": {"calibration"},
    "stacking": {"features", "pu", "calibration"},
    "testing": {"cutouts", "features", "stacking"},
    "members": {"cutouts", "features", "pu"},
    "detector": {"cutouts", "features", "pu", "calibration", "stacking", "members"},
    "models": {"cutouts", "features", "simulate", "calibration", "evaluation", "stacking", "members", "detector"},
    "explain": {"cutouts", "features", "calibration", "evaluation", "stacking", "detector"},
    "engine": {"cutouts", "features", "calibration", "detector", "models"},
    "cli": {
        "cutouts",
        "features",
        "simulate",
        "calibration",
        "stacking",
        "detector",
        "models",
        "evaluation",
        "explain",
        "engine",
    },
}
GENERAL = {"pu", "calibration", "evaluation"}


def files_of(room):
    folder = PACKAGE / room
    return sorted(folder.rglob("*.py"))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_is_known():
    found = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert found == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room):
    for path in files_of(room):
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "gridlens" and len(parts) > 1 and parts[1] in ROOMS:
                assert parts[1] in ROOMS[room] | {room}, f"{path} imports {name}"


@pytest.mark.parametrize("room", sorted(GENERAL))
def test_the_general_rooms_know_no_astronomy(room):
    for path in files_of(room):
        assert not [name for name in imports_of(path) if name.split(".")[0] in {"astropy", "lenstronomy", "numba"}]


def test_private_modules_of_a_room_stay_in_it():
    for room in ROOMS:
        for path in files_of(room):
            for name in imports_of(path):
                parts = name.split(".")
                if parts[0] == "gridlens" and len(parts) > 2 and parts[1] in ROOMS and parts[1] != room:
                    assert not parts[2].startswith("_"), f"{path} reaches into {name}"


def test_plugins_use_what_is_public():
    files = sorted((PACKAGE.parent / "plugins").rglob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            if name.startswith("gridlens."):
                assert not any(part.startswith("_") for part in name.split(".")), f"{path} reaches into {name}"


def test_compiled_code_comes_from_its_own_folder():
    """`gridlens._jit` names the cache by the sources of a kernel's folder; code from elsewhere would go stale there.

    So would a constant, and what the files hold that kernel files import from.
    """
    waiting = [
        path for path in PACKAGE.rglob("*.py") if any(name.startswith("gridlens._jit") for name in imports_of(path))
    ]
    assert {path.parent.name for path in waiting} >= {"features", "simulate"}
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        folder = ".".join(path.parent.relative_to(PACKAGE.parent).parts) + "."
        for name in imports_of(path):
            if name.startswith("gridlens._jit.") or name.split(".")[0] in {"numpy", *sys.stdlib_module_names}:
                continue
            # features._order.select, or features._order
            source = path.parent / (name.removeprefix(folder).split(".")[0] + ".py")
            assert name.startswith(folder), f"{path} goes into compiled code and imports {name}"
            assert source.is_file(), f"{path} goes into compiled code and imports {name}, not from the file that has it"
            waiting.append(source)
