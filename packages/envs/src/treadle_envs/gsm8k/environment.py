"""Grade-school maths with a Python tool: the environment itself, without any trainer."""

import random
from collections.abc import Sequence
from typing import Literal, TypeVar

from pydantic import Field

from treadle_agent_loop.context import ToolContext
from treadle_agent_loop.rollout import RolloutResult
from treadle_agent_loop.standard_tools import build_python_tool
from treadle_agent_loop.tools import Tool
from treadle_envs.config import EnvironmentConfig
from treadle_envs.environment import Environment
from treadle_envs.evaluation import EvaluationReport, evaluate_items
from treadle_envs.gsm8k.prompt import SYSTEM_PROMPT
from treadle_envs.gsm8k.scoring import AnswerScorer
from treadle_envs.gsm8k.tasks import load_tasks
from treadle_envs.records import Item


class Gsm8kConfig(EnvironmentConfig):
    """Settings of GSM8K."""

    system_prompt: str | None = SYSTEM_PROMPT
    max_agent_turns: int = Field(default=5, ge=1, description="Model turns per rollout")
    dataset_name: str | None = "openai/gsm8k"
    dataset_subset: str | None = Field(default="main", description="Config of the Hub data set")
    prompt_field: str = "question"
    answer_field: str = Field(default="answer", description="The row's field with `#### GOLD`")
    eval_dataset_name: str | None = Field(
        default=None, description="Data set or .jsonl file to evaluate on; None: the training one"
    )
    eval_split: str = Field(default="test", description="Split to evaluate on (Hub data sets)")
    scorer_workers: int = Field(default=2, ge=1, description="Processes for math-verify")


Gsm8kConfigT = TypeVar("Gsm8kConfigT", bound=Gsm8kConfig)


class Gsm8k(Environment[Gsm8kConfigT]):
    """GSM8K: reward 1.0 when the boxed answer is right, else 0.0."""

    name = "gsm8k"

    async def setup(self) -> None:
        """Load both splits and start the scorer."""
        self._train = await self._load("train")
        self._test = await self._load("eval")
        self._order: list[int] = []
        self._random = random.Random(self.config.seed)
        self.scorer = AnswerScorer(workers=self.config.scorer_workers)

    async def get_next_item(self) -> Item:
        """Return problems in a new random order each epoch, without end."""
        if not self._order:
            self._order = self._random.sample(range(len(self._train)), len(self._train))
        return self._train[self._order.pop()]

    def format_prompt(self, item: Item) -> str:
        """Return the question, unchanged."""
        return str(item[self.config.prompt_field])

    def tools(self) -> Sequence[Tool]:
        """Offer one tool: `python`."""
        return (build_python_tool(timeout=self.config.terminal_timeout),)

    async def compute_reward(self, item: Item, result: RolloutResult, ctx: ToolContext) -> float:
        """Score the last assistant message; tools are neither required nor rewarded."""
        return await self.scorer.score(result.final_text, str(item["gold"]))

    async def evaluate(self) -> EvaluationReport:
        """Evaluate with the training loop, tools and sandbox on the first `eval_limit` problems."""
        return await evaluate_items(
            self.runner,
            self._test[: self.config.eval_limit],
            temperature=self.config.eval_temperature,
            concurrency=self.config.max_eval_workers,
        )

    async def aclose(self) -> None:
        """End the scorer's processes."""
        if hasattr(self, "scorer"):
            await self.scorer.aclose()

    async def _load(self, purpose: Literal["train", "eval"]) -> list[Item]:
        config = self.config
        evaluating = purpose == "eval"
        name = (config.eval_dataset_name if evaluating else None) or config.dataset_name
        return await load_tasks(
            name or "openai/gsm8k",
            subset=config.dataset_subset,
            split=config.eval_split if evaluating else config.dataset_split,
            question_field=config.prompt_field,
            answer_field=config.answer_field,
        )
