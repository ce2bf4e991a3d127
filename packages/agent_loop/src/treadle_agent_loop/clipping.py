"""Bounded text: what is too long keeps its head and its tail, and says how much is missing."""


def clip_middle(text: str, limit: int) -> str:
    """Return `text` if it has at most `limit` characters, else its head and tail around a note.

    The note counts the characters that were cut. Two thirds of the room go to the head; the result
    is at most `limit` characters plus the note.
    """
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    cut = len(text) - head - tail
    return f"{text[:head]}\n[... {cut} characters cut ...]\n{text[len(text) - tail :]}"


def last_lines(text: str, count: int) -> str:
    """Return the last `count` lines of `text`, with a note when earlier ones were left out."""
    lines = text.splitlines()
    if len(lines) <= count:
        return "\n".join(lines)
    return "\n".join([f"[... {len(lines) - count} lines cut ...]", *lines[-count:]])


def preview(text: str, limit: int, path: str) -> str:
    """Return head and tail of a text that is too long, around a note that names its full copy.

    Cuts are moved to line ends where one is near.
    """
    head_end = limit * 2 // 3
    tail_start = len(text) - (limit - head_end)
    line_end = text.rfind("\n", head_end - head_end // 4, head_end)
    line_start = text.find("\n", tail_start, tail_start + (len(text) - tail_start) // 4)
    head = text[: line_end if line_end != -1 else head_end]
    tail = text[line_start + 1 if line_start != -1 else tail_start :]
    cut = len(text) - len(head) - len(tail)
    note = f"[... {cut} of {len(text)} characters cut; the full text is in {path} ...]"
    return f"{head}\n{note}\n{tail}"
