"""Data files and their errors."""

from pathlib import Path

import pytest

from treadle_envs.dataset import read_json_lines
from treadle_envs.errors import DatasetError
from treadle_envs.gsm8k.tasks import load_tasks


async def load(path: Path):
    return await load_tasks(
        str(path), subset=None, split="train", question_field="question", answer_field="answer"
    )


async def test_rows_become_items_with_a_gold_answer(problems: Path):
    items = await load(problems)
    assert len(items) == 120
    assert items[0]["id"] == "problems-1"
    assert set(items[0]) == {"id", "question", "gold"}
    assert "####" not in items[0]["gold"]


async def test_the_real_test_file_loads(shared_gsm8k: Path):
    assert len(await load(shared_gsm8k)) == 1319


GOOD = '{"question": "q", "answer": "because\\n#### 5"}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD + "{broken\n", "line 2: this is no JSON"),
        (GOOD + "[1]\n", "line 2: this is no JSON object"),
        (GOOD + '{"question": "q"}\n', "line 2: the field 'answer' is missing"),
        (GOOD + '{"question": 5, "answer": "#### 5"}\n', "line 2: the field 'question'"),
        (GOOD + '{"question": "q", "answer": "5"}\n', "row 2: 'answer' has no gold answer"),
        (GOOD + '{"question": "q", "answer": "x ####  "}\n', "row 2: 'answer' has no gold"),
        ("\n\n", "is empty"),
        (b"\xff\xfe\n".decode("latin-1"), "line 1: this is no JSON"),
    ],
)
async def test_a_bad_file_is_one_error_that_names_the_place(
    tmp_path: Path, content: str, message: str
):
    path = tmp_path / "data.jsonl"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(DatasetError, match=message) as caught:
        await load(path)
    assert str(path) in str(caught.value)


async def test_a_missing_file_is_one_error(tmp_path: Path):
    with pytest.raises(DatasetError, match="can't be read"):
        await load(tmp_path / "none.jsonl")


def test_blank_lines_are_skipped_and_line_numbers_stay_true(tmp_path: Path):
    path = tmp_path / "data.jsonl"
    path.write_text('\n{"a": "1"}\n\n{"b": "2"}\n')
    with pytest.raises(DatasetError, match="line 4"):
        read_json_lines(path, required=["a"])
