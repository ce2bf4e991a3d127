"""How token ids travel to an engine and back: one module per wire, one `TokenTransport` for all.

`choose_transport` asks a server which of them it speaks.
"""

from treadle_agent_loop.transports.base import Completion, TokenTransport
from treadle_agent_loop.transports.choosing import Engine, choose_transport
from treadle_agent_loop.transports.sglang_generate import SglangGenerate
from treadle_agent_loop.transports.vllm_completions import VllmCompletions
from treadle_agent_loop.transports.vllm_generate import VllmGenerate

__all__ = [
    "Completion",
    "Engine",
    "SglangGenerate",
    "TokenTransport",
    "VllmCompletions",
    "VllmGenerate",
    "choose_transport",
]
