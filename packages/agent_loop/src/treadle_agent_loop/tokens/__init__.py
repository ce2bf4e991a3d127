"""Exact tokens: chat templates, injection-safe encoding, and the token ledger."""

from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.divergence import Divergence
from treadle_agent_loop.tokens.evidence import DropReason
from treadle_agent_loop.tokens.ledger import TokenLedger
from treadle_agent_loop.tokens.plan import PromptPlan
from treadle_agent_loop.tokens.planning import RewritePolicy
from treadle_agent_loop.tokens.spans import Context, Origin, Provenance, Sample, Span

__all__ = [
    "ChatTokenizer",
    "Context",
    "Divergence",
    "DropReason",
    "Origin",
    "PromptPlan",
    "Provenance",
    "RewritePolicy",
    "Sample",
    "Span",
    "TokenLedger",
]
