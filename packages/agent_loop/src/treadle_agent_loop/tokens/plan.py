"""The records of planning: what is asked, what it goes on from, and the prompt that comes of it."""

from dataclasses import dataclass

from treadle_agent_loop.model import Message
from treadle_agent_loop.tokens.delta import Delta
from treadle_agent_loop.tokens.divergence import Divergence
from treadle_agent_loop.tokens.spans import Origin, Span, Turn
from treadle_parsers import ToolSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How a turn compares with the template's writing of it."""

    close: str | None
    """What the template closes it with."""
    difference: Divergence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPlan:
    """The next prompt and where it comes from."""

    ids: tuple[int, ...]
    """The whole prompt."""
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]
    digests: tuple[bytes, ...]
    """One per message, see `chain_digests`."""
    base: Turn | None
    """The turn it goes on from in the same context; None begins a context."""
    origin: Origin
    parent: int | None
    added: tuple[Span, ...]
    """What follows the base's ids; `call` is not yet set in them."""
    text: str
    """The guarded rendering of the whole prompt."""
    delta: Delta | None = None
    """What the template writes after the base's turn."""
    rewritten: bool = False
    """Whether the template changed text that was already sent."""
    injections: int = 0
    """Markers in the added content that were kept from becoming control tokens."""
    measured: Measured | None = None
    """How the base's turn compares with the delta's body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A turn to go on from, and the ids of its context up to it."""

    turn: Turn
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A conversation to be answered."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]
    digests: tuple[bytes, ...]
    """One per message, see `chain_digests`."""

    def answers_after(self, base: "Base | None") -> bool:
        """Whether there are answers that the base doesn't account for."""
        rest = self.messages[base.turn.messages if base is not None else 0 :]
        return any(message.get("role") == "assistant" for message in rest)
