"""Model bundles: a folder of data, whose manifest names each file's size and hash.

A bundle holds `manifest.json`, `detector.json` (parameters, the stack's weights, the calibration), `card.md` and a
folder per member. Nothing in it is code, and nothing is parsed before its hash agrees: LightGBM's parser ends the
process on most damaged files.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from gridlens._errors import ModelError
from gridlens._files import atomic_folder
from gridlens.calibration import IsotonicCalibrator
from gridlens.detector import LensDetector
from gridlens.features import CONTRACT_VERSION
from gridlens.stacking import MemberStack, member_class

__all__ = ["BUNDLE_VERSION", "load_model", "model_folder", "read_manifest", "save_model"]

BUNDLE_VERSION = 1
_MANIFEST = "manifest.json"
_DETECTOR = "detector.json"
_CARD = "card.md"
_RECORDED = ("numpy", "scipy", "scikit-learn", "lightgbm", "numba", "astropy", "lenstronomy")


def save_model(
    detector: LensDetector, folder: str | os.PathLike[str], *, card: str, training: Mapping[str, Any]
) -> None:
    """Write a fitted detector as a bundle, whole or not at all.

    Parameters
    ----------
    detector : LensDetector
        Fitted.
    folder : str or path
        New, or empty.
    card : str
        The model card, Markdown: what the model was trained on, how it scores, its limits.
    training : mapping
        What the training is to be repeated from (recipe, seeds, numbers of scenes); goes into the manifest as JSON.

    Raises
    ------
    GridlensError
        The folder is not empty or cannot be written.
    """
    with atomic_folder(folder) as temporary:
        names = detector.member_names_
        state = {
            "metadata": detector.metadata,
            "members": names,
            "weights": detector.stack_.weights_.tolist(),
            "intercept": detector.stack_.intercept_,
            "calibrator": detector.calibrator_.to_dict(),
            "calibration_prevalence": detector.calibration_prevalence_,
            "training_prevalence": detector.training_prevalence_,
        }
        (temporary / _DETECTOR).write_text(json.dumps(state, indent=1) + "\n")
        (temporary / _CARD).write_text(card)
        for name, member in zip(names, detector.stack_.members_, strict=True):
            place = temporary / name
            place.mkdir()
            member.save(place)
        manifest = {
            "bundle_version": BUNDLE_VERSION,
            "contract_version": CONTRACT_VERSION,
            "versions": {"python": sys.version.split()[0], **_versions()},
            "training": dict(training),
            "files": {
                path.relative_to(temporary).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
                for path in sorted(temporary.rglob("*"))
                if path.is_file()
            },
        }
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def load_model(name: str | os.PathLike[str] = "default") -> LensDetector:
    """Load a detector that was trained before.

    Parameters
    ----------
    name : str or path, default="default"
        "default" is the model that comes with the package; anything else is the folder of a bundle, as
        `gridlens train` writes it.

    Returns
    -------
    LensDetector
        Ready to score.

    Raises
    ------
    ModelError
        There is no such bundle, a file of it is damaged or missing, or it was made for another contract version.

    Notes
    -----
    Loading runs no code from the bundle. Hashes tell damage, not malice: a bundle from elsewhere is first loaded in a
    process of its own, so that a file that ends LightGBM ends that one.

    Examples
    --------
    >>> from gridlens import load_model
    >>> load_model("default").member_names_
    ['lightgbm']
    """
    folder = model_folder(name)
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    if name != "default":
        _probe(folder)
    return _read_detector(folder)


def model_folder(name: str | os.PathLike[str]) -> Path:
    """Folder of the bundle `name`; raise ModelError where there is none."""
    folder = Path(str(files("gridlens.models") / "default")) if name == "default" else Path(name)
    if not (folder / _MANIFEST).is_file():
        raise ModelError(
            f"The model {str(name)!r} is not a model bundle: there is no {_MANIFEST} in {folder}. "
            "'default' is the model that comes with gridlens; `gridlens train` makes others."
        )
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of the bundle in `folder`; raise ModelError where it cannot serve this version of gridlens."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        bundle, contract, listed = manifest["bundle_version"], manifest["contract_version"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(f"The manifest in {folder} is damaged ({exc}). Get or train the model again.") from exc
    if bundle != BUNDLE_VERSION or contract != CONTRACT_VERSION:
        raise ModelError(
            f"The model in {folder} has bundle version {bundle} and feature contract {contract}; this gridlens reads "
            f"{BUNDLE_VERSION} and {CONTRACT_VERSION}. Train it again with `gridlens train`."
        )
    if not isinstance(listed, dict) or _DETECTOR not in listed:
        raise ModelError(f"The manifest in {folder} lists no {_DETECTOR}. Get or train the model again.")
    return manifest


def _check_files(folder: Path, manifest: dict[str, Any]) -> None:
    root = folder.resolve()
    for name, expected in manifest["files"].items():
        path = (folder / name).resolve()
        if not path.is_relative_to(root):
            raise ModelError(f"The manifest in {folder} names a file outside the bundle, {name!r}. Do not use it.")
        if not path.is_file():
            raise ModelError(f"The model in {folder} lacks its file {name!r}. Get or train the model again.")
        if path.stat().st_size != expected["bytes"] or _sha256(path) != expected["sha256"]:
            raise ModelError(
                f"The model file {folder / name} is damaged: its hash is not the one in the manifest. "
                "Get or train the model again."
            )


def _probe(folder: Path) -> None:
    """Load the bundle in another process first; raise ModelError where that one does not survive."""
    code = "import sys, pathlib; from gridlens.models._bundle import _read_detector as r; r(pathlib.Path(sys.argv[1]))"
    result = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["the process was ended"])[-1]
        raise ModelError(f"The model in {folder} cannot be loaded: {last}. Get or train the model again.")


def _read_detector(folder: Path) -> LensDetector:
    state = json.loads((folder / _DETECTOR).read_text())
    names = state["members"]
    detector = LensDetector(members=tuple(names), metadata=state["metadata"])
    stack = MemberStack(())
    stack.members_ = [member_class(name).load(folder / name) for name in names]
    stack.weights_ = np.array(state["weights"], dtype=np.float64)
    stack.intercept_ = float(state["intercept"])
    detector.stack_ = stack
    detector.member_names_ = list(names)
    detector.calibrator_ = IsotonicCalibrator.from_dict(state["calibrator"])
    detector.calibration_prevalence_ = float(state["calibration_prevalence"])
    # Bundles that do not say were all trained on as many scenes with a lens as without.
    detector.training_prevalence_ = float(state.get("training_prevalence", 0.5))
    detector.classes_ = np.array([0, 1])
    return detector


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for name in ("gridlens", *_RECORDED):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
