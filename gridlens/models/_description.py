"""Descriptions of models, and differences between them, without loading their members."""

import os
from typing import Any, NamedTuple

from gridlens.models._bundle import open_bundle
from gridlens.models._manifest import CARD, MOST_STATE_BYTES
from gridlens.models._state import read_state

__all__ = ["Difference", "ModelDescription", "compare_models", "describe_model"]


class ModelDescription(NamedTuple):
    """Description of a bundle."""

    card: str
    """card in Markdown; "" if the bundle has none"""
    manifest: dict[str, Any]
    detector: dict[str, Any]
    """members with their weights, the calibration, and the fractions of lenses"""


class Difference(NamedTuple):
    """Entry in which two models differ; None for a model without it."""

    what: str
    a: Any
    b: Any


def describe_model(name: str | os.PathLike[str] = "default") -> ModelDescription:
    """Return the card, manifest and weights of a bundle after verification of its files.

    Parameters
    ----------
    name : str or path, default="default"
        As for `gridlens.load_model`. Members are not loaded and need not be installed.

    Returns
    -------
    ModelDescription

    Raises
    ------
    ModelError
        If there is no such bundle, one of its files is damaged, or it was created for another version of the feature
        contract.

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
    # A card is printed on a terminal, so remove the control characters of an untrusted file.
    card = "".join(character for character in card if character.isprintable() or character in "\n\t")
    return ModelDescription(card, manifest, detector)


def compare_models(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> list[Difference]:
    """Compare two bundles: members and weights, calibration, training and its data, versions, and files.

    Parameters
    ----------
    a, b : str or path
        As for `gridlens.load_model`.

    Returns
    -------
    list of Difference
        Empty for two bundles with equal content. The names of nested entries are joined with dots.

    Raises
    ------
    ModelError
        As for `describe_model`.

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
