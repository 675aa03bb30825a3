"""Test that the snippets of the page on lensing run and give the numbers on the page."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "lensing.md"


def test_the_snippets_run():
    names = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
        for call, value in re.findall(r"^(\w+_einstein_radius\(.*?\))  # .*: ([\d.]+) arcsec$", code, re.M):
            assert eval(call, names) == pytest.approx(float(value), abs=0.05)
    assert names["theta_e"] > 14.0
    assert len(names["images"].x) % 2
    assert names["arcs"].sum() > 10.0
