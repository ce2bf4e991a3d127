"""What a template family is: a chat template with the vocabulary and the tool-call format it goes
with.

The templates are written for tests, in the manner of a model family's own, with its control tokens
and its habits of rewriting history; they are no copies, and no model was trained on them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of chat templates."""

    name: str
    template: str
    """The Jinja source."""
    parser: str
    """The tool-call format, as `treadle_parsers.get_parser` takes it."""
    control: tuple[str, ...]
    """Special tokens."""
    close: str
    """The token that the model ends its turn with."""
    added: tuple[str, ...] = ()
    """Added tokens that are not special."""
    other_closes: tuple[str, ...] = ()
    """Tokens that may end a turn as well."""
    forgets_thinking: bool = False
    """Whether history drops reasoning that was sampled."""
    rewrites_always: bool = False
    """Whether a new user message changes text before it in every conversation."""
