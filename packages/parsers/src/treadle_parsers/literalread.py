"""A value in a dialect, read into the arguments of a call while it arrives."""

from treadle_parsers.cursor import Steps
from treadle_parsers.draft import CallDraft
from treadle_parsers.jsontext import Scan
from treadle_parsers.jsonvalue import Outcome
from treadle_parsers.literals import LiteralScan
from treadle_parsers.reading import Reading


def read_literal(reading: Reading, call: CallDraft, scan: LiteralScan) -> Steps[Outcome]:
    """Read the value at the cursor and pass its JSON text on to `call`; at the end of the text
    nothing is left.
    """
    cursor = reading.cursor
    while True:
        cursor.at = scan.advance(cursor.buffer, cursor.at, ended=cursor.ended)
        call.add(scan.take())
        if scan.state is not Scan.MORE:
            return Outcome.DONE if scan.state is Scan.DONE else Outcome.BAD
        if cursor.ended:
            cursor.at = len(cursor.buffer)
            return Outcome.ENDED
        yield
