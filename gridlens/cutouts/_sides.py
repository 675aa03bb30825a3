"""The largest side of an image that is read as a cutout."""

from gridlens.errors import CutoutError

__all__ = ["check_side"]


def check_side(width: int, height: int, max_side: int) -> None:
    """Raise CutoutError where an image is larger than a cutout may be, `max_side` px a side.

    Call it with the size that the header states, before any pixel is read.
    """
    if max(width, height) > max_side:
        raise CutoutError(
            f"The image has {width} x {height} px, and the largest side of a cutout is {max_side} px. Cut the clusters "
            'out of survey images with images={"g": PATH, "r": PATH, "i": PATH}, or raise the limit with '
            "max_size=PIXELS."
        )
