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
SUBPACKAGES = sorted(
    ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    for path in PACKAGE.rglob("__init__.py")
    if path.parent != PACKAGE and not any(part.startswith("_") for part in path.parent.parts[len(PACKAGE.parts) :])
)


def test_the_top_level_exports_the_public_names():
    assert set(gridlens.__all__) == TOP
    assert set(dir(gridlens)) == TOP
    for name in TOP:
        assert getattr(gridlens, name) is not None


@pytest.mark.parametrize("package", [*SUBPACKAGES, "gridlens.errors"])
def test_exported_names_exist_and_have_docstrings(package):
    module = importlib.import_module(package)
    assert module.__doc__
    assert module.__all__, f"{package} exports no names"
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{package}.{name} has no docstring"
            assert not name.startswith("_")


def test_only_errors_is_a_public_module():
    """Each name has one public location: modules inside subpackages are private, except `gridlens.errors`."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if not path.name.startswith("_") and not any(part.startswith("_") for part in path.relative_to(PACKAGE).parts)
    }
    assert found == {"errors.py"}
