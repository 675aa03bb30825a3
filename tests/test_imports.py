"""Tests of the modules that are imported with the package, before it does any work."""

import json
import subprocess
import sys

import pytest

# Heavy or optional packages, which neither the package nor its help may import.
HEAVY = {
    "torch",
    "shap",
    "matplotlib",
    "jinja2",
    "lenstronomy",
    "dask",
    "lightgbm",
    "sklearn",
    "numba",
    "pandas",
    "astropy",
    "numpy",
}


def modules_after(code):
    script = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


@pytest.mark.parametrize(
    "code",
    [
        "import gridlens",
        "from gridlens.cli import main\nmain(['--help'], standalone_mode=False)",
        "from gridlens.cli import main\nmain(['score', '--help'], standalone_mode=False)",
        "from gridlens.cli import main\nmain(['explain', '--help'], standalone_mode=False)",
        "from gridlens.cli import main\nmain(['grades', 'import', '--help'], standalone_mode=False)",
    ],
)
def test_no_heavy_package_is_imported(code):
    found = modules_after(code)
    assert "gridlens" in found
    assert not found & HEAVY


@pytest.mark.slow
def test_describing_a_model_does_not_need_the_compiler():
    assert "numba" not in modules_after("from gridlens.cli import main\nmain(['info'], standalone_mode=False)")


def test_scoring_and_explaining_need_no_optional_package(tmp_path):
    code = (
        "import numpy as np, gridlens, gridlens.explain\n"
        "detector, cutouts = gridlens.load_model(), gridlens.CutoutSet(np.ones((1, 64, 64, 3)))\n"
        "table = detector.score_cutouts(cutouts)\n"
        "found = gridlens.explain.Explainer(detector).explain(cutouts)"
    )
    assert not modules_after(code) & {"torch", "shap", "matplotlib", "jinja2", "lenstronomy", "dask"}


def test_the_public_names_exist():
    import gridlens

    assert dir(gridlens) == sorted(gridlens.__all__)
    for name in gridlens.__all__:
        assert getattr(gridlens, name) is not None
    with pytest.raises(AttributeError, match="'LensFinder'"):
        _ = gridlens.LensFinder
