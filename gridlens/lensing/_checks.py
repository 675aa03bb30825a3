"""Validation of numerical parameters."""

import math

__all__ = ["check_number"]


def check_number(name: str, value: float, rule: str, holds: bool) -> None:
    """Raise ValueError with the rule in its message unless `value` is finite and the rule holds."""
    if not (holds and math.isfinite(value)):
        raise ValueError(f"The '{name}' parameter must be {rule}. Got {value!r} instead.")
