"""Generated word problems in GSM8K's form: the data the bundled model was made for."""

from treadle_embedded.problems.problem import (
    TEMPLATES,
    Problem,
    Split,
    generate,
    split_of,
    stream,
    write_jsonl,
    write_split,
)

__all__ = [
    "TEMPLATES",
    "Problem",
    "Split",
    "generate",
    "split_of",
    "stream",
    "write_jsonl",
    "write_split",
]
