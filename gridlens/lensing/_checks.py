"""The check of a number that a caller states."""

import math

__all__ = ["check_number"]


def check_number(name: str, value: float, rule: str, holds: bool) -> None:
    """Raise ValueError unless `value` is finite and the rule, which the message states, holds."""
    if not (holds and math.isfinite(value)):
        raise ValueError(f"The '{name}' parameter must be {rule}. Got {value!r} instead.")
