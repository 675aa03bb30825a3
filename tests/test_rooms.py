"""Tests of the imports between subpackages: each imports only subpackages below it."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gridlens"
PLUGIN = PACKAGE.parent / "plugins" / "gridlens_deep"

# The subpackages from the lowest up. Each may import itself and the listed subpackages; all may import the private
# modules at the top level.
ROOMS = {
    "pu": set(),
    "calibration": set(),
    "evaluation": {"calibration"},
    "grading": {"calibration", "evaluation"},
    "trees": set(),
    "lensing": set(),
    "cutouts": set(),
    "features": {"cutouts"},
    "sources": {"cutouts", "features"},
    "simulate": {"lensing", "cutouts"},
    "context": {"lensing", "cutouts"},
    "stacking": {"features", "pu", "calibration"},
    "members": {"cutouts", "features", "pu", "trees"},
    "testing": {"cutouts", "features", "stacking"},
    "detector": {"cutouts", "features", "pu", "calibration", "stacking", "members"},
    "models": {"cutouts", "features", "calibration", "stacking", "members", "detector"},
    "engine": {"cutouts", "features", "sources", "calibration", "evaluation", "detector", "models"},
    "training": {
        "pu",
        "cutouts",
        "features",
        "sources",
        "simulate",
        "context",
        "calibration",
        "evaluation",
        "grading",
        "stacking",
        "members",
        "detector",
        "models",
        "engine",
    },
    "explain": {"cutouts", "features", "sources", "stacking", "detector", "engine"},
    "reports": {
        "cutouts",
        "features",
        "calibration",
        "evaluation",
        "grading",
        "stacking",
        "detector",
        "engine",
        "explain",
    },
    "triage": {
        "cutouts",
        "features",
        "sources",
        "calibration",
        "evaluation",
        "grading",
        "detector",
        "models",
        "engine",
        "training",
        "explain",
        "reports",
    },
    "cli": {
        "cutouts",
        "features",
        "sources",
        "simulate",
        "context",
        "calibration",
        "grading",
        "stacking",
        "detector",
        "models",
        "engine",
        "training",
        "explain",
        "reports",
        "triage",
    },
}
# Subpackages within a subpackage, from the lowest up; "" represents the modules of the outer subpackage itself.
INNER_ROOMS = {
    "cutouts": {
        "": set(),
        "catalogs": {""},
        "images": {"", "catalogs"},
        "readers": {"", "catalogs", "images"},
    },
}
GENERAL = {"pu", "calibration", "evaluation", "grading", "trees"}


def files_of(room):
    return sorted((PACKAGE / room).rglob("*.py"))


def imports_of(path):
    """Yield every import of a file, including imports in functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_is_known():
    found = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert found == set(ROOMS)
    for room, inner in INNER_ROOMS.items():
        found = {path.name for path in (PACKAGE / room).iterdir() if path.is_dir() and path.name != "__pycache__"}
        assert found == set(inner) - {""}


def test_the_table_is_sorted_from_the_lowest_room_up():
    for table in (ROOMS, *INNER_ROOMS.values()):
        seen = set()
        for room, below in table.items():
            assert below <= seen, f"{room} imports a room above it"
            seen.add(room)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room):
    for path in files_of(room):
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "gridlens" and len(parts) > 1 and parts[1] in ROOMS:
                assert parts[1] in ROOMS[room] | {room}, f"{path} imports {name}"


@pytest.mark.parametrize("room", INNER_ROOMS)
def test_an_inner_room_imports_only_inner_rooms_below_it(room):
    inner = INNER_ROOMS[room]
    for path in files_of(room):
        place = path.relative_to(PACKAGE / room).parts
        mine = place[0] if len(place) > 1 else ""
        if place == ("__init__.py",):
            continue  # the __init__.py of the outer subpackage may import from all of them
        for name in imports_of(path):
            parts = name.split(".")
            if parts[:2] == ["gridlens", room]:
                other = parts[2] if len(parts) > 2 and parts[2] in inner else ""
                assert other in inner[mine] | {mine}, f"{path} imports {name}"


@pytest.mark.parametrize("room", sorted(GENERAL))
def test_the_general_rooms_import_no_astronomy_packages(room):
    for path in files_of(room):
        assert not [name for name in imports_of(path) if name.split(".")[0] in {"astropy", "lenstronomy", "numba"}]


def test_plugins_use_only_public_modules():
    files = sorted(PLUGIN.rglob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            if name.startswith("gridlens."):
                assert not any(part.startswith("_") for part in name.split(".")), f"{path} imports the private {name}"


def modules_of(folder):
    """Map the names of the modules in a package's folder to their files."""
    names = {}
    for path in sorted(folder.rglob("*.py")):
        parts = list(path.relative_to(folder.parent).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def find_cycle(graph):
    """Return the modules of one import cycle in order, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return None
        path.append(name)
        for other in sorted(graph[name]):
            if found := visit(other):
                return found
        path.pop()
        done.add(name)
        return None

    return next(filter(None, map(visit, sorted(graph))), None)


@pytest.mark.parametrize("folder", [PACKAGE, PLUGIN], ids=lambda folder: folder.name)
def test_there_are_no_import_cycles(folder):
    """Imports inside functions and under TYPE_CHECKING count as well: modules in a cycle belong in one file."""
    modules = modules_of(folder)
    graph = {}
    for module, path in modules.items():
        found = (name if name in modules else name.rpartition(".")[0] for name in imports_of(path))
        graph[module] = {name for name in found if name in modules and name != module}
    assert find_cycle(graph) is None


def test_find_cycle():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_compiled_code_uses_only_its_own_folder():
    """Compiled code only uses sources that are part of the digest in `gridlens._jit`, so that a cache is never stale.

    These sources are the files of a kernel's folder and `gridlens._constants`. The rule also holds for constants, and
    for the files that kernel files import from.
    """
    waiting = [
        path for path in PACKAGE.rglob("*.py") if any(name.startswith("gridlens._jit") for name in imports_of(path))
    ]
    assert {path.parent.name for path in waiting} >= {"features", "lensing", "simulate"}
    waiting.append(PACKAGE / "_constants.py")
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        folder = ".".join(path.parent.relative_to(PACKAGE.parent).parts) + "."
        for name in imports_of(path):
            if name.startswith(("gridlens._jit.", "gridlens._constants.")):
                continue
            if name.split(".")[0] in {"numpy", *sys.stdlib_module_names}:
                continue
            # The import may be of a name in a module (features._order.select) or of the module (features._order).
            source = path.parent / (name.removeprefix(folder).split(".")[0] + ".py")
            assert name.startswith(folder), f"{path} is part of the compiled code, but imports {name}"
            assert source.is_file(), (
                f"{path} is part of the compiled code, but does not import {name} from the file that defines it"
            )
            waiting.append(source)
