"""`member_folder`: access to the files of a member, for members that continue the training of another model."""

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
    """Yield the folder of one member of a model after verification of all files of the model.

    A member that continues the training of another model reads its weights there. Nothing is loaded and no code is run.

    Parameters
    ----------
    name : str or path
        A bundled model, or the path of a bundle, as for `gridlens.load_model`.
    member : str
        Name of the member in the model.

    Yields
    ------
    Path
        Folder that the member's `save` wrote; for a model that averages the members of its folds, that of the first
        fold. The folder of a zip file is temporary and is removed at the end of the block.

    Raises
    ------
    ModelError
        If there is no such bundle, one of its files is damaged, missing or not listed, or it has no such member.

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
                f"The model in {bundle.where} has no member {member!r}. It has {', '.join(state.members)}; choose a "
                f"model that was trained with {member!r}."
            )
        place = bundle.folder / member
        yield AveragedMember.first_folder(place) if AveragedMember.is_saved_in(place) else place
