"""Catalogue context: known lenses near candidates, and the Einstein radii that their clusters can have.

Context is shown beside candidates and used as a control. It is never a feature of the image score.
"""

from gridlens.context._known import known_lenses, read_known_lenses
from gridlens.context._match import all_matches, match_known_lenses
from gridlens.context._online import look_up
from gridlens.context._pairs import pair_prescreen
from gridlens.context._table import add_context

__all__ = [
    "add_context",
    "all_matches",
    "known_lenses",
    "look_up",
    "match_known_lenses",
    "pair_prescreen",
    "read_known_lenses",
]
