"""Model bundles: a folder or a zip file of data with a manifest of the size and hash of each file.

A bundle contains `manifest.json`, `detector.json` (parameters, the weights of the stack, the calibration), `card.md`,
`training_rows.npy` (hashes of the training rows), `screen.npy` (the calibration rows of a model that can screen),
`novelty.npz` (the reference sample for novelty) and one folder per member. It contains no code, and no file is parsed
before its size and hash are verified. Members of trees store them as arrays (`trees.npz`), which are validated when
they are read; the text of the library that grew them is stored beside the arrays and is only parsed on request.

The version of the format is `BUNDLE_VERSION`. A bundle of an older version is upgraded in memory when it is loaded, one
version at a time (`gridlens.models._state.UPGRADES`; members convert their own files), and `upgrade_model` writes it in
the current version. A newer bundle is rejected. The version is incremented when an older gridlens would misread a newer
file; a new field that is not essential gets a default instead.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gridlens._files import atomic_folder, atomic_path, check_new_folder, writable_folder
from gridlens.detector import LensDetector
from gridlens.errors import GridlensError, ModelError
from gridlens.models._manifest import (
    BUNDLE_VERSION,
    CARD,
    DETECTOR,
    MANIFEST,
    MOST_MANIFEST_BYTES,
    NOVELTY,
    SCREEN_ROWS,
    TRAINING_ROWS,
    WRITTEN,
    check_files,
    checked_manifest,
    git_commit,
    manifest_bytes,
    versions,
)
from gridlens.models._probe import probe
from gridlens.models._state import build_detector, member_classes, read_state, state_of
from gridlens.models._zip import is_zip_name, unpack, zip_folder
from gridlens.stacking import list_members

__all__ = [
    "BUNDLED",
    "BUNDLE_VERSION",
    "Contents",
    "OpenBundle",
    "check_new_bundle",
    "fill_bundle",
    "load_model",
    "load_proven",
    "model_digest",
    "model_folder",
    "open_bundle",
    "read_contents",
    "read_manifest",
    "save_model",
    "upgrade_model",
]

_DEFAULT = "default"
# The models that are distributed with the package, each in a folder beside this file.
BUNDLED = (_DEFAULT, "deep", "cluster-cluster")
_PARAMETERS = ("metadata", "meta", "final", "cv", "random_state")
# Hashes of manifests whose bundles were already loaded in another process during this session. A manifest contains the
# hash of each file, and these are verified every time.
_PROVEN: set[str] = set()
_LOGGER = logging.getLogger(__name__)


class OpenBundle(NamedTuple):
    """Bundle whose files match its manifest."""

    folder: Path
    """location; for a zip file, a temporary folder"""
    manifest: dict[str, Any]
    digest: str
    """SHA-256 of the manifest, which covers all files"""
    where: str
    """name for messages"""


class Contents(NamedTuple):
    """Bundle in memory, from which it can be saved again."""

    detector: LensDetector
    card: str
    record: dict[str, Any]
    """manifest without the versions of the format and the files"""
    digest: str
    """SHA-256 of the manifest"""


def save_model(detector: LensDetector, path: str | os.PathLike[str], *, card: str, training: Mapping[str, Any]) -> None:
    """Save a fitted detector as a bundle, completely or not at all.

    Parameters
    ----------
    detector : LensDetector
        Fitted detector.
    path : str or path
        A new or empty folder, or a new file with a name that ends in .zip. The zip file of a detector is always the
        same, byte for byte.
    card : str
        Model card in Markdown: the training data, the performance and the limits of the model.
    training : mapping
        Settings with which the training can be repeated (recipe, seeds, numbers of scenes), written into the manifest
        as JSON. Put the hashes of the data, from `hash_arrays`, under "data".

    Raises
    ------
    GridlensError
        If the folder is not empty, the file exists or cannot be written, or the name of a member is no valid folder
        name.
    ValueError
        If `training` contains a value that JSON cannot represent, such as NaN.

    Notes
    -----
    The manifest records the versions of gridlens and of its main dependencies, the commit of gridlens if it runs from a
    checkout, the parameters of the detector with its `random_state`, and the plugin of each member.
    """
    check_new_bundle(path)
    sources = {member.name: member.source for member in list_members()}
    commit = git_commit()
    record = {
        "versions": versions(),
        **({} if commit is None else {"git_commit": commit}),
        "parameters": {name: getattr(detector, name) for name in _PARAMETERS},
        # None: a class that is not registered by any plugin.
        "sources": {name: sources.get(name) for name in detector.member_names_},
        "training": dict(training),
    }
    _write(detector, Path(path), card, record)


def upgrade_model(name: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Save a model of an older version of gridlens in the current format.

    Its scores remain bit-identical, and the model card and the record of the training are kept.

    Parameters
    ----------
    name : str or path
        As for `gridlens.load_model`.
    path : str or path
        As for `save_model`.

    Raises
    ------
    ModelError
        As for `gridlens.load_model`.
    GridlensError
        As for `save_model`.

    Examples
    --------
    >>> from gridlens.models import upgrade_model
    >>> upgrade_model("old-model.zip", "model.zip")  # doctest: +SKIP
    """
    check_new_bundle(path)
    detector, card, record, _ = read_contents(name)
    _write(detector, Path(path), card, record)


def read_contents(name: str | os.PathLike[str]) -> Contents:
    """Load a model with its card and record, to save it again; raise ModelError as in `load_model`."""
    detector = load_model(name)
    with open_bundle(name) as bundle:
        record = {key: value for key, value in bundle.manifest.items() if key not in WRITTEN}
        card = bundle.folder / CARD
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        return Contents(detector, text, record, bundle.digest)


def check_new_bundle(path: str | os.PathLike[str]) -> None:
    """Raise GridlensError unless a bundle can be written to `path`."""
    path = Path(path)
    if not is_zip_name(path):
        check_new_folder(path)
    elif path.exists():
        raise GridlensError(f"The output file {path} exists. Choose another name, or remove the file first.")


def load_model(name: str | os.PathLike[str] = _DEFAULT) -> LensDetector:
    """Load a trained detector.

    Parameters
    ----------
    name : str or path, default="default"
        The models "default" and "deep", for galaxies lensed by clusters, and "cluster-cluster" are distributed with the
        package; "deep" contains a network and requires ``gridlens[onnx]`` or ``gridlens[deep]``. Any other value is the
        path of a bundle, a folder or a zip file, as written by `gridlens train`.

    Returns
    -------
    LensDetector
        Ready to score.

    Raises
    ------
    ModelError
        If there is no such bundle, one of its files is damaged, missing or not listed, it was created for another
        version of the feature contract or by a newer gridlens, or the plugin of a member is not installed.

    Notes
    -----
    Loading does not run code from the bundle, and the members of gridlens validate every number that they read. The
    behaviour of plugin members for manipulated files is unknown: a bundle with such a member is first loaded in a
    separate process, once per session, with two minutes of processor time and a memory limit.

    Examples
    --------
    >>> from gridlens import load_model
    >>> load_model("default").member_names_
    ['lightgbm', 'patch']
    """
    with open_bundle(name) as bundle:
        folder, manifest, digest, where = bundle
        state = read_state(folder, manifest, where)
        classes = member_classes(state, manifest, where)
        if name not in BUNDLED and digest not in _PROVEN and not all(map(_is_own, classes)):
            probe(folder, where, sum(entry["bytes"] for entry in manifest["files"].values()))
            _PROVEN.add(digest)
        detector = build_detector(folder, state, classes, where)
    _LOGGER.info("Loaded the model %s with the members %s", name, ", ".join(detector.member_names_))
    return detector


def _is_own(member: type) -> bool:
    """Return whether the class of a member belongs to this package."""
    return member.__module__.split(".")[0] == "gridlens"


def load_proven(name: str | os.PathLike[str], digest: str) -> LensDetector:
    """Load a model as `load_model` does, but skip the separate process if its digest is the verified `digest`."""
    _PROVEN.add(digest)
    return load_model(name)


def model_digest(name: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of the manifest of a model, which covers all files; raise ModelError as in `load_model`."""
    with open_bundle(name) as bundle:
        return bundle.digest


@contextlib.contextmanager
def open_bundle(name: str | os.PathLike[str]) -> Iterator[OpenBundle]:
    """Yield the bundle `name` after verification of all its files against its manifest.

    A zip file is unpacked into a temporary folder, which is removed at the end of the block.
    """
    path = Path(name)
    if name not in BUNDLED and path.is_file():
        with tempfile.TemporaryDirectory(prefix="gridlens-model-") as unpacked:
            folder = Path(unpacked)
            yield _checked(folder, unpack(path, folder), str(path))
    else:
        folder = model_folder(name)
        yield _checked(folder, _manifest_of(folder), str(folder))


def model_folder(name: str | os.PathLike[str]) -> Path:
    """Return the folder of the bundle `name`; raise ModelError if it does not exist."""
    folder = Path(str(files("gridlens.models") / str(name))) if name in BUNDLED else Path(name)
    if not (folder / MANIFEST).is_file():
        raise ModelError(
            f"The model {str(name)!r} is not a model bundle: there is no {MANIFEST} in {folder}. "
            f"{', '.join(map(repr, BUNDLED))} are distributed with gridlens; `gridlens train` creates others."
        )
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of the bundle in `folder`; raise ModelError if this version of gridlens cannot use it."""
    return checked_manifest(_manifest_of(folder), str(folder))


def _checked(folder: Path, content: bytes, where: str) -> OpenBundle:
    manifest = checked_manifest(content, where)
    try:
        check_files(folder, manifest, where)
    except OSError as exc:
        raise ModelError(f"The model in {where} cannot be read: {exc.strerror or exc}. Check its permissions.") from exc
    return OpenBundle(folder, manifest, hashlib.sha256(content).hexdigest(), where)


def _manifest_of(folder: Path) -> bytes:
    try:
        if (folder / MANIFEST).is_symlink():
            raise ModelError(f"The manifest in {folder} is a link. Replace the link by the file.")
        with open(folder / MANIFEST, "rb") as file:
            return file.read(MOST_MANIFEST_BYTES + 1)
    except OSError as exc:
        raise ModelError(f"The manifest in {folder} cannot be read: {exc.strerror or exc}.") from exc


def _write(detector: LensDetector, path: Path, card: str, record: Mapping[str, Any]) -> None:
    if is_zip_name(path):
        writable_folder(path.absolute().parent)
        with atomic_path(path) as temporary, tempfile.TemporaryDirectory(prefix="gridlens-model-") as unpacked:
            fill_bundle(Path(unpacked), detector, card, record)
            zip_folder(Path(unpacked), temporary)
    else:
        with atomic_folder(path) as folder:
            fill_bundle(folder, detector, card, record)


def fill_bundle(folder: Path, detector: LensDetector, card: str, record: Mapping[str, Any]) -> None:
    """Write a bundle to the existing, empty `folder`."""
    state = state_of(detector)
    (folder / DETECTOR).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")
    if len(detector.training_rows_):
        np.save(folder / TRAINING_ROWS, detector.training_rows_.astype("<u8"))
    if detector.screen_ is not None:
        np.save(folder / SCREEN_ROWS, detector.screen_.rows)
    if detector.novelty_ is not None:
        detector.novelty_.save(folder / NOVELTY)
    for name, member in zip(detector.member_names_, detector.stack_.members_, strict=True):
        place = folder / name
        place.mkdir()
        member.save(place)
    (folder / MANIFEST).write_bytes(manifest_bytes(folder, record))
