"""Learning from positive and unlabelled rows. Arrays in, arrays out, no astronomy. Nothing lives here yet."""

__all__: list[str] = []
