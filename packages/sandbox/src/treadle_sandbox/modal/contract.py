"""Which commands a Modal lease accepts."""

from collections.abc import Mapping, Sequence

from treadle_sandbox.errors import InvalidCommandError

_TIMEOUT_MOST = 10_000_000.0
_OUTPUT_MOST = 200_000_000


def check_command(
    argv: Sequence[str], environment: Mapping[str, str], *, timeout: float, output_limit: int
) -> None:
    """Raise InvalidCommandError for a command that can't mean anything."""
    if isinstance(argv, str) or not argv or not argv[0]:
        raise InvalidCommandError(f"argv is {argv!r}: give a list that starts with a program")
    for word in (*argv, *environment.values()):
        if "\0" in word:
            raise InvalidCommandError("a word holds a NUL character; no program can receive it")
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise InvalidCommandError(f"Modal can't carry {word!r}: {error.reason}") from None
    for name in environment:
        if not name or "=" in name or "\0" in name:
            raise InvalidCommandError(f"environment variable {name!r} can't be passed on")
    if not 0 < timeout < _TIMEOUT_MOST:
        raise InvalidCommandError(f"timeout is {timeout!r}: give seconds above 0")
    if not 0 <= output_limit <= _OUTPUT_MOST:
        raise InvalidCommandError(
            f"output_limit is {output_limit!r}: give 0 to {_OUTPUT_MOST} bytes"
        )
