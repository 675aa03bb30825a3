"""Checks that code of others can run on itself, without pytest.

`check_member` holds a member of the stack to its contract. `check_augmentation` tells whether what is done to cutouts
before training leaves their colours and sizes alone.
"""

from gridlens.testing._augmentation import check_augmentation
from gridlens.testing._member import check_member

__all__ = ["check_augmentation", "check_member"]
