"""Stacking: the protocol and registry of members, and the combination of several members into one score."""

from gridlens.stacking._averaged import AveragedMember
from gridlens.stacking._protocol import Member
from gridlens.stacking._registry import (
    build_member,
    known_members,
    list_members,
)
from gridlens.stacking._stack import MemberStack

__all__ = [
    "AveragedMember",
    "Member",
    "MemberStack",
    "build_member",
    "known_members",
    "list_members",
]
