"""A command of the program, from Python."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from . import _elbo


class ElboWarning(UserWarning):
    """Something that the program warns of."""


def call(*words: object, settings: Mapping[str, Any] | None = None, verbose: bool = False) -> Any:
    """Runs `elbo WORDS` with `--set KEY=VALUE` for each setting; returns the JSON that it prints, if it prints some.

    Its warnings are warnings of Python; its other lines are printed if `verbose`.
    """
    said = [str(word) for word in words]
    for key, value in (settings or {}).items():
        said += ["--set", f"{key}={typed(value)}"]

    def listen(line: str) -> None:
        if line.startswith("warning: "):
            warnings.warn(line.removeprefix("warning: "), ElboWarning, stacklevel=_caller())
        elif verbose:
            print(line, flush=True)

    text = _elbo.call(said, listen)
    return json.loads(text) if text.startswith("{") else None


def _caller() -> int:
    """The level at which `listen` warns: whoever called the package. scikit-learn wraps methods, and does not count."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in ("elbo", "sklearn", "contextlib"):
        level, frame = level + 1, frame.f_back
    return level


def typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return "[" + ", ".join(typed(item) for item in value) + "]"
