"""The rollout record: one versioned JSON form for what a run leaves behind.

`RecordWriter` streams records to disk as rollouts finish, `read_records` reads them back, whatever
version wrote them. The form is frozen in `schema.json` and described in `docs/record.md`.
"""

import json
from importlib import resources
from typing import Any

from treadle_agent_loop.record.lines import JsonLines
from treadle_agent_loop.record.reading import read_record, read_records
from treadle_agent_loop.record.record import VERSION, FailureRecord, Record, RolloutRecord
from treadle_agent_loop.record.writing import RecordWriter, record_json

__all__ = [
    "VERSION",
    "FailureRecord",
    "JsonLines",
    "Record",
    "RecordWriter",
    "RolloutRecord",
    "read_record",
    "read_records",
    "record_json",
    "record_schema",
]


def record_schema() -> dict[str, Any]:
    """Return the JSON schema of one line."""
    text = resources.files(__name__).joinpath("schema.json").read_text(encoding="utf-8")
    return json.loads(text)
