"""Keys and criteria: the defaults, and files that override them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gridlens.errors import GridlensError
from gridlens.grading import GRADES

__all__ = ["KEYS", "read_criteria", "read_keys"]

KEYS: dict[str, list[str]] = {
    "grade_a": ["Digit1", "Numpad1", "KeyA"],
    "grade_b": ["Digit2", "Numpad2", "KeyB"],
    "grade_c": ["Digit3", "Numpad3", "KeyC"],
    "grade_x": ["Digit4", "Numpad4", "KeyX"],
    "grade_u": ["KeyU"],
    "spiral": ["KeyS"],
    "ring": ["KeyR"],
    "merger": ["KeyM"],
    "halo": ["KeyH"],
    "trail": ["KeyT"],
    "edge_on": ["KeyE"],
    "artefact": ["KeyF"],
    "other": ["KeyO"],
    "undo": ["KeyZ"],
    "left": ["ArrowLeft"],
    "right": ["ArrowRight"],
    "up": ["ArrowUp"],
    "down": ["ArrowDown"],
    "next": ["Space"],
    "next_ungraded": ["Shift+ArrowRight"],
    "brightness_down": ["BracketLeft"],
    "brightness_up": ["BracketRight"],
    "contrast_down": ["Semicolon"],
    "contrast_up": ["Quote"],
    "reset": ["Backslash"],
    "view": ["KeyV"],
    "mosaic": ["KeyG"],
    "overlay": ["KeyK"],
    "note": ["KeyN"],
    "links": ["KeyL"],
    "reveal": ["KeyI"],
    "help": ["Shift+Slash"],
    "rest_x": ["Shift+KeyX"],
    "zoom_in": ["Equal", "NumpadAdd"],
    "zoom_out": ["Minus", "NumpadSubtract"],
    "pan_left": ["Alt+ArrowLeft"],
    "pan_right": ["Alt+ArrowRight"],
    "pan_up": ["Alt+ArrowUp"],
    "pan_down": ["Alt+ArrowDown"],
    "mark": ["Enter"],
}
"""codes of `KeyboardEvent` by action; the prefixes "Shift+" and "Alt+" are modifiers"""


def read_keys(path: str | os.PathLike[str] | None) -> dict[str, list[str]]:
    """Return the keys of each action; those in a JSON file override the defaults.

    Parameters
    ----------
    path : str, path or None
        JSON object with a code or a list of codes by action: ``{"grade_x": ["KeyJ"], "undo": "Backspace"}``.

    Raises
    ------
    GridlensError
        If the file cannot be read, names an unknown action, or gives one key to two actions.
    """
    keys = dict(KEYS)
    if path is None:
        return keys
    stated = _json(path)
    if not isinstance(stated, dict):
        raise GridlensError(f'The file of keys {path} must hold one JSON object, such as {{"undo": "Backspace"}}.')
    for action, codes in stated.items():
        listed = [codes] if isinstance(codes, str) else codes
        if action not in KEYS:
            raise GridlensError(f"The file of keys {path} names the unknown action {action!r}. Use {', '.join(KEYS)}.")
        if not isinstance(listed, list) or not listed or not all(isinstance(code, str) and code for code in listed):
            raise GridlensError(
                f"The keys of {action} in {path} must be a code of KeyboardEvent, such as KeyJ, or a list of them. Got "
                f"{codes!r} instead."
            )
        keys[action] = listed
    owner: dict[str, str] = {}
    for action, codes in keys.items():
        for code in codes:
            if owner.setdefault(code, action) != action:
                raise GridlensError(
                    f"The file of keys {path} gives {code} to both {owner[code]} and {action}. Name another key for "
                    "one of them."
                )
    return keys


def read_criteria(path: str | os.PathLike[str] | None) -> list[dict[str, Any]]:
    """Return the criteria shown while grading: the meaning of each grade, and examples.

    Parameters
    ----------
    path : str, path or None
        JSON list of objects with `grade`, `meaning` and optionally `object_id`, an example. If None, the criteria are
        the default meanings of the grades.

    Raises
    ------
    GridlensError
        If the file cannot be read, or an entry lacks a grade or a meaning.
    """
    if path is None:
        return [{"grade": grade, "meaning": meaning, "object_id": None} for grade, meaning in GRADES.items()]
    stated = _json(path)
    good = isinstance(stated, list) and all(
        isinstance(line, dict) and line.get("grade") in GRADES and isinstance(line.get("meaning"), str)
        for line in stated
    )
    if not good:
        raise GridlensError(
            f"The file of criteria {path} must hold a JSON list of objects with grade ({', '.join(GRADES)}), meaning "
            "and, where there is an example, object_id."
        )
    return [
        {
            "grade": line["grade"],
            "meaning": line["meaning"],
            "object_id": None if line.get("object_id") is None else str(line["object_id"]),
        }
        for line in stated
    ]


def _json(path: str | os.PathLike[str]) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise GridlensError(f"The file {path} cannot be read as JSON: {exc}") from exc
