"""Checks for packages that add members to the stack; they need no pytest."""

from gridlens.testing._member import check_member

__all__ = ["check_member"]
