"""Model bundles: a folder or a zip file of data, whose manifest names each file's size and hash.

A bundle holds `manifest.json`, `detector.json` (parameters, the stack's weights, the calibration), `card.md`,
`training_rows.npy` (hashes of the rows that it learned from), `screen.npy` (the calibration rows of a model that can
screen), `novelty.npz` (the sample that novelty is measured from) and a folder per member. Nothing in it is code, and
nothing is parsed before its size and hash agree. Members of trees store them as arrays (`trees.npz`), which are checked
as they are read; the text of the library that grew them lies beside the arrays and is not parsed until it is asked for.

The version of the format is `BUNDLE_VERSION`. A bundle of an older version is upgraded in memory as it is loaded, one
version at a time (`gridlens.models._state.UPGRADES`; members convert their own files), and `upgrade_model` writes it in
the present version. A newer bundle is refused. The version is raised when an older gridlens would misread what a newer
one writes; a field that it can do without gets a default instead.
"""

import contextlib
import hashlib
import json
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
# The models that come with the package, each a folder beside this file.
BUNDLED = (_DEFAULT, "deep", "cluster-cluster")
_PARAMETERS = ("metadata", "meta", "final", "cv", "random_state")
# Hashes of manifests whose bundles this process has seen to load in another one. A manifest has the hash of each file,
# and these are checked each time.
_PROVEN: set[str] = set()


class OpenBundle(NamedTuple):
    """A bundle whose files are those of its manifest."""

    folder: Path
    """where it lies, for a zip file a temporary folder"""
    manifest: dict[str, Any]
    digest: str
    """SHA-256 of the manifest, and so of all"""
    where: str
    """what to call it in messages"""


class Contents(NamedTuple):
    """A bundle in memory, from which it can be written again."""

    detector: LensDetector
    card: str
    record: dict[str, Any]
    """the manifest without the versions of the format and the files"""
    digest: str
    """SHA-256 of the manifest"""


def save_model(detector: LensDetector, path: str | os.PathLike[str], *, card: str, training: Mapping[str, Any]) -> None:
    """Write a fitted detector as a bundle, whole or not at all.

    Parameters
    ----------
    detector : LensDetector
        Fitted.
    path : str or path
        A new or empty folder; or a new file with a name that ends in .zip. The zip file of one detector has the same
        bytes each time.
    card : str
        The model card, Markdown: what the model was trained on, how it scores, its limits.
    training : mapping
        What the training is to be repeated from (recipe, seeds, numbers of scenes); written into the manifest as JSON.
        Hashes of the data, as `hash_arrays` makes them, belong under "data".

    Raises
    ------
    GridlensError
        The folder is not empty, the file exists, it cannot be written, or a member's name makes no folder.
    ValueError
        `training` holds a value that JSON cannot represent, such as NaN.

    Notes
    -----
    The manifest records the versions of gridlens and of its main dependencies, the commit of gridlens where it
    runs from a checkout, the detector's parameters with its `random_state`, and the plugin that each member came from.
    """
    check_new_bundle(path)
    sources = {member.name: member.source for member in list_members()}
    commit = git_commit()
    record = {
        "versions": versions(),
        **({} if commit is None else {"git_commit": commit}),
        "parameters": {name: getattr(detector, name) for name in _PARAMETERS},
        # None: a class that no plugin makes known.
        "sources": {name: sources.get(name) for name in detector.member_names_},
        "training": dict(training),
    }
    _write(detector, Path(path), card, record)


def upgrade_model(name: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write a model of an older version of gridlens in the present format.

    The scores stay the same to the bit, and so do the model card and the record of the training.

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
    """Load a model with its card and its record, to write it again; raise ModelError as `load_model` does."""
    detector = load_model(name)
    with open_bundle(name) as bundle:
        record = {key: value for key, value in bundle.manifest.items() if key not in WRITTEN}
        card = bundle.folder / CARD
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        return Contents(detector, text, record, bundle.digest)


def check_new_bundle(path: str | os.PathLike[str]) -> None:
    """Raise GridlensError unless a bundle may be written to `path`."""
    path = Path(path)
    if not is_zip_name(path):
        check_new_folder(path)
    elif path.exists():
        raise GridlensError(f"The output file {path} exists. Name a new one, or remove this one first.")


def load_model(name: str | os.PathLike[str] = _DEFAULT) -> LensDetector:
    """Load a detector that was trained before.

    Parameters
    ----------
    name : str or path, default="default"
        "default" and "deep", for galaxies lensed by clusters, and "cluster-cluster" come with the package; "deep" holds
        a network, and needs ``gridlens[onnx]`` or ``gridlens[deep]``. Anything else is a bundle as `gridlens train`
        writes it, a folder or a zip file.

    Returns
    -------
    LensDetector
        Ready to score.

    Raises
    ------
    ModelError
        There is no such bundle, a file of it is damaged, missing or not listed, it was made for another contract
        version or by a newer gridlens, or a member's plugin is not installed.

    Notes
    -----
    Loading runs no code from the bundle, and gridlens's own members check every number that they read. What the members
    of a plugin do with a file that was tampered with is not known: a bundle that holds one is first loaded in a process
    of its own, once in each session, with two minutes of the processor and a limit of memory.

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
        return build_detector(folder, state, classes, where)


def _is_own(member: type) -> bool:
    """Return whether the class of a member is part of this package."""
    return member.__module__.split(".")[0] == "gridlens"


def load_proven(name: str | os.PathLike[str], digest: str) -> LensDetector:
    """Load a model as `load_model` does; one of `digest` is not tried in another process, which was done before."""
    _PROVEN.add(digest)
    return load_model(name)


def model_digest(name: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of the manifest of a model, which covers all its files; raise ModelError as `load_model`."""
    with open_bundle(name) as bundle:
        return bundle.digest


@contextlib.contextmanager
def open_bundle(name: str | os.PathLike[str]) -> Iterator[OpenBundle]:
    """Yield the bundle `name` once all its files agree with its manifest.

    A zip file is unpacked into a temporary folder, which is gone when the block ends.
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
    """Return the folder of the bundle `name`; raise ModelError where it does not exist."""
    folder = Path(str(files("gridlens.models") / str(name))) if name in BUNDLED else Path(name)
    if not (folder / MANIFEST).is_file():
        raise ModelError(
            f"The model {str(name)!r} is not a model bundle: there is no {MANIFEST} in {folder}. "
            f"{', '.join(map(repr, BUNDLED))} come with gridlens; `gridlens train` makes others."
        )
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of the bundle in `folder`; raise ModelError where this gridlens cannot use it."""
    return checked_manifest(_manifest_of(folder), str(folder))


def _checked(folder: Path, content: bytes, where: str) -> OpenBundle:
    manifest = checked_manifest(content, where)
    try:
        check_files(folder, manifest, where)
    except OSError as exc:
        raise ModelError(
            f"The model in {where} cannot be read: {exc.strerror or exc}. See to its permissions."
        ) from exc
    return OpenBundle(folder, manifest, hashlib.sha256(content).hexdigest(), where)


def _manifest_of(folder: Path) -> bytes:
    try:
        if (folder / MANIFEST).is_symlink():
            raise ModelError(f"The manifest in {folder} is a link. Put the file itself in its place.")
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
    """Write a bundle into the existing, empty `folder`."""
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
