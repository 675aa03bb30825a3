"""Errors of the plugin: what went wrong, and the way out."""

from gridlens.errors import GridlensError

__all__ = ["DeviceError", "WeightsError"]


class WeightsError(GridlensError):
    """Weights that cannot be had, or are those of another network."""


class DeviceError(GridlensError):
    """No such device, or one that has too little memory."""
