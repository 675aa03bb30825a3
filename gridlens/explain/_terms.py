"""The strongest terms of one score, in words, and a sentence on its arc candidate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridlens.explain._aggregate import POSITION
from gridlens.explain._explainer import Explanation
from gridlens.explain._sentences import describe_candidate, is_objection, objection
from gridlens.explain._words import ARC_FEATURES, PLACES, feature_words
from gridlens.features._contract import (
    METADATA_NAMES,
    N_IMAGE_FEATURES,
    N_PATCHES,
    PATCH_FEATURE_GROUPS,
    PATCH_FEATURE_NAMES,
)

__all__ = ["Term", "arc_features", "because", "strongest_terms"]

_ARC = [PATCH_FEATURE_NAMES.index(name) for name in ARC_FEATURES]
_ELONGATION = PATCH_FEATURE_NAMES.index("elongation")
# Maximum number of arc features after "but", and the minimum by which each lowers the log-odds.
_OBJECTIONS = 2
_LEAST = 0.1


class Term(NamedTuple):
    """A term of the sum.

    Attributes
    ----------
    words : str
        Description, with the value and unit.
    value : float
        Contribution to the log-odds.
    feature : str
        Name in the contract, without the patch; the name of a member in `bars`; "" for the sum of the other terms.
    patches : tuple of int
        Patches, 0 to 8; empty for metadata and members.
    """

    words: str
    value: float
    feature: str
    patches: tuple[int, ...]


def strongest_terms(explanation: Explanation, row: int, n: int = 10) -> list[Term]:
    """Return the strongest terms of one cutout's score in words, and the sum of all others.

    An arc candidate belongs to each patch that contains enough of it; each of its features is one term, summed over
    these patches. The lack of a candidate is also one term, summed over the patches without one. The position flags are
    constant over cutouts and are not listed as terms.

    Parameters
    ----------
    explanation : Explanation
    row : int
    n : int, default=10
        Number of terms, excluding the sum of the others.

    Returns
    -------
    list of Term
        The strongest terms first, the sum of the others last; the base and all terms add up to the log-odds.
    """
    terms = sorted(_terms(explanation, row), key=lambda term: -abs(term.value))
    total = float(explanation.log_odds[row]) - explanation.base
    shown = terms[:n]
    rest = total - sum(term.value for term in shown)
    return [*shown, Term(f"{max(len(terms) - n, 0)} other terms", rest, "", ())]


def because(explanation: Explanation, row: int) -> str:
    """Return a sentence on the arc candidate of a row: its description, then what lowers the score.

    The candidate is that of the row's `arc_patch`. At most two of its features follow "but": those that lower the
    log-odds most, by at least 0.1 each; typical arc properties, such as "tangential", never do. Features that raise the
    score are not listed; `strongest_terms` gives all contributions.

    Parameters
    ----------
    explanation : Explanation
    row : int

    Returns
    -------
    str
        "No arc candidate was found." if the row has none.

    Examples
    --------
    >>> import numpy as np
    >>> from gridlens import load_model
    >>> from gridlens.explain import Explainer, because
    >>> because(Explainer(load_model()).explain(np.zeros((1, 315), np.float32)), 0)
    'No arc candidate was found.'
    """
    patch = int(explanation.table["arc_patch"][row])
    if patch < 0:
        return "No arc candidate was found."
    arc = arc_features(explanation, row, patch)
    terms = [term for term in _terms(explanation, row) if term.feature in ARC_FEATURES and patch in term.patches]
    against = [term for term in terms if term.value <= -_LEAST and is_objection(arc, term.feature)]
    names = [term.feature for term in sorted(against, key=lambda term: term.value)[:_OBJECTIONS]]
    said = describe_candidate(arc, names)
    but = f", but {' and '.join(objection(name, arc[name]) for name in names)}" if names else ""
    lowers = "; it lowers the score" if sum(term.value for term in terms) <= -_LEAST else ""
    return f"{said[0].upper()}{said[1:]}{but}{lowers}."


def arc_features(explanation: Explanation, row: int, patch: int) -> dict[str, float]:
    """Return the arc features of the candidate of a patch, 0 to 8, of a row, by name."""
    shown = explanation.features[row, :N_IMAGE_FEATURES].reshape(N_PATCHES, -1)[patch]
    return {name: float(shown[j]) for j, name in zip(_ARC, ARC_FEATURES, strict=True)}


def _candidates(features: np.ndarray) -> list[tuple[int, ...]]:
    """Return the patches of each candidate."""
    patches = features[:N_IMAGE_FEATURES].reshape(N_PATCHES, -1)
    groups: dict[tuple[float, ...], list[int]] = {}
    for k in range(N_PATCHES):
        if patches[k, _ELONGATION] > 0.0:
            groups.setdefault(tuple(patches[k, _ARC].tolist()), []).append(k)
    return [tuple(group) for group in groups.values()]


def _terms(explanation: Explanation, row: int) -> list[Term]:
    """Return all terms of a row except those of position."""
    features, values = explanation.features[row], explanation.values[row]
    shown = features[:N_IMAGE_FEATURES].reshape(N_PATCHES, -1)
    added = values[:N_IMAGE_FEATURES].reshape(N_PATCHES, -1)
    terms = []
    candidates = _candidates(features)
    for patches in candidates:
        where = _places(patches)
        for j, name in zip(_ARC, ARC_FEATURES, strict=True):
            words = f"{feature_words(name, float(shown[patches[0], j]))} [{where}]"
            terms.append(Term(words, float(added[list(patches), j].sum()), name, patches))
    empty = tuple(k for k in range(N_PATCHES) if not any(k in patches for patches in candidates))
    if empty:
        value = float(added[np.ix_(empty, _ARC)].sum())
        terms.append(Term(f"no arc candidate [{_places(empty)}]", value, "elongation", empty))
    for j, name in enumerate(PATCH_FEATURE_NAMES):
        if j not in _ARC and PATCH_FEATURE_GROUPS[name] != POSITION:
            terms += [
                Term(f"{feature_words(name, float(shown[k, j]))} [{PLACES[k]}]", float(added[k, j]), name, (k,))
                for k in range(N_PATCHES)
            ]
    for k, name in enumerate(METADATA_NAMES):
        column = N_IMAGE_FEATURES + k
        terms.append(Term(feature_words(name, float(features[column])), float(values[column]), name, ()))
    terms += [Term(f"the member {name}", float(bar[row]), name, ()) for name, bar in explanation.bars.items()]
    return [term for term in terms if term.value != 0.0]


def _places(patches: tuple[int, ...]) -> str:
    if len(patches) > 4:
        return f"{len(patches)} patches"
    return ", ".join(PLACES[k] for k in patches)
