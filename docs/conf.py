"""Configuration of the documentation site: ``sphinx-build -W -b html docs site`` builds it."""

import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version as installed
from pathlib import Path

project = "gridlens"
author = "the gridlens developers"
copyright = f"2026, {author}"
release = version = installed("gridlens")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_design",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
templates_path = ["_templates"]
root_doc = "index"

html_theme = "furo"
html_title = f"gridlens {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
# Headings of three levels have anchors, as on the page of a repository.
myst_heading_anchors = 3

autosummary_generate = True
# The doors of the rooms list names that private modules define.
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Members are listed by the pages of their classes.
numpydoc_show_class_members = False
numpydoc_xref_param_type = False


def _skip_member(app, what, name, obj, skip, options):
    """Leave out methods of scikit-learn that each estimator inherits, whose text refers to its own pages."""
    inherited = ("get_metadata_routing", "get_params", "set_output", "set_params")
    return True if name in inherited or (name.startswith("set_") and name.endswith("_request")) else skip


def _write_samples(app, exception):
    """Write the sample reports of the site, samples/evaluation/ and samples/explanation/, with the command line."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir) / "samples"
    shutil.rmtree(out, ignore_errors=True)
    # The pages state the paths of their inputs, so these are short and relative.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cutouts").symlink_to(Path(app.srcdir).parent / "examples" / "cutouts")
        for command in (
            ["simulate", "scenes", "--n", "300", "--seed", "77"],
            ["score", "scenes", "--out", "scores.csv"],
            ["evaluate", "scores.csv", "scenes/truth.csv", "--prevalence", "1e-3", "--out", out / "evaluation"],
            ["score", "cutouts", "--out", "examples.csv"],
            ["explain", "examples.csv", "--out", out / "explanation"],
        ):
            subprocess.run([sys.executable, "-m", "gridlens", "-q", *map(str, command)], cwd=folder, check=True)


def setup(app):
    """Connect the hooks."""
    app.connect("autodoc-skip-member", _skip_member)
    app.connect("build-finished", _write_samples)
