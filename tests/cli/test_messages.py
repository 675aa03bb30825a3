"""Tests of messages: the library names parameters, and the command line replaces them by its options."""

import re
from pathlib import Path

import pytest

from gridlens.cli._messages import with_flags

PACKAGE = Path(__file__).parents[2] / "gridlens"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Resume it with resume=True.", "Resume it with --resume."),
        ("Work in this process with n_jobs=1.", "Work in this process with --jobs 1."),
        ('Name them with bands="grizy".', "Name them with --bands grizy."),
        ("name the survey with survey=NAME.", "name the survey with --survey NAME."),
        ("or raise the limit with max_size=PIXELS.", "or raise the limit with --max-size PIXELS."),
        ('columns={"ra": COLUMN, "dec": COLUMN}.', "--column ra=COLUMN --column dec=COLUMN."),
        ('images={"g": PATH}: a FITS file', "--image g=PATH: a FITS file"),
        ('zeropoint={"g": .., "r": ..}, AB', "--zeropoint g=..,r=.., AB"),
        ('rename={"al": "al-2"}; or rename={"al": "al"}.', "--rename al=al-2; or --rename al=al."),
        ("metadata=survey stays, as the_bands=3 does", "metadata=survey stays, as the_bands=3 does"),
        ("pixel_scale 0.5 stays", "pixel_scale 0.5 stays"),
    ],
)
def test_keyword_arguments_become_options(message, said):
    assert with_flags(message) == said


@pytest.mark.parametrize("room", ["cutouts", "engine", "grading", "sources"])
def test_library_messages_name_no_command_line_option(room):
    for path in sorted((PACKAGE / room).rglob("*.py")):
        flags = re.findall(r"[\s(\"'`]--[a-z][a-z-]+", path.read_text())
        assert not flags, f"{path} names {flags}"
