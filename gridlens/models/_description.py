"""What a model is, and where two of them differ, without loading their members."""

import os
from typing import Any, NamedTuple

from gridlens.models._bundle import open_bundle
from gridlens.models._manifest import CARD, MOST_STATE_BYTES
from gridlens.models._state import read_state

__all__ = ["Difference", "ModelDescription", "compare_models", "describe_model"]


class ModelDescription(NamedTuple):
    """A bundle in words."""

    card: str
    """Markdown; "" where the bundle has none"""
    manifest: dict[str, Any]
    detector: dict[str, Any]
    """members with their weights, the calibration, the shares of lenses"""


class Difference(NamedTuple):
    """One entry in which two models differ; None in the one that lacks it."""

    what: str
    a: Any
    b: Any


def describe_model(name: str | os.PathLike[str] = "default") -> ModelDescription:
    """Card, manifest and weights of a bundle, whose files are held against their hashes first.

    Parameters
    ----------
    name : str or path, default="default"
        As for `gridlens.load_model`. Members need not be installed, and are not loaded.

    Returns
    -------
    ModelDescription

    Raises
    ------
    ModelError
        There is no such bundle, a file of it is damaged, or it was made for another contract version.

    Examples
    --------
    >>> from gridlens.models import describe_model
    >>> list(describe_model("default").detector["members"])
    ['lightgbm', 'patch']
    """
    with open_bundle(name) as bundle:
        folder, manifest, _, where = bundle
        state = read_state(folder, manifest, where)
        card = ""
        if (folder / CARD).is_file():
            card = (folder / CARD).read_bytes()[:MOST_STATE_BYTES].decode(errors="replace")
    sources = manifest.get("sources", {})
    detector = {
        "members": {
            member: {
                "weight": float(weight),
                "averaged": averaged,
                "source": sources.get(member),
                "bytes": sum(
                    entry["bytes"] for file, entry in manifest["files"].items() if file.startswith(f"{member}/")
                ),
            }
            for member, weight, averaged in zip(state.members, state.weights, state.averaged, strict=True)
        },
        "intercept": state.intercept,
        "metadata": state.metadata,
        "calibration": {
            "method": state.calibrator.method_,
            "thresholds": len(state.calibrator.thresholds_x_),
            "positives": state.calibrator.n_positive_,
            "negatives": state.calibrator.n_negative_,
            "prevalence": state.calibration_prevalence,
        },
        "training_prevalence": state.training_prevalence,
        **({} if state.recalibration is None else {"recalibration": str(state.recalibration)}),
    }
    # A card goes to a terminal: no control characters of a stranger's.
    card = "".join(character for character in card if character.isprintable() or character in "\n\t")
    return ModelDescription(card, manifest, detector)


def compare_models(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> list[Difference]:
    """Where two bundles differ: members and weights, calibration, training with its data, versions, files.

    Parameters
    ----------
    a, b : str or path
        As for `gridlens.load_model`.

    Returns
    -------
    list of Difference
        Empty for two bundles of the same content. Entries of nested objects are named with dots between.

    Raises
    ------
    ModelError
        As `describe_model`.

    Examples
    --------
    >>> from gridlens.models import compare_models
    >>> compare_models("default", "default")
    []
    """
    one, other = (_entries(describe_model(name)) for name in (a, b))
    return [
        Difference(what, one.get(what), other.get(what))
        for what in dict.fromkeys([*one, *other])
        if one.get(what) != other.get(what)
    ]


def _entries(model: ModelDescription) -> dict[str, Any]:
    manifest = {key: value for key, value in model.manifest.items() if key not in ("files", "sources")}
    files = {name: f"{entry['bytes']} bytes, {entry['sha256'][:12]}" for name, entry in model.manifest["files"].items()}
    return _flat(model.detector) | _flat(manifest) | {f"files.{name}": said for name, said in files.items()}


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return flat
