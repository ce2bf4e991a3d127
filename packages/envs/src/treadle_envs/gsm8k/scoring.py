"""The score of a model's text against a gold answer: 1.0 or 0.0.

The answer is what the last `\\boxed{}` holds. Plain numbers are compared exactly, at once; all
else goes to math-verify in a worker process with a hard limit; what math-verify can't read is
compared as text. Scoring never blocks the event loop, and no text makes it raise.
"""

from types import TracebackType
from typing import Self

from treadle_envs.gsm8k.boxed import final_answer
from treadle_envs.gsm8k.numerals import read_number, same_number, same_text
from treadle_envs.gsm8k.verify_pool import VerifyPool

_MAX_ANSWER = 2_000
"""Characters: a longer box is no final answer, and isn't worth a worker's time."""


class AnswerScorer:
    """Scores texts; an async context manager that owns its worker processes.

    `workers` processes start when they are first needed; `limit` is the seconds one comparison may
    take before its process is killed and the answers are compared as text.
    """

    def __init__(self, *, workers: int = 2, limit: float = 5.0) -> None:
        self.pool = VerifyPool(size=workers, limit=limit)

    async def score(self, text: str, gold: str) -> float:
        """Return 1.0 when the text's final answer equals the gold answer, else 0.0.

        Raises:
            ScorerError: no worker process can be started.
        """
        answer = final_answer(text)
        if not answer or len(answer) > _MAX_ANSWER:
            return 0.0
        wanted, given = read_number(gold), read_number(answer)
        if wanted is not None and given is not None:
            return float(same_number(wanted, given))
        equal = await self.pool.compare(gold, answer)
        return float(same_text(gold, answer) if equal is None else equal)

    async def aclose(self) -> None:
        """End the worker processes; safe to call twice."""
        await self.pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
