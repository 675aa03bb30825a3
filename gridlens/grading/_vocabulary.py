"""Vocabulary of grades."""

from collections.abc import Mapping

__all__ = ["GRADES", "KINDS", "STRATEGIES", "SUBCLASSES"]

GRADES: Mapping[str, str] = {
    "A": "definite lens",
    "B": "probable lens",
    "C": "possible lens",
    "X": "not a lens",
    "U": "unsure: inspected, no label",
}
"""grades and their meanings"""

SUBCLASSES: tuple[str, ...] = (
    "spiral",
    "ring galaxy",
    "merger",
    "star halo or spike",
    "satellite trail",
    "edge-on",
    "artefact",
    "other",
)
"""types of impostor that can be added to a grade X"""

KINDS: tuple[str, ...] = ("top", "committee", "diverse", "random", "gold", "repeat", "relabel")
"""reasons why an object is in a queue"""

STRATEGIES: tuple[str, ...] = ("mix", "top", "random")
"""strategies to fill a queue"""
