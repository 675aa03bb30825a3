"""Tests that the examples in docstrings run and print the documented output."""

import doctest
import importlib
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [path for home in (ROOT, ROOT / "plugins") for path in sorted(home.glob("gridlens*/**/*.py"))]
WITH_EXAMPLES = [path for path in FILES if ">>> " in path.read_text(encoding="utf-8")]


def test_examples_exist():
    assert len(WITH_EXAMPLES) > 50


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path, tmp_path, monkeypatch):
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "plugins":
        parts = parts[1:]
        if find_spec("torch") is None:
            pytest.skip("torch is not installed")
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert doctest.testmod(module).failed == 0
