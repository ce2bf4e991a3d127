"""What an environment is: tasks, prompt, tools and a reward. It knows no trainer and no server.

A subclass gives `setup`, `get_next_item`, `format_prompt`, `compute_reward` and `evaluate`; it may
give `tools`, `messages`, `item_id` and `aclose`. Whoever runs it attaches a `GroupRunner` as
`runner` before `setup`: the same object serves training and evaluation, with the same loop, tools
and sandbox.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from treadle_agent_loop.context import ToolContext
from treadle_agent_loop.model import Message
from treadle_agent_loop.rollout import RolloutResult
from treadle_agent_loop.tools import Tool
from treadle_envs.config import EnvironmentConfig
from treadle_envs.evaluation import EvaluationReport
from treadle_envs.group import GroupRunner
from treadle_envs.records import Item

ConfigT = TypeVar("ConfigT", bound=EnvironmentConfig)


class Environment(ABC, Generic[ConfigT]):
    """Base of all environments."""

    name: str | None = None
    """Short name for logs, files and trainers; the class name when None."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._runner: GroupRunner | None = None

    @property
    def runner(self) -> GroupRunner:
        """What runs rollouts of this environment.

        Raises:
            RuntimeError: nobody attached one yet.
        """
        if self._runner is None:
            raise RuntimeError("this environment has no runner yet: call attach() before using it")
        return self._runner

    def attach(self, runner: GroupRunner) -> None:
        """Set what runs the rollouts."""
        self._runner = runner

    @abstractmethod
    async def setup(self) -> None:
        """Load data and open what the rewards need; called once, before anything else."""

    @abstractmethod
    async def get_next_item(self) -> Item | None:
        """Return the next task; None when there are no more."""

    @abstractmethod
    def format_prompt(self, item: Item) -> str:
        """Return the user message for a task."""

    @abstractmethod
    async def compute_reward(self, item: Item, result: RolloutResult, ctx: ToolContext) -> float:
        """Score a rollout; `ctx` works in the sandbox that the rollout ran in, as it left it.

        Raising, or returning a number that isn't finite, breaks the group: it is counted as lost
        and is never scored 0.
        """

    @abstractmethod
    async def evaluate(self) -> EvaluationReport | None:
        """Run the evaluation through `runner`; None when the environment has none."""

    @property
    def system_prompt(self) -> str | None:
        """The system message; None for none."""
        return self.config.system_prompt

    def tools(self) -> Sequence[Tool]:
        """Return the tools the model may call."""
        return ()

    def messages(self, item: Item) -> list[Message]:
        """Return the opening conversation of a task."""
        system = self.system_prompt
        opening: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        return [*opening, {"role": "user", "content": self.format_prompt(item)}]

    def item_id(self, item: Item) -> str:
        """Return a task's stable name: its `id` field, else a hash of its content."""
        if "id" in item:
            return str(item["id"])
        canonical = json.dumps(dict(item), sort_keys=True, default=str)
        return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()

    async def aclose(self) -> None:
        """Close what `setup` opened; safe to call twice."""
