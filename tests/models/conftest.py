import shutil

import pytest

from gridlens.models import save_model


@pytest.fixture(scope="session")
def saved(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bundle"
    save_model(detector, folder, card="# A card\n", training={"seed": 1})
    return folder


@pytest.fixture
def bundle(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "bundle")


@pytest.fixture
def no_probe(monkeypatch):
    """What another process would find is left out: it takes seconds."""
    monkeypatch.setattr("gridlens.models._bundle.probe", lambda *_: None)


@pytest.fixture
def nothing_proven(monkeypatch):
    """No bundle was loaded in this process yet."""
    monkeypatch.setattr("gridlens.models._bundle._PROVEN", set())
