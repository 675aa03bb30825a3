"""Errors of the plugin."""

from gridlens.errors import GridlensError

__all__ = ["BatchTooLarge", "DeviceError", "WeightsError", "out_of_memory"]


class WeightsError(GridlensError):
    """Weights are not available, damaged, or belong to another network."""


class DeviceError(GridlensError):
    """A device, or a package that uses it, is not available; or the device has too little memory."""


class BatchTooLarge(Exception):
    """A device has too little memory for a batch, which is then halved."""


def out_of_memory(size: int) -> DeviceError:
    """Return the error for a device that cannot hold a single cutout."""
    return DeviceError(
        f"The device has too little memory for a single cutout of {size} px. Use a smaller network, or device='cpu'."
    )
