"""Checks of the arguments of `train`, before the work begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gridlens.detector._trained import is_trained
from gridlens.errors import GridlensError
from gridlens.features._contract import METADATA_CHOICES
from gridlens.models import PretrainedMember
from gridlens.models._bundle import check_new_bundle
from gridlens.models._manifest import MANIFEST
from gridlens.models._pretrained import read_pretrained
from gridlens.sources import CacheSource, Source
from gridlens.stacking import build_member
from gridlens.training._examples import TrainingSet
from gridlens.training._labels import Labels

__all__ = [
    "check_calibration",
    "check_cutouts",
    "check_init_model",
    "check_injection",
    "check_members",
    "check_no_injection",
    "check_out",
    "check_parameters",
    "check_ranking",
    "check_unseen",
    "check_with_grades",
]


def check_parameters(
    source: Any,
    labels: Any,
    recipe: Any,
    positive_unlabelled: bool,
    groups: Any,
    pool: Any,
    init_model: Any,
    resume: bool,
    overwrite: bool,
    options: Mapping[str, Any],
) -> None:
    """Raise ValueError or GridlensError where parameters of `train` do not go together."""
    if (source is None) != (labels is None):
        raise ValueError("The parameters 'source' and 'labels' must be given together. Got only one of them.")
    if source is not None and recipe is not None:
        raise ValueError("The 'recipe' parameter must be None with 'source': a recipe trains on simulated scenes.")
    if source is None and recipe is None:
        raise ValueError(
            "The 'source' parameter, with 'labels', or the 'recipe' parameter must be given. Got neither; "
            'recipe="quick" trains on simulated scenes in minutes, recipe="default" in an hour and a half.'
        )
    if source is None and init_model is not None:
        raise ValueError(
            "The 'init_model' parameter must be None without 'source': the model may have been trained on the scenes "
            f"of the recipe. Got {init_model!r} instead."
        )
    if source is None and (groups is not None or positive_unlabelled):
        raise ValueError("The parameters 'groups' and 'positive_unlabelled' describe 'labels'. Got no labels.")
    if source is None and pool is None and options:
        raise ValueError(f"Options for reading need 'source' or 'pool'. Got {', '.join(options)} without them.")
    if resume and overwrite:
        raise GridlensError("The options resume=True and overwrite=True are mutually exclusive. Give only one of them.")


def check_injection(source: Any, recipe: Any, positive_unlabelled: bool, pool: Any, prevalence: float) -> None:
    """Raise ValueError if parameters of `train` cannot be combined with `inject_into`."""
    others = {"source": source, "recipe": recipe, "positive_unlabelled": positive_unlabelled or None, "pool": pool}
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise ValueError(
            f"The 'inject_into' parameter must be given without {given[0]!r}: its cutouts are the negatives and, with "
            f"injected arcs, the lenses. Got both; leave out {given[0]!r} or 'inject_into'."
        )
    if not 0.0 < prevalence < 0.5:
        raise ValueError(f"The 'prevalence' parameter must be above 0 and below 0.5. Got {prevalence!r} instead.")


def check_no_injection(known_lenses: Any, seeing: Any) -> None:
    """Raise ValueError for parameters of `train` that need `inject_into`."""
    for name, value in (("known_lenses", known_lenses), ("seeing", seeing)):
        if value is not None:
            raise ValueError(f"The {name!r} parameter must be None without 'inject_into'. Got {value!r} instead.")


def check_with_grades(grades: Any, source: Any, inject_into: Any, positive_unlabelled: bool, pool: Any) -> None:
    """Raise ValueError if parameters of `train` cannot be combined with `grades`."""
    if grades is not None and source is None and inject_into is None:
        raise ValueError(
            "The 'source' parameter must be the pool that contains the objects of 'grades'. Got None instead."
        )
    others = {"inject_into": inject_into, "positive_unlabelled": positive_unlabelled or None, "pool": pool}
    for name, value in others.items():
        if grades is not None and value is not None:
            raise ValueError(
                f"The 'grades' parameter must be given without {name!r}. Got both; leave out {name!r} or 'grades'."
            )


def check_cutouts(data: Source | None) -> None:
    """Raise GridlensError if the pool for injected arcs has no pixels."""
    if isinstance(data, CacheSource):
        raise GridlensError(
            "The 'inject_into' parameter must name cutouts: arcs are pasted into their pixels. Got feature caches "
            "instead; give the cutouts that they were measured from."
        )


def check_init_model(init_model: str | os.PathLike[str], metadata: str) -> PretrainedMember:
    """Return a model to build on as a member; raise GridlensError if it cannot be one.

    It must not use metadata that are masked for the new model.
    """
    seen = read_pretrained(init_model).detector.metadata
    hidden = set(METADATA_CHOICES[seen]) - set(METADATA_CHOICES[metadata])
    if hidden:
        raise GridlensError(
            f"The 'metadata' parameter must be {seen!r} for the model {os.fspath(init_model)!r}, which uses "
            f"{', '.join(sorted(hidden))}. Got {metadata!r} instead."
        )
    return PretrainedMember(os.fspath(init_model))


def check_unseen(members: Sequence[Any], taught: TrainingSet) -> None:
    """Raise GridlensError if a pretrained member was trained on rows of this training, which biases its weight."""
    built = [build_member(member) if isinstance(member, str) else member for member in members]
    for member in built:
        if not isinstance(member, PretrainedMember):
            continue
        known = read_pretrained(member.model).detector.training_rows_
        rows = [rows.store.measured().features for rows in (taught.learn, taught.calibrate) if rows is not None]
        seen = sum(int(is_trained(features, known).sum()) for features in rows)
        if seen:
            raise GridlensError(
                f"The model {member.model!r} must not have been trained on the same cutouts: its weight is learned "
                f"from its scores on them. Got {seen:,} of {sum(map(len, rows)):,} that were in its training data "
                "instead; leave these out, or build on another model."
            )


def check_members(members: Sequence[Any], data: Source | None, pool: Source | None) -> bool:
    """Return whether a member needs pixels; raise GridlensError if only features are available."""
    built = [build_member(member) if isinstance(member, str) else member for member in members]
    if data is None and any(getattr(member, "frozen", False) for member in built):
        raise GridlensError(
            "The 'members' parameter must not name 'pretrained' for simulated scenes, because the model may have been "
            "trained on them. Leave it out."
        )
    looking = [member.name for member in built if member.consumes == "cutouts"]
    if looking and isinstance(data, CacheSource):
        raise GridlensError(
            f"The 'members' parameter must name members on features if the data are feature caches. Got "
            f"{looking[0]!r} instead, which needs pixels; give the cutouts themselves."
        )
    if looking and pool is not None:
        raise GridlensError(
            f"The 'pool' parameter must be left out with members that need pixels, because a pool is kept as features. "
            f"Got {looking[0]!r} among the members."
        )
    return bool(looking)


def check_calibration(known: Labels, pool: Source | None) -> None:
    """Raise GridlensError if a pool is mined and no row is marked for calibration."""
    if pool is not None and not known.calibration.any():
        raise GridlensError(
            "A model that learns from a pool must be calibrated on separate rows. Got none; mark some with a 1 in the "
            "column 'calibration' of the table of labels."
        )


def check_out(out: Path, overwrite: bool) -> None:
    """Raise GridlensError unless a bundle can be written; `overwrite` replaces only bundles."""
    if not overwrite or not out.exists():
        check_new_bundle(out)
    elif out.is_dir() and not (out / MANIFEST).is_file() and any(out.iterdir()):
        raise GridlensError(f"The output folder {out} is not a model bundle, and is not replaced. Name another output.")


def check_ranking(path: Path, overwrite: bool) -> None:
    """Raise GridlensError if the file of the ranking exists and must not be replaced."""
    if path.exists() and not overwrite:
        raise GridlensError(
            f"The output file {path} exists. Name another output, or replace it and the bundle with overwrite=True."
        )
