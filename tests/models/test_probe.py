"""The process that a stranger's bundle is loaded in first."""

import os
import sys

import pytest
from bundles import vouch

from gridlens import load_model
from gridlens.errors import ModelError
from gridlens.models._probe import _import_path

pytestmark = pytest.mark.usefixtures("nothing_proven")

CODE = "open({canary!r}, 'w').write('run')\n"


def test_a_file_that_ends_the_process_ends_another_one(bundle, monkeypatch):
    """As LightGBM's parser does with text that nobody checked."""
    canary = bundle.parent / "sitecustomize.py"
    canary.write_text("import gridlens.members._trees as t, os\nt.checked_booster = lambda *_: os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(canary.parent), *filter(os.path.isabs, sys.path)]))
    with pytest.raises(ModelError, match=r"process of its own was ended by it, by SIGABRT.*train the model again"):
        load_model(bundle)


def test_what_fails_there_is_said_here(bundle):
    path = bundle / "lightgbm" / "trees.txt"
    path.write_bytes(path.read_bytes()[:3000])
    vouch(bundle)
    with pytest.raises(
        ModelError, match=r"'lightgbm' of the model.*text of the trees is damaged.*model again\.$"
    ) as said:
        load_model(bundle)
    assert str(said.value).count("train the model again") == 1


def test_no_code_of_the_bundle_is_run(bundle, tmp_path, monkeypatch):
    """Modules that the other process imports lie in the bundle, listed, and the bundle is the working folder."""
    canary = tmp_path / "canary"
    for name in ("numpy", "lightgbm", "json", "sitecustomize", "gridlens"):
        (bundle / f"{name}.py").write_text(CODE.format(canary=str(canary)))
    vouch(bundle)
    monkeypatch.chdir(bundle)
    for entry in ("", str(bundle), str(bundle / "lightgbm")):
        monkeypatch.syspath_prepend(entry)
    assert load_model(bundle).member_names_ == ["lightgbm"]
    assert not canary.exists()
    assert not [path for path in _import_path(bundle) if not os.path.isabs(path) or str(bundle) in path]


def test_the_time_is_limited(bundle, monkeypatch):
    monkeypatch.setattr("gridlens.models._probe._SECONDS", 0.05)
    with pytest.raises(ModelError, match=r"not done after 0.05 seconds.*train the model again"):
        load_model(bundle)


@pytest.mark.skipif(sys.platform != "linux", reason="it is limited there")
def test_the_processor_time_is_limited(bundle, monkeypatch):
    monkeypatch.setattr("gridlens.models._probe._PROCESSOR_SECONDS", 1)
    with pytest.raises(ModelError, match=r"process of its own was ended by it, by SIGXCPU"):
        load_model(bundle)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited there")
def test_the_memory_is_limited(bundle, monkeypatch):
    monkeypatch.setattr("gridlens.models._probe._MEMORY", 16 << 20)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(bundle)
