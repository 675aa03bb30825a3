"""The model whose candidates were graded, its training data, and the model that a new one builds on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from gridlens.detector import LensDetector
from gridlens.models import PretrainedMember
from gridlens.models._pretrained import read_pretrained
from gridlens.training._recipe import Recipe

__all__ = ["OldModel", "read_old_model"]


class OldModel(NamedTuple):
    """A model to be improved with grades.

    Attributes
    ----------
    name : str
        Name or path given by the caller.
    detector : LensDetector
    digest : str
        SHA-256 of its manifest.
    base : str
        The model from which it was retrained with grades, or the model itself. The base was not trained on graded
        objects, so its weight in a new stack can be learned from them.
    recipe : Recipe or None
        Recipe of the simulated scenes that it or its base was trained on; None for other training data.
    """

    name: str
    detector: LensDetector
    digest: str
    base: str
    recipe: Recipe | None

    def member(self) -> PretrainedMember:
        """Return the base as a member of a new stack."""
        return PretrainedMember(self.base)


def read_old_model(name: str | os.PathLike[str]) -> OldModel:
    """Load a model to be improved with grades.

    Raises
    ------
    ModelError
        It cannot be loaded.
    GridlensError
        One of its members needs pixels.
    """
    contents = read_pretrained(name)
    training = contents.record["training"]
    graded = training.get("graded")
    base = os.fspath(name) if graded is None else str(graded["base"])
    recipe = (training if graded is None else graded).get("recipe")
    return OldModel(os.fspath(name), contents.detector, contents.digest, base, _recipe_of(recipe))


def _recipe_of(stored: Mapping[str, Any] | None) -> Recipe | None:
    """Return the recipe of a manifest; missing fields have their defaults, and unknown fields are ignored."""
    if stored is None:
        return None
    names = {field.name for field in fields(Recipe)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items() if name in names
    }
    return Recipe(**values)
