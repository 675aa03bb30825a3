"""Options as keyword arguments: values by band, and conversion of keyword arguments to a dataclass of options."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["ByBand", "options_of"]

_Options = TypeVar("_Options")


class ByBand(Mapping[str, float]):
    """Immutable mapping of band letters to numbers: equal to a dictionary, hashable and picklable."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self._items = tuple((str(band), float(value)) for band, value in values.items())

    def __getitem__(self, band: str) -> float:
        return dict(self._items)[band]

    def __iter__(self) -> Iterator[str]:
        return (band for band, _ in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items))

    def __repr__(self) -> str:
        return repr(dict(self._items))


def options_of(kind: type[_Options], given: Mapping[str, Any]) -> _Options:
    """Return an instance of the options dataclass `kind`, made from keyword arguments.

    Raises
    ------
    TypeError
        A name is not a field of `kind`.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise TypeError(
            f"The options must be fields of {kind.__name__}: {', '.join(known)}. Got {', '.join(unknown)} instead."
        )
    return kind(**given)
