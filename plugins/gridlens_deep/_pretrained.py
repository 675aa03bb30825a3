"""Pretrained weights of a saved member, or of a member of a model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gridlens.errors import ModelError
from gridlens.models import member_folder
from gridlens_deep._errors import WeightsError
from gridlens_deep._settings import Settings
from gridlens_deep._weights import PARAMETERS

__all__ = ["check_grid", "saved_folder"]


@contextmanager
def saved_folder(pretrained: str, name: str) -> Iterator[Path]:
    """Yield the folder of a saved network: `pretrained` itself, or the folder of the member `name` of a model.

    Parameters
    ----------
    pretrained : str
        Folder written by `save` of a member; or a bundled model, or the path of a bundle, whose hashes are checked.
    name : str
        Name of the member.

    Raises
    ------
    WeightsError
        There is no such folder or model, the model is damaged, or it has no such member.
    """
    with ExitStack() as stack:
        folder = Path(pretrained)
        if not (folder / PARAMETERS).is_file():
            try:
                folder = stack.enter_context(member_folder(pretrained, name))
            except ModelError as exc:
                raise WeightsError(
                    "The 'pretrained' parameter must be a folder written by `save` of a member, or a model with the "
                    f"member {name!r}. Got {pretrained!r} instead: {exc}"
                ) from exc
        yield folder


def check_grid(folder: Path, settings: Settings) -> None:
    """Raise WeightsError unless the network in `folder` was trained on images of the same field and pixels."""
    try:
        stored = json.loads((folder / PARAMETERS).read_text(encoding="utf-8"))
        seen = int(stored["size"]), float(stored["pixel_scale"])
    # A modified file may contain any JSON.
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise WeightsError(
            f"The file {PARAMETERS} of pretrained weights must contain the parameters of their member. Got one in "
            f"{settings.pretrained} that cannot be read ({type(exc).__name__}). Save the member again."
        ) from exc
    for parameter, had, wanted in zip(
        ("size", "pixel_scale"), seen, (settings.size, settings.pixel_scale), strict=True
    ):
        if not math.isclose(had, wanted, rel_tol=1e-6):
            raise WeightsError(
                f"The '{parameter}' parameter must equal that of the pretrained weights, {had:g}. Got {wanted:g} "
                "instead. Change it, or train from random weights with pretrained=None."
            )
