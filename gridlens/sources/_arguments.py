"""The arguments that opened a source, as JSON types, so that a later command can open it again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gridlens.cutouts.images import CutOptions
from gridlens.cutouts.readers import ReadOptions

__all__ = ["arguments_of", "checked_arguments"]


def arguments_of(
    options: ReadOptions | CutOptions, catalog: Any, columns: Mapping[str, str] | None, **where: Any
) -> dict[str, Any] | None:
    """Return the arguments of `open_source` that differ from their defaults; None for a catalogue in memory."""
    if catalog is not None and not isinstance(catalog, str | os.PathLike):
        return None
    stated = {field.name: getattr(options, field.name) for field in fields(options)}
    default = {field.name: field.default for field in fields(options)}
    arguments = {name: value for name, value in stated.items() if value != default[name]}
    if catalog is not None:
        arguments["catalog"] = os.fspath(catalog)
    if columns:
        arguments["columns"] = dict(columns)
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in arguments.items()}
    return {**where, **plain}


def checked_arguments(arguments: Any) -> dict[str, Any]:
    """Return the result of `arguments_of`, read back from a file; empty if `open_source` cannot accept it."""
    if not isinstance(arguments, dict):
        return {}
    from_images = "images" in arguments
    known = {field.name for field in fields(CutOptions if from_images else ReadOptions)} | {"catalog", "columns"}
    where = arguments.get("images" if from_images else "source")
    lists = list(where.values()) if from_images and isinstance(where, dict) else [where]
    fine = (
        set(arguments) <= known | {"images" if from_images else "source"}
        and all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in lists)
        and isinstance(arguments.get("catalog", ""), str)
        and isinstance(arguments.get("columns", {}), dict)
        and (not from_images or "catalog" in arguments)
    )
    return dict(arguments) if fine else {}
