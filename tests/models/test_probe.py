"""Tests of the process in which a bundle with a plugin's member is loaded first."""

import importlib
import os
import shutil
import sys

import pytest
from bundles import rewrite, vouch

from gridlens import LensDetector, load_model
from gridlens.errors import ModelError
from gridlens.models import save_model
from gridlens.models._probe import _import_path

CODE = "open({canary!r}, 'w').write('run')\n"
# The content of its file makes the member abort, loop or fill the memory, as malformed files do to parsers.
TOY = """
import os
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Toy(ClassifierMixin, BaseEstimator):
    "A toy."
    name, consumes = "toy", "features"

    def fit(self, X, y, sample_weight=None, groups=None):
        self.fitted_ = True
        return self

    def predict_proba(self, X):
        p = np.where(np.isfinite(X).any(axis=1), 0.5 + 0.1 * np.tanh(np.nan_to_num(X[:, 0])), np.nan)
        return np.column_stack([1.0 - p, p])

    def save(self, folder):
        (folder / "toy.txt").write_text("nothing")

    @classmethod
    def load(cls, folder):
        said = (folder / "toy.txt").read_text()
        if said == "abort":
            os.abort()
        elif said == "loop":
            while True:
                pass
        elif said == "memory":
            np.ones(2**33)
        elif said != "nothing":
            raise ValueError(said)
        return cls().fit(None, None)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Create a folder that holds a plugin, as an installer does."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "toys.py").write_text(TOY)
    info = folder / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gridlens.members]\ntoy = toys:Toy\n")
    return folder


@pytest.fixture
def plugin(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    monkeypatch.setattr("gridlens.models._bundle._PROVEN", set())
    yield importlib.import_module("toys")
    sys.modules.pop("toys")


@pytest.fixture
def bundle(plugin, training_rows, calibration_rows, tmp_path):
    detector = LensDetector(members=(plugin.Toy(),), cv=2).fit(*training_rows, calibration=calibration_rows)
    save_model(detector, tmp_path / "bundle", card="", training={})
    return tmp_path / "bundle"


def set_behaviour(bundle, what):
    (bundle / "toy" / "toy.txt").write_text(what)
    vouch(bundle)


@pytest.mark.slow
def test_a_file_that_ends_the_process_ends_only_a_separate_one(bundle):
    set_behaviour(bundle, "abort")
    with pytest.raises(ModelError, match=r"it ended a separate process by SIGABRT.*train the model again"):
        load_model(bundle)


@pytest.mark.slow
def test_errors_of_the_separate_process_are_reported(bundle):
    set_behaviour(bundle, "no numbers")
    with pytest.raises(ModelError, match=r"'toy' of the model.*ValueError: no numbers.*model again\.$") as said:
        load_model(bundle)
    assert str(said.value).count("train the model again") == 1


@pytest.mark.slow
def test_a_bundle_is_not_probed_again_until_it_changes(bundle, tmp_path, monkeypatch):
    load_model(bundle)
    monkeypatch.setattr("gridlens.models._bundle.probe", lambda *_: pytest.fail("tried again"))
    load_model(shutil.copytree(bundle, tmp_path / "copy"))
    rewrite(bundle, training={"seed": 2})
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        load_model(bundle)


def test_bundles_of_built_in_members_are_not_probed(saved, plugin, monkeypatch):
    monkeypatch.setattr("gridlens.models._bundle.probe", lambda *_: pytest.fail("tried"))
    assert load_model(saved).member_names_ == ["lightgbm"]


@pytest.mark.slow
def test_code_of_the_bundle_is_not_run(bundle, tmp_path, monkeypatch):
    """The bundle lists modules that the other process imports, and is the working folder."""
    canary = tmp_path / "canary"
    for name in ("numpy", "json", "sitecustomize", "gridlens", "toys"):
        (bundle / f"{name}.py").write_text(CODE.format(canary=str(canary)))
    vouch(bundle)
    monkeypatch.chdir(bundle)
    for entry in ("", str(bundle), str(bundle / "toy")):
        monkeypatch.syspath_prepend(entry)
    assert load_model(bundle).member_names_ == ["toy"]
    assert not canary.exists()
    assert not [path for path in _import_path(bundle) if not os.path.isabs(path) or str(bundle) in path]


def test_the_time_is_limited(bundle, monkeypatch):
    monkeypatch.setattr("gridlens.models._probe._SECONDS", 0.05)
    with pytest.raises(ModelError, match=r"not finished after 0.05 seconds.*train the model again"):
        load_model(bundle)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processor time is limited only on Linux")
def test_the_processor_time_is_limited(bundle, monkeypatch):
    set_behaviour(bundle, "loop")
    monkeypatch.setattr("gridlens.models._probe._PROCESSOR_SECONDS", 3)
    with pytest.raises(ModelError, match=r"it ended a separate process by SIGXCPU"):
        load_model(bundle)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited only on Linux")
def test_the_memory_is_limited(bundle):
    set_behaviour(bundle, "memory")
    with pytest.raises(ModelError, match=r"cannot be loaded: .*(MemoryError|Unable to allocate)"):
        load_model(bundle)
