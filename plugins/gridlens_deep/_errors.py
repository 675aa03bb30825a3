"""Errors of the plugin."""

from gridlens.errors import GridlensError

__all__ = ["DeviceError", "WeightsError"]


class WeightsError(GridlensError):
    """Weights are not available, damaged, or those of another network."""


class DeviceError(GridlensError):
    """A device is not available, or has too little memory."""
