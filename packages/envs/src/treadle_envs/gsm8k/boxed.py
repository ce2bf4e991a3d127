"""The final answer of a model's text: what stands in its last `\\boxed{}`.

Pure functions on text. Braces are counted, escaped braces are skipped, and thinking (all text up to
the last `</think>`) is ignored. A box that never closes is no answer.
"""

_MARKERS = ("\\boxed", "\\fbox")
_THINK_END = "</think>"


def final_answer(text: str) -> str | None:
    """Return the content of the last closed box after the thinking; None when there is none."""
    answer_text = text.rpartition(_THINK_END)[2]
    position = len(answer_text)
    while True:
        position = max(answer_text.rfind(marker, 0, position) for marker in _MARKERS)
        if position < 0:
            return None
        content = _content_at(answer_text, position)
        if content is not None:
            return content.strip()


def _content_at(text: str, position: int) -> str | None:
    """Return what the braces after the marker at `position` hold; None without a closed pair."""
    start = position
    while start < len(text) and text[start] not in "{ \n\t":
        start += 1
    if text[position:start] not in _MARKERS:
        return None
    while start < len(text) and text[start] in " \n\t":
        start += 1
    if start == len(text) or text[start] != "{":
        return None
    end = _closing_brace(text, start)
    return None if end is None else text[start + 1 : end]


def _closing_brace(text: str, start: int) -> int | None:
    """Return the index of the brace that closes the one at `start`."""
    depth = 0
    index = start
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 2
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return None
