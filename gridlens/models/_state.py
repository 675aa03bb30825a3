"""`detector.json`: the state of a fitted detector without its members, written, upgraded, checked and read."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration import IsotonicCalibrator
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError, ModelError
from gridlens.features._contract import METADATA_CHOICES
from gridlens.models._manifest import BUNDLE_VERSION, DETECTOR, TRAINING_ROWS, parse_json
from gridlens.stacking import AveragedMember, MemberStack
from gridlens.stacking._registry import member_class

__all__ = ["UPGRADES", "DetectorState", "build_detector", "checked_state", "member_classes", "read_state", "state_of"]

# By the bundle version that each starts from: what makes the state of the next one. A change that older readers would
# misread raises BUNDLE_VERSION and adds a function here; what they can do without gets a default in `checked_state`.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Version 2 stores trees as arrays, in the members' folders.
    1: lambda state: state,
}

# Folders are called after members.
_MEMBER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
# More than the log-odds of a member, see `member_log_odds`.
_MOST_LOG_ODDS = 100.0
_AGAIN = "Get or train the model again."


class DetectorState(NamedTuple):
    """What `detector.json` holds, checked."""

    metadata: str
    members: tuple[str, ...]
    averaged: tuple[bool, ...]
    """whether a member is the average of the members of the folds"""
    weights: np.ndarray
    intercept: float
    calibrator: IsotonicCalibrator
    calibration_prevalence: float
    training_prevalence: float


def state_of(detector: LensDetector) -> dict[str, Any]:
    """Return the state of a fitted detector, ready for JSON."""
    for name in detector.member_names_:
        if not _MEMBER_NAME.fullmatch(name):
            raise ModelError(
                f"The member {name!r} cannot be saved: its folder is called after it, and that takes a name of up to "
                "64 letters, digits and -_.+ alone."
            )
    return {
        "metadata": detector.metadata,
        "members": list(detector.member_names_),
        "averaged": [isinstance(member, AveragedMember) for member in detector.stack_.members_],
        "weights": detector.stack_.weights_.tolist(),
        "intercept": float(detector.stack_.intercept_),
        "calibrator": detector.calibrator_.to_dict(),
        "calibration_prevalence": detector.calibration_prevalence_,
        "training_prevalence": detector.training_prevalence_,
    }


def read_state(folder: Path, manifest: Mapping[str, Any], where: str) -> DetectorState:
    """Return the state of the bundle in `folder`, whose files were checked before."""
    what = f"{DETECTOR} in {where}"
    state = parse_json((folder / DETECTOR).read_bytes(), what)
    try:
        for number in range(manifest["bundle_version"], BUNDLE_VERSION):
            state = UPGRADES[number](state)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise _damaged(what, f"it cannot be upgraded to version {BUNDLE_VERSION}: {exc}") from exc
    return checked_state(state, what)


def checked_state(state: Mapping[str, Any], what: str) -> DetectorState:
    """Check `state` field by field; raise ModelError at the first that is missing or invalid."""
    metadata = state.get("metadata")
    if not isinstance(metadata, str) or metadata not in METADATA_CHOICES:
        raise _damaged(what, f"metadata must be one of {', '.join(METADATA_CHOICES)}, not {_shown(metadata)}")
    members = state.get("members")
    if not isinstance(members, list) or not members:
        raise _damaged(what, f"members must be a list of names, not {_shown(members)}")
    for name in members:
        if not isinstance(name, str) or not _MEMBER_NAME.fullmatch(name):
            raise _damaged(what, f"members must be names, not {_shown(name)}")
    if len({name.casefold() for name in members}) < len(members):
        raise _damaged(what, "members must differ in their names")
    # Bundles that do not say hold members that were fitted on all rows.
    averaged = state.get("averaged", [False] * len(members))
    if not isinstance(averaged, list) or [type(value) for value in averaged] != [bool] * len(members):
        raise _damaged(what, f"averaged must be true or false for each of {len(members)} members")
    weights = state.get("weights")
    if not isinstance(weights, list) or len(weights) != len(members):
        raise _damaged(what, f"weights must be a number for each of {len(members)} members, not {_shown(weights)}")
    stack = np.array([_number(weight, "weights", what) for weight in weights], dtype=np.float64)
    with np.errstate(over="ignore"):
        largest_log_odds = _MOST_LOG_ODDS * np.abs(stack).sum()
    if not np.isfinite(largest_log_odds):
        raise _damaged(what, f"weights are too large, {_shown(weights)}")
    try:
        calibrator = IsotonicCalibrator.from_dict(state["calibrator"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
        raise _damaged(what, f"its calibrator is invalid: {_shown(str(exc), 200)}") from exc
    return DetectorState(
        metadata,
        tuple(members),
        tuple(averaged),
        stack,
        _number(state.get("intercept"), "intercept", what),
        calibrator,
        _fraction(state.get("calibration_prevalence"), "calibration_prevalence", what),
        # Bundles that do not say were all trained on as many scenes with a lens as without.
        _fraction(state.get("training_prevalence", 0.5), "training_prevalence", what),
    )


def member_classes(state: DetectorState, manifest: Mapping[str, Any], where: str) -> list[Any]:
    """Return the classes of the members; raise ModelError where one is not installed, and name its plugin."""
    classes = []
    for name in state.members:
        try:
            classes.append(member_class(name))
        except GridlensError as exc:
            source = manifest.get("sources", {}).get(name)
            plugin = isinstance(source, str) and source != "gridlens"
            came = f"It came from {_shown(source)}; install that. " if plugin else ""
            raise ModelError(
                f"The model in {where} has the member {name!r}, which cannot be used here. {came}{exc} "
                "The model 'default' needs only gridlens itself."
            ) from exc
    return classes


def build_detector(folder: Path, state: DetectorState, classes: list[Any], where: str) -> LensDetector:
    """Build the fitted detector of the bundle in `folder`."""
    members = []
    for name, averaged, kind in zip(state.members, state.averaged, classes, strict=True):
        place = folder / name
        if AveragedMember.is_saved_in(place) != averaged:
            raise _damaged(f"{DETECTOR} in {where}", f"it is wrong about whether {name!r} is averaged over folds")
        try:
            members.append(AveragedMember.load(place, kind) if averaged else kind.load(place))
        # Members, those of plugins above all, may raise anything for files that are not their own.
        except Exception as exc:
            said = f"{type(exc).__name__}: {_shown(str(exc), 200).rstrip('.')}"
            raise ModelError(f"The member {name!r} of the model in {where} cannot be read ({said}). {_AGAIN}") from exc
    detector = LensDetector(members=state.members, metadata=state.metadata)
    stack = MemberStack(())
    stack.members_ = members
    stack.weights_ = state.weights
    stack.intercept_ = state.intercept
    detector.stack_ = stack
    detector.member_names_ = list(state.members)
    detector.calibrator_ = state.calibrator
    detector.calibration_prevalence_ = state.calibration_prevalence
    detector.training_prevalence_ = state.training_prevalence
    detector.training_rows_ = _training_rows(folder / TRAINING_ROWS, where)
    detector.classes_ = np.array([0, 1])
    return detector


def _training_rows(path: Path, where: str) -> np.ndarray:
    """Return the hashes of the rows that a model learned from; none where a bundle does not hold them."""
    if not path.is_file():
        return np.empty(0, dtype=np.uint64)
    try:
        hashes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as exc:
        raise _damaged(f"{TRAINING_ROWS} in {where}", _shown(str(exc), 200)) from exc
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise _damaged(f"{TRAINING_ROWS} in {where}", "it must hold one row of uint64")
    return np.unique(hashes)


def _number(value: Any, name: str, what: str) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise _damaged(what, f"{name} must be finite, not {_shown(value)}")
    return number


def _fraction(value: Any, name: str, what: str) -> float:
    fraction = _number(value, name, what)
    if not 0.0 < fraction < 1.0:
        raise _damaged(what, f"{name} must lie between 0 and 1, not be {fraction:g}")
    return fraction


def _shown(value: Any, most: int = 60) -> str:
    """Return `value` on one short line."""
    try:
        text = " ".join((value if isinstance(value, str) else repr(value)).split())
    except ValueError:  # an integer of over 4300 digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else text[:most] + "..."


def _damaged(what: str, why: str) -> ModelError:
    return ModelError(f"The {what} is damaged ({why}). {_AGAIN}")
