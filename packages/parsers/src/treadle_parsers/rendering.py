"""A message written the way a format's chat template shows it: reasoning, content, calls.

What a template puts around a turn (its header, an empty thinking block in it, the token that ends
the turn) is no part of the message and is not written.
"""

from collections.abc import Sequence

from treadle_parsers.format import Format, Frame
from treadle_parsers.records import ToolCall


def message_text(
    form: Format, calls: Sequence[ToolCall], *, content: str = "", reasoning: str = ""
) -> str:
    """Return the text of the message. Raises: RenderError when a call can't be written."""
    said = _framed(form.content_frame, content)
    written = form.bodies[0].render([*calls]) if calls else ""
    if written:
        written = form.calls_frame.open + written + form.calls_frame.close
    before, after = (written, said) if form.content_last else (said, written)
    gap = ""
    if written:
        gap = form.gap if content else form.lead
    return _reasoning(form, reasoning) + before + gap + after


def _reasoning(form: Format, reasoning: str) -> str:
    if not reasoning:
        return ""
    if form.reasoning_frame.open:
        return _framed(form.reasoning_frame, reasoning)
    if not form.thinking:
        return ""
    block = form.thinking[0]
    return block.open + block.lead + reasoning + block.tail + block.close + block.gap


def _framed(frame: Frame, text: str) -> str:
    return frame.open + text + frame.close if text or frame.always else ""
