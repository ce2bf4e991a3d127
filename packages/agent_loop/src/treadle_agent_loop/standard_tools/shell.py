"""What the standard tools share: text in and out of the processes that they run."""

from treadle_agent_loop.workspace import CommandResult


def decode(data: bytes) -> str:
    """Decode output; bytes that are no UTF-8 are replaced, one trailing newline goes."""
    return data.decode(errors="replace").removesuffix("\n")


def encode(text: str) -> bytes:
    """Encode a script; lone surrogates (legal in JSON text) become `?` and never raise."""
    return text.encode(errors="replace")


def both_streams(result: CommandResult) -> str:
    """Return standard output, then standard error, as text."""
    parts = [decode(result.stdout), decode(result.stderr)]
    return "\n".join(part for part in parts if part)


def timeout_text(seconds: float, output: str) -> str:
    """Return what a command that ran out of time answers."""
    return f"timed out after {seconds:g} seconds\n{output}".rstrip("\n")
