"""Checks for packages with members of the stack; they do not require pytest."""

from gridlens.testing._member import check_member

__all__ = ["check_member"]
