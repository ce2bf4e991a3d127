"""The bundled model as an async resource: prompt ids in, tokens with logprobs out.

Any number of answers at once, on one background thread; leaving a stream early frees its row at the
next step. The model is a demonstration: it solves the word problems of `treadle_embedded.problems`
with a Python tool and knows nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from treadle_embedded.engine import Engine, EngineStatistics, FinishReason, Job, Outcome
from treadle_embedded.errors import ContextLengthError, EmbeddedError
from treadle_embedded.location import bundle_path
from treadle_embedded.network import Network
from treadle_embedded.prompt import ChatTemplate
from treadle_embedded.sampling import Sampled, Sampling
from treadle_embedded.vocabulary import Vocabulary

END_OF_TURN = "<|im_end|>"


class EmbeddedModel:
    """The model, its tokenizer and its chat template: `async with EmbeddedModel() as model`."""

    def __init__(self, folder: Path | None = None, *, rows: int = 16) -> None:
        """`rows` answers run at once, more wait. Raises: BundleError."""
        folder = folder or bundle_path()
        self.vocabulary = Vocabulary(folder)
        self.template = ChatTemplate(folder)
        self.end_of_turn = self.vocabulary.id_of(END_OF_TURN)
        """The id that ends every answer."""
        network = Network(folder, rows=rows)
        self.context = network.context
        """Positions that a prompt and its answer share."""
        self._engine = Engine(network)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every answer with ModelClosedError and stop the thread. Harmless when done twice."""
        await asyncio.shield(asyncio.to_thread(self._engine.close))

    def statistics(self) -> EngineStatistics:
        """Take a snapshot of the scheduler."""
        return self._engine.statistics()

    def room_for(self, prompt: int) -> int:
        """Say how many tokens an answer to a prompt of this length can have.

        Raises: ContextLengthError when none.
        """
        if prompt >= self.context:
            raise ContextLengthError(
                f"This model's maximum context length is {self.context} tokens. However, your "
                f"request has {prompt} input tokens. Please reduce the length of the input."
            )
        return self.context - prompt

    async def generate(
        self, prompt: list[int], sampling: Sampling
    ) -> AsyncGenerator[Sampled | FinishReason, None]:
        """Yield the tokens of one answer, then why it ended.

        Raises:
            ContextLengthError: the prompt fills the context.
            ModelFailedError: the network broke.
            ModelClosedError: the model was closed meanwhile.
        """
        self.room_for(len(prompt))
        loop = asyncio.get_running_loop()
        outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        report = partial(_hand_over, loop, outcomes)
        job = Job(prompt=prompt, sampling=sampling, report=report)
        self._engine.submit(job)
        try:
            while True:
                outcome = await outcomes.get()
                if isinstance(outcome, EmbeddedError):
                    raise outcome
                yield outcome
                if isinstance(outcome, FinishReason):
                    return
        finally:
            self._engine.cancel(job)


def _hand_over(
    loop: asyncio.AbstractEventLoop, outcomes: asyncio.Queue[Outcome], outcome: Outcome
) -> None:
    with suppress(RuntimeError):  # the loop has closed: nobody is left to hear it
        loop.call_soon_threadsafe(outcomes.put_nowait, outcome)
