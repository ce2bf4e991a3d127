"""The text of a whole Python literal, as JSON."""

from treadle_parsers.dialects import PYTHON
from treadle_parsers.jsontext import Scan
from treadle_parsers.literals import LiteralScan


def to_json(text: str) -> str | None:
    """Return JSON for the Python literal `text`; None when it isn't one."""
    scan = LiteralScan(PYTHON)
    stop = scan.advance(text, 0, ended=True)
    if scan.state is not Scan.DONE or text[stop:].strip():
        return None
    return scan.take()
