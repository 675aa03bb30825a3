"""Why a cutout scored as it did. Nothing lives here yet."""

__all__: list[str] = []
