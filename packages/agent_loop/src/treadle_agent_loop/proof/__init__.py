"""Proofs after the fact: saved rollouts against the ledger's promises, and chat templates against
append-only behaviour.
"""

from treadle_agent_loop.proof.breach import Breach, Promise
from treadle_agent_loop.proof.saved import SavedRollout, read_rollout
from treadle_agent_loop.proof.template import TemplateReport, check_template
from treadle_agent_loop.proof.texts import TextProof
from treadle_agent_loop.proof.tokens import check_tokens

__all__ = [
    "Breach",
    "Promise",
    "SavedRollout",
    "TemplateReport",
    "TextProof",
    "check_template",
    "check_tokens",
    "read_rollout",
]
