"""Limit on the side of an image that is read as a cutout."""

from gridlens.errors import CutoutError

__all__ = ["check_side"]


def check_side(width: int, height: int, max_side: int) -> None:
    """Raise CutoutError if a side of an image is longer than `max_side` px.

    Call this function with the size given in the header, before any pixel is read.
    """
    if max(width, height) > max_side:
        raise CutoutError(
            f"The image has {width} x {height} px, but a side of a cutout may be at most {max_side} px. Extract "
            "cutouts "
            'from survey images with images={"g": PATH, "r": PATH, "i": PATH}, or raise the limit with '
            "max_size=PIXELS."
        )
