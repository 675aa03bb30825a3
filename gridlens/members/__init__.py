"""The built-in members of the stack."""

from gridlens.members._lightgbm import LightGBMMember

__all__ = ["LightGBMMember"]
