"""The stack: what a member is, which there are, and how several become one score."""

from gridlens.stacking._averaged import AveragedMember
from gridlens.stacking._contributions import bounded_contributions
from gridlens.stacking._meta import fit_meta
from gridlens.stacking._protocol import Member
from gridlens.stacking._registry import (
    ENTRY_POINT_GROUP,
    MemberInfo,
    build_member,
    known_members,
    list_members,
    member_class,
    split_members,
)
from gridlens.stacking._stack import CERTAIN_LOG_ODDS, MemberStack, member_log_odds

__all__ = [
    "CERTAIN_LOG_ODDS",
    "ENTRY_POINT_GROUP",
    "AveragedMember",
    "Member",
    "MemberInfo",
    "MemberStack",
    "bounded_contributions",
    "build_member",
    "fit_meta",
    "known_members",
    "list_members",
    "member_class",
    "member_log_odds",
    "split_members",
]
