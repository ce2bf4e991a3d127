"""The problems: rows of GSM8K, or of a file in its form, as items with a gold answer."""

from pathlib import Path

from treadle_envs.dataset import Row, load_hub_rows, read_json_lines
from treadle_envs.errors import DatasetError
from treadle_envs.records import Item

_GOLD_MARK = "####"


async def load_tasks(
    name: str, *, subset: str | None, split: str, question_field: str, answer_field: str
) -> list[Item]:
    """Return the items of a Hub data set, or of a JSON-lines file (a path ending in .jsonl).

    Raises:
        DatasetError: it can't be loaded, or a row has no gold answer after `####`.
    """
    required = (question_field, answer_field)
    if Path(name).suffix in {".jsonl", ".json", ".ndjson"}:
        rows = read_json_lines(Path(name), required=required)
        source = Path(name).stem
    else:
        rows = await load_hub_rows(name, subset=subset, split=split, required=required)
        source = f"{name.rpartition('/')[2]}-{split}"
    return [
        {
            "id": f"{source}-{number}",
            question_field: row[question_field],
            "gold": _gold(row, answer_field, f"{name}, row {number}"),
        }
        for number, row in enumerate(rows, start=1)
    ]


def _gold(row: Row, field: str, where: str) -> str:
    _, mark, gold = str(row[field]).rpartition(_GOLD_MARK)
    if not mark or not gold.strip():
        raise DatasetError(
            f"{where}: {field!r} has no gold answer: it must end in `{_GOLD_MARK} ANSWER`"
        )
    return gold.strip()
