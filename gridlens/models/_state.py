"""`detector.json`: the state of a fitted detector without its members, and its upgrades and validation."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridlens.calibration import IsotonicCalibrator
from gridlens.calibration._recalibrate import ClassScores
from gridlens.detector import LensDetector
from gridlens.detector._novelty import check_novelty
from gridlens.detector._recalibrate import Recalibration
from gridlens.detector._screen import SCREEN_ROWS as SCREEN_DTYPE
from gridlens.detector._screen import Screen
from gridlens.errors import GridlensError, ModelError
from gridlens.features._contract import METADATA_CHOICES
from gridlens.members import Novelty
from gridlens.models._manifest import BUNDLE_VERSION, DETECTOR, NOVELTY, SCREEN_ROWS, TRAINING_ROWS, parse_json
from gridlens.stacking import AveragedMember, MemberStack
from gridlens.stacking._registry import member_class

__all__ = ["UPGRADES", "DetectorState", "build_detector", "checked_state", "member_classes", "read_state", "state_of"]

# Functions that upgrade a state to the next bundle version, by the version that they start from. A change that older
# readers would misread increments BUNDLE_VERSION and adds a function here; optional fields get a default in
# `checked_state`.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    # Version 2 stores trees as arrays, in the folders of the members.
    1: lambda state: state,
}

# The names of folders are those of members.
_MEMBER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
# Above the largest log-odds of a member, see `member_log_odds`.
_MOST_LOG_ODDS = 100.0
_AGAIN = "Get or train the model again."


class StackState(NamedTuple):
    """Weights of a stack."""

    members: tuple[str, ...]
    weights: np.ndarray
    intercept: float


class DetectorState(NamedTuple):
    """Validated contents of `detector.json`."""

    metadata: str
    members: tuple[str, ...]
    averaged: tuple[bool, ...]
    """whether each member is the average of the members of the folds"""
    weights: np.ndarray
    intercept: float
    calibrator: IsotonicCalibrator
    calibration_prevalence: float
    training_prevalence: float
    classic: StackState | None
    """stack of the members that are not screened; None for a model that cannot screen"""
    class_scores: ClassScores | None
    """scores of the calibration rows by class; None for a model that cannot be recalibrated"""
    recalibration: Recalibration | None
    """None for a model that was not recalibrated"""


def state_of(detector: LensDetector) -> dict[str, Any]:
    """Return the state of a fitted detector as JSON values."""
    for name in detector.member_names_:
        if not _MEMBER_NAME.fullmatch(name):
            raise ModelError(
                f"The member {name!r} cannot be saved: as the name of a folder, it must consist of up to 64 "
                "letters, digits and -_.+ only."
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
        **({} if detector.screen_ is None else {"classic": _classic_state(detector.screen_.classic)}),
        **({} if detector.class_scores_ is None else {"class_scores": detector.class_scores_.to_dict()}),
        **({} if detector.recalibration_ is None else {"recalibration": _recalibration_state(detector.recalibration_)}),
    }


def _recalibration_state(recalibration: Recalibration) -> dict[str, Any]:
    # JSON does not support NaN.
    ratio = None if math.isnan(recalibration.ratio) else recalibration.ratio
    return {"n_pool": recalibration.n_pool, "prevalence": recalibration.prevalence, "ratio": ratio}


def _classic_state(stack: MemberStack) -> dict[str, Any]:
    return {
        "members": [member.name for member in stack.members_],
        "weights": stack.weights_.tolist(),
        "intercept": float(stack.intercept_),
    }


def read_state(folder: Path, manifest: Mapping[str, Any], where: str) -> DetectorState:
    """Return the state of the bundle in `folder`, whose files are already verified."""
    what = f"{DETECTOR} in {where}"
    state = parse_json((folder / DETECTOR).read_bytes(), what)
    try:
        for number in range(manifest["bundle_version"], BUNDLE_VERSION):
            state = UPGRADES[number](state)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise _damaged(what, f"it cannot be upgraded to version {BUNDLE_VERSION}: {exc}") from exc
    return checked_state(state, what)


def checked_state(state: Mapping[str, Any], what: str) -> DetectorState:
    """Validate `state` field by field; raise ModelError at the first missing or invalid field."""
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
        raise _damaged(what, "members must have different names")
    # In bundles without this field, members were fitted to all rows.
    averaged = state.get("averaged", [False] * len(members))
    if not isinstance(averaged, list) or [type(value) for value in averaged] != [bool] * len(members):
        raise _damaged(what, f"averaged must be true or false for each of {len(members)} members")
    stack = _checked_weights(state, tuple(members), what)
    try:
        calibrator = IsotonicCalibrator.from_dict(state["calibrator"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
        raise _damaged(what, f"its calibrator is invalid: {_shown(str(exc), 200)}") from exc
    return DetectorState(
        metadata,
        stack.members,
        tuple(averaged),
        stack.weights,
        stack.intercept,
        calibrator,
        _fraction(state.get("calibration_prevalence"), "calibration_prevalence", what),
        # In bundles without this field, half of the training scenes have a lens.
        _fraction(state.get("training_prevalence", 0.5), "training_prevalence", what),
        _checked_classic(state.get("classic"), stack.members, what),
        _checked_class_scores(state.get("class_scores"), what),
        _checked_recalibration(state.get("recalibration"), what),
    )


def _checked_weights(state: Mapping[str, Any], members: tuple[str, ...], what: str) -> StackState:
    weights = state.get("weights")
    if not isinstance(weights, list) or len(weights) != len(members):
        raise _damaged(what, f"weights must be a number for each of {len(members)} members, not {_shown(weights)}")
    numbers = np.array([_number(weight, "weights", what) for weight in weights], dtype=np.float64)
    with np.errstate(over="ignore"):
        largest_log_odds = _MOST_LOG_ODDS * np.abs(numbers).sum()
    if not np.isfinite(largest_log_odds):
        raise _damaged(what, f"weights are too large, {_shown(weights)}")
    return StackState(members, numbers, _number(state.get("intercept"), "intercept", what))


def _checked_classic(classic: Any, members: tuple[str, ...], what: str) -> StackState | None:
    """Validate the classic stack of a model; models without one cannot screen."""
    if classic is None:
        return None
    names = classic.get("members") if isinstance(classic, dict) else None
    # It must contain some of the members in their order, but not all of them.
    if (
        not isinstance(names, list)
        or not names
        or len(names) == len(members)
        or names != [name for name in members if name in names]
    ):
        raise _damaged(what, f"classic must name some of its members, not {_shown(names)}")
    return _checked_weights(classic, tuple(names), what)


def _checked_class_scores(scores: Any, what: str) -> ClassScores | None:
    if scores is None:
        return None
    try:
        return ClassScores.from_dict(scores)
    except (ValueError, TypeError, OverflowError) as exc:
        raise _damaged(what, f"its class_scores are invalid: {_shown(str(exc), 200)}") from exc


def _checked_recalibration(said: Any, what: str) -> Recalibration | None:
    if said is None:
        return None
    if not isinstance(said, dict) or type(said.get("n_pool")) is not int:
        raise _damaged(what, f"recalibration must describe a pool, not {_shown(said)}")
    ratio = said.get("ratio")
    return Recalibration(
        said["n_pool"],
        _number(said.get("prevalence"), "prevalence of the pool", what),
        math.nan if ratio is None else _number(ratio, "ratio of false positives", what),
    )


def member_classes(state: DetectorState, manifest: Mapping[str, Any], where: str) -> list[Any]:
    """Return the classes of the members; raise ModelError, with the name of the plugin, if one is not installed."""
    classes = []
    for name in state.members:
        try:
            classes.append(member_class(name))
        except GridlensError as exc:
            source = manifest.get("sources", {}).get(name)
            plugin = isinstance(source, str) and source != "gridlens"
            came = f"It is from {_shown(source)}; install it. " if plugin else ""
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
            raise _damaged(f"{DETECTOR} in {where}", f"its 'averaged' of {name!r} does not match the files")
        try:
            members.append(AveragedMember.load(place, kind) if averaged else kind.load(place))
        # Members, mainly those of plugins, may raise any exception for invalid files.
        except Exception as exc:
            said = f"{type(exc).__name__}: {_shown(str(exc), 200).rstrip('.')}"
            raise ModelError(f"The member {name!r} of the model in {where} cannot be read ({said}). {_AGAIN}") from exc
    detector = LensDetector(members=state.members, metadata=state.metadata)
    detector.stack_ = _stack(members, state.weights, state.intercept)
    detector.member_names_ = list(state.members)
    detector.calibrator_ = state.calibrator
    detector.calibration_prevalence_ = state.calibration_prevalence
    detector.training_prevalence_ = state.training_prevalence
    detector.class_scores_, detector.recalibration_ = state.class_scores, state.recalibration
    detector.training_rows_ = _training_rows(folder / TRAINING_ROWS, where)
    detector.screen_ = _screen(folder / SCREEN_ROWS, detector.stack_, state.classic, where)
    detector.novelty_ = _novelty(folder / NOVELTY, where)
    detector.classes_ = np.array([0, 1])
    return detector


def _stack(members: list[Any], weights: np.ndarray, intercept: float) -> MemberStack:
    stack = MemberStack(())
    stack.members_, stack.weights_, stack.intercept_ = members, weights, intercept
    return stack


def _training_rows(path: Path, where: str) -> np.ndarray:
    """Return the hashes of the training rows of a model; empty if a bundle does not have them."""
    if not path.is_file():
        return np.empty(0, dtype=np.uint64)
    hashes = _array(path, where)
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise _damaged(f"{TRAINING_ROWS} in {where}", "it must contain one row of uint64")
    return np.unique(hashes)


def _screen(path: Path, stack: MemberStack, classic: StackState | None, where: str) -> Screen | None:
    """Return the screen of a model from its calibration rows; None if the bundle has no classic stack."""
    if classic is None:
        return None
    what = f"{SCREEN_ROWS} in {where}"
    rows = _array(path, where)
    if rows.dtype != SCREEN_DTYPE or rows.ndim != 1:
        raise _damaged(what, "it must contain one row of log-odds, labels and clusters")
    finite = np.isfinite(rows["classic"]).all() and np.isfinite(rows["full"]).all()
    if not finite or not np.isin(rows["label"], (0, 1)).all():
        raise _damaged(what, "its log-odds must be finite, and its labels 0 or 1")
    if len(np.unique(rows["label"])) < 2:
        raise _damaged(what, "it must contain lenses and non-lenses")
    members = [member for member in stack.members_ if member.name in classic.members]
    return Screen(stack, _stack(members, classic.weights, classic.intercept), rows)


def _array(path: Path, where: str) -> np.ndarray:
    """Return the array from a .npy file without objects."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as exc:
        raise _damaged(f"{path.name} in {where}", _shown(str(exc), 200)) from exc
    if not isinstance(array, np.ndarray):
        raise _damaged(f"{path.name} in {where}", "it must contain one array")
    return array


def _novelty(path: Path, where: str) -> Novelty | None:
    """Return the reference sample of a model; None if a bundle does not have it."""
    if not path.is_file():
        return None
    try:
        novelty = Novelty.load(path)
        check_novelty(novelty)
    except (OSError, ValueError) as exc:
        raise _damaged(f"{NOVELTY} in {where}", _shown(str(exc), 200)) from exc
    return novelty


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
        raise _damaged(what, f"{name} must be between 0 and 1, not {fraction:g}")
    return fraction


def _shown(value: Any, most: int = 60) -> str:
    """Return `value` as a single short line."""
    try:
        text = " ".join((value if isinstance(value, str) else repr(value)).split())
    except ValueError:  # an integer of over 4300 digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else text[:most] + "..."


def _damaged(what: str, why: str) -> ModelError:
    return ModelError(f"The {what} is damaged ({why}). {_AGAIN}")
