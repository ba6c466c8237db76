"""What the program reads and writes: arrays as `.npy`, frames as `.csv` with the types of their columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np


def is_frame(data: Any) -> bool:
    """Whether it is a data frame of pandas, which need not be there."""
    return hasattr(data, "iloc") and hasattr(data, "columns")


def array(data: Any, what: str = "X") -> np.ndarray:
    """Numbers as an array of at least two dimensions, in the words of scikit-learn where it is none."""
    if hasattr(data, "toarray"):
        raise TypeError(f"Sparse data were passed for {what}, but dense data are required: use {what}.toarray()")
    found = np.asarray(data)
    if np.iscomplexobj(found):
        raise ValueError("Complex data not supported")
    if found.dtype.kind == "O":
        try:
            found = found.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{what} has values that are no numbers ({error}): pass a pandas data frame") from None
    if found.dtype.kind not in "fiub":
        raise ValueError(f"{what} has values that are no numbers, but {found.dtype}: pass a pandas data frame")
    if found.ndim < 2:
        raise ValueError(f"Expected 2D array, got {found.ndim}D array instead. Reshape your data: a row is an example")
    if found.shape[0] == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={found.shape}) while a minimum of 1 is required.")
    if 0 in found.shape[1:]:
        raise ValueError(f"Found array with 0 feature(s) (shape={found.shape}) while a minimum of 1 is required.")
    if found.dtype.kind == "f" and np.isinf(found).any():
        raise ValueError(f"{what} contains infinity: the numbers of an example must be finite, or NaN where missing")
    if found.dtype.kind in "iu" and found.dtype.itemsize == 8 or found.dtype.kind == "b" or found.dtype == np.float16:
        found = found.astype(np.float64 if found.dtype.kind in "iu" else np.float32)
    return np.ascontiguousarray(found)


def kinds(frame: Any) -> dict[str, str]:
    """The types of columns that a frame states: the program infers those of whole numbers from all values."""
    found: dict[str, str] = {}
    for name, dtype in zip(frame.columns, frame.dtypes):
        kind = getattr(dtype, "kind", "O")
        if kind == "b":
            found[name] = "binary"
        elif kind == "f":
            found[name] = "numeric"
        elif kind not in "iu":
            if kind in "mM":
                raise ValueError(f"column {name} holds times, which no distribution fits: pass numbers, such as days")
            found[name] = "category"
    return found


def check(frame: Any, known: list[str] | None = None) -> None:
    """Refuses frames that no table can be: names that are no text or stand twice, no rows, other columns than `known`."""
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str) or not name.strip() or any(sign in name for sign in '="\r\n,'):
            raise ValueError(f"column {name!r}: names of columns are texts without quotation marks, commas, = and breaks")
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name")
    if len(frame) == 0:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    if known is not None and (missing := [name for name in known if name not in names]):
        raise ValueError(f"the frame has no column {missing[0]}, which the model was trained on")


def write(path: Path, data: Any, labels: Any = None) -> tuple[Path, dict[str, str]]:
    """Writes examples, and the classes of examples, where the program finds them.

    Returns the file, and the settings by which it is read.
    """
    if is_frame(data):
        file, settings = path.with_suffix(".csv"), {}
        for name, kind in kinds(data).items():
            settings[f"data.columns.{name}"] = kind
        if labels is not None:
            name = "class"
            while name in data.columns:
                name += "_"
            data = data.assign(**{name: np.asarray(labels)})
            settings["data.labels"] = name
        data.to_csv(file, index=False)
        return file, settings
    if labels is not None:
        file = path.with_suffix(".npz")
        np.savez(file, X=data, y=np.asarray(labels))
        return file, {}
    file = path.with_suffix(".npy")
    np.save(file, data)
    return file, {}


def column(path: Path, *names: str) -> list[np.ndarray]:
    """Columns of numbers of a file that the program wrote."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [np.array([float(row[name]) for row in rows]) for name in names]


def names_of(path: Path) -> list[str]:
    """The names in the first line of a file."""
    with path.open(newline="") as file:
        return next(csv.reader(file))
