"""Tests of the public interface: the names at the top level, and the names that each subpackage exports."""

import importlib
import inspect
from pathlib import Path

import pytest

import gridlens

PACKAGE = Path(gridlens.__file__).parent
TOP = {
    "CutoutSet",
    "GridPatchExtractor",
    "LensDetector",
    "__version__",
    "errors",
    "evaluate_scores",
    "load_model",
    "score",
    "train",
}
DOORS = sorted(
    ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    for path in PACKAGE.rglob("__init__.py")
    if path.parent != PACKAGE and not any(part.startswith("_") for part in path.parent.parts[len(PACKAGE.parts) :])
)


def test_the_top_holds_what_users_type():
    assert set(gridlens.__all__) == TOP
    assert set(dir(gridlens)) == TOP
    for name in TOP:
        assert getattr(gridlens, name) is not None


@pytest.mark.parametrize("door", [*DOORS, "gridlens.errors"])
def test_a_door_lists_names_that_are_there_and_say_what_they_are(door):
    module = importlib.import_module(door)
    assert module.__doc__
    assert module.__all__, f"{door} lists no name"
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{door}.{name} has no docstring"
            assert not name.startswith("_")


def test_no_public_module_stands_beside_the_doors():
    """Each name has one public location: modules inside subpackages are private, except `gridlens.errors`."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if not path.name.startswith("_") and not any(part.startswith("_") for part in path.relative_to(PACKAGE).parts)
    }
    assert found == {"errors.py"}
