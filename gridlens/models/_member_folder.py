"""`member_folder`: the files of one member of a model, for members that continue from another model."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gridlens.errors import ModelError
from gridlens.models._bundle import open_bundle
from gridlens.models._state import read_state
from gridlens.stacking import AveragedMember

__all__ = ["member_folder"]


@contextlib.contextmanager
def member_folder(name: str | os.PathLike[str], member: str) -> Iterator[Path]:
    """Yield the folder of one member of a model, once all files of the model agree with its manifest.

    A member that continues from another model reads its weights there. Nothing is loaded and no code runs.

    Parameters
    ----------
    name : str or path
        A bundled model, or the path of a bundle, as `gridlens.load_model` takes it.
    member : str
        Name of the member in the model.

    Yields
    ------
    Path
        The folder that the member's `save` filled; for a model that keeps the members of its folds, that of the first
        fold. The folder of a zip file is temporary: it is removed when the block ends.

    Raises
    ------
    ModelError
        There is no such bundle, a file of it is damaged, missing or not listed, or it has no such member.

    Examples
    --------
    >>> from gridlens.models import member_folder
    >>> with member_folder("default", "patch") as folder:
    ...     (folder / "parameters.json").is_file()
    True
    """
    with open_bundle(name) as bundle:
        state = read_state(bundle.folder, bundle.manifest, bundle.where)
        if member not in state.members:
            raise ModelError(
                f"The model in {bundle.where} has no member {member!r}. It has {', '.join(state.members)}; name a "
                f"model that was trained with {member!r}."
            )
        place = bundle.folder / member
        yield AveragedMember.first_folder(place) if AveragedMember.is_saved_in(place) else place
