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
