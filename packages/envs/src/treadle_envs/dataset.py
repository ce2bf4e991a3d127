"""Rows of a data set: a local JSON-lines file, or a Hugging Face data set.

A bad file ends in one `DatasetError` that names the file, the line and what to do; nothing is
skipped silently. The Hub is touched only by `load_hub_rows`, in a thread, through `datasets`.
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from treadle_envs.errors import DatasetError

Row = dict[str, Any]


def read_json_lines(path: Path, *, required: Sequence[str]) -> list[Row]:
    """Return all rows of a JSON-lines file; blank lines are skipped.

    `required` names the fields that every row must hold as non-empty text.

    Raises:
        DatasetError: no such file, a line that is no JSON object, a missing field, no rows.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DatasetError(
            f"the data file {path} can't be read ({error.strerror}): give the path of a JSON-lines "
            f"file with the fields {', '.join(required)}"
        ) from error
    rows = [
        _read_row(line, required, f"{path}, line {number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not rows:
        raise DatasetError(f"the data file {path} is empty: give one with at least one row")
    return rows


async def load_hub_rows(
    name: str, *, subset: str | None, split: str, required: Sequence[str]
) -> list[Row]:
    """Return all rows of one split of a Hugging Face data set.

    Raises:
        DatasetError: it can't be loaded, or a row lacks a required field.
    """
    rows = await asyncio.to_thread(_download, name, subset, split)
    for number, row in enumerate(rows, start=1):
        _require(row, required, f"{name} ({split}), row {number}")
    return rows


def _download(name: str, subset: str | None, split: str) -> list[Row]:
    import datasets

    try:
        loaded = datasets.load_dataset(name, subset, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(
            f"the data set {name} (config {subset}, split {split}) can't be loaded: {reason}. "
            "Without the Hub, give a local JSON-lines file"
        ) from error
    return [dict(row) for row in cast("Sequence[Row]", loaded)]


def _read_row(line: bytes, required: Sequence[str], where: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DatasetError(f"{where}: this is no JSON ({error}): correct the line") from error
    if not isinstance(row, dict):
        raise DatasetError(f"{where}: this is no JSON object: write {{...}} on each line")
    _require(cast("Row", row), required, where)
    return cast("Row", row)


def _require(row: Row, required: Sequence[str], where: str) -> None:
    for name in required:
        value = row.get(name)
        if not isinstance(value, str) or not value.strip():
            raise DatasetError(
                f"{where}: the field {name!r} is missing or no text: every row needs "
                f"{', '.join(required)}"
            )
