"""The strongest terms of one score, in words, and the arc candidate that contributes most to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridlens.explain._aggregate import POSITION
from gridlens.explain._explainer import Explanation
from gridlens.explain._words import ARC_FEATURES, PLACES, feature_words
from gridlens.features._contract import (
    METADATA_NAMES,
    N_IMAGE_FEATURES,
    N_PATCHES,
    PATCH_FEATURE_GROUPS,
    PATCH_FEATURE_NAMES,
)

__all__ = ["Term", "arc_patch", "because", "strongest_terms"]

_ARC = [PATCH_FEATURE_NAMES.index(name) for name in ARC_FEATURES]
_ELONGATION = PATCH_FEATURE_NAMES.index("elongation")
# Arc features in the sentence that sums up a candidate sheet, and the least that each must have added.
_SAID = 4
_LEAST = 0.02


class Term(NamedTuple):
    """One term of the sum.

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

    An arc candidate lies in each patch that holds enough of it; each of its features is one term, summed over these
    patches. The lack of a candidate is also one term, summed over the patches without one. The flags of position are
    constant over cutouts and are not terms.

    Parameters
    ----------
    explanation : Explanation
    row : int
    n : int, default=10
        Number of terms, without the sum of the others.

    Returns
    -------
    list of Term
        The strongest first, the sum of the others last; the base and all terms add up to the log-odds.
    """
    terms = sorted(_terms(explanation, row), key=lambda term: -abs(term.value))
    total = float(explanation.log_odds[row]) - explanation.base
    shown = terms[:n]
    rest = total - sum(term.value for term in shown)
    return [*shown, Term(f"{max(len(terms) - n, 0)} other terms", rest, "", ())]


def arc_patch(explanation: Explanation, row: int) -> int:
    """Return a patch, 0 to 8, of the arc candidate that contributes most to a score; -1 where no patch shows one.

    Parameters
    ----------
    explanation : Explanation
    row : int
    """
    totals = dict.fromkeys(_candidates(explanation.features[row]), 0.0)
    for term in _terms(explanation, row):
        if term.feature in ARC_FEATURES and term.patches in totals:
            totals[term.patches] += term.value
    return max(totals, key=lambda patches: totals[patches])[0] if totals else -1


def because(explanation: Explanation, row: int) -> str:
    """Return a sentence on the arc candidate that contributes most to a score, and on its strongest features.

    Parameters
    ----------
    explanation : Explanation
    row : int
    """
    patch = arc_patch(explanation, row)
    if patch < 0:
        return "No arc candidate was found."
    terms = [term for term in _terms(explanation, row) if term.feature in ARC_FEATURES and patch in term.patches]
    total = sum(term.value for term in terms)
    supporting = sorted((term for term in terms if term.value > _LEAST), key=lambda term: -term.value)[:_SAID]
    against = sorted((term for term in terms if term.value < -_LEAST), key=lambda term: term.value)[:2]
    said = ", ".join(_bare(term) for term in supporting) or "without a strong feature"
    but = f", although {', '.join(_bare(term) for term in against)}" if against else ""
    verb = "The arc candidate adds" if total >= 0.0 else "The best arc candidate takes"
    return f"{verb} {abs(total):.2f}: {said}{but}."


def _bare(term: Term) -> str:
    return term.words.removeprefix("arc ").split(" [")[0]


def _candidates(features: np.ndarray) -> list[tuple[int, ...]]:
    """Return, for each candidate, the patches that show it."""
    patches = features[:N_IMAGE_FEATURES].reshape(N_PATCHES, -1)
    groups: dict[tuple[float, ...], list[int]] = {}
    for k in range(N_PATCHES):
        if patches[k, _ELONGATION] > 0.0:
            groups.setdefault(tuple(patches[k, _ARC].tolist()), []).append(k)
    return [tuple(group) for group in groups.values()]


def _terms(explanation: Explanation, row: int) -> list[Term]:
    """Return all terms of a row but those of position."""
    features, values = explanation.features[row], explanation.values[row]
    shown = features[:N_IMAGE_FEATURES].reshape(N_PATCHES, -1)
    added = values[:N_IMAGE_FEATURES].reshape(N_PATCHES, -1)
    terms = []
    candidates = _candidates(features)
    for patches in candidates:
        where = _places(patches)
        for j, name in zip(_ARC, ARC_FEATURES, strict=True):
            words = f"arc {feature_words(name, float(shown[patches[0], j]))} [{where}]"
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
