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
