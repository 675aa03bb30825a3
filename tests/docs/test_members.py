"""Test that the example member of the documentation meets the contract of members."""

import re
from pathlib import Path

import numpy as np

from gridlens import LensDetector
from gridlens.testing import check_member

PAGE = Path(__file__).parents[2] / "docs" / "members.md"


def test_the_example_passes_check_member_and_works_in_a_stack(training_rows, calibration_rows):
    (code,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {"__name__": "arc_bayes"}
    exec(compile(code, str(PAGE), "exec"), names)
    assert len([line for line in code.splitlines() if line.strip()]) <= 45
    check_member(names["ArcBayes"]())
    detector = LensDetector(members=(names["ArcBayes"](), "linear")).fit(*training_rows, calibration=calibration_rows)
    assert detector.member_names_ == ["arc-bayes", "linear"]
    assert np.isfinite(detector.predict_proba(calibration_rows[0])).all()
