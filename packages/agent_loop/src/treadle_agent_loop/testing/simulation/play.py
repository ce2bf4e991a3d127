"""Plays one random rollout: by the agent loop, or by a scaffold that edits its history."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from treadle_agent_loop.compaction import ContextPolicy, DropOldest, StopAtLimit, Summarise
from treadle_agent_loop.errors import ContextLengthError
from treadle_agent_loop.loop import AgentLoop
from treadle_agent_loop.model import Message, SamplingParams
from treadle_agent_loop.testing.families import FAMILIES, Family
from treadle_agent_loop.testing.simulation.engine import (
    LocalEngine,
    LocalTokenClient,
    Logprobs,
)
from treadle_agent_loop.testing.simulation.writing import Writer, tool_schema
from treadle_agent_loop.testing.tokenizers import family_tokenizer
from treadle_agent_loop.token_session import TokenSession
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer
from treadle_agent_loop.tokens.planning import RewritePolicy
from treadle_agent_loop.tools import Tool, tool
from treadle_parsers import ToolSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A rollout that was played, with what its proofs need."""

    family: str
    policy: RewritePolicy
    tokenizer: ChatTokenizer
    engine: LocalEngine
    session: TokenSession
    asked: tuple[tuple[tuple[Message, ...], tuple[ToolSchema, ...]], ...]
    """The conversation and the tools of every answered call, in order."""


class _WatchedSession(TokenSession):
    """Writes down what it was asked."""

    def __init__(self, client: "_WatchedClient") -> None:
        super().__init__(client)
        self.asked: list[tuple[tuple[Message, ...], tuple[ToolSchema, ...]]] = []
        client.opened.append(self)

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: SamplingParams
    ) -> Any:
        turn = await super().complete(messages, tools, sampling)
        self.asked.append((tuple(messages), tuple(tools)))
        return turn


class _WatchedClient(LocalTokenClient):
    def __init__(self, engine: LocalEngine, **options: Any) -> None:
        super().__init__(engine, **options)
        self.opened: list[_WatchedSession] = []

    def session(self) -> _WatchedSession:
        return _WatchedSession(self)


async def simulate(
    rng: random.Random, *, family: Family | None = None, policy: RewritePolicy | None = None
) -> Simulated:
    """Play one rollout; everything about it comes from `rng`, but for what is given."""
    form = family or rng.choice(tuple(FAMILIES.values()))
    chosen = policy or rng.choice((RewritePolicy.BRANCH, RewritePolicy.APPEND_ONLY))
    tokenizer = family_tokenizer(form)
    writer = Writer(form, tokenizer, rng)
    flaky, lying = rng.random() < 0.3, rng.random() < 0.1
    engine = LocalEngine(
        lambda prompt: writer.answer(),
        loses=lambda: flaky and rng.random() < 0.3,
        spoil=lambda values: _spoilt(values, rng) if lying else values,
    )
    looped = rng.random() < 0.5
    client = _WatchedClient(
        engine,
        tokenizer=tokenizer,
        parser=form.parser,
        rewrite_policy=chosen,
        context_length=rng.choice((900, 1500, 6000)) if looped else None,
    )
    opening = _opening(writer, rng)
    if looped:
        await _through_the_loop(client, opening, writer, rng)
    else:
        await _Scaffold(client.session(), writer, rng).play(opening)
    session = client.opened[0]
    return Simulated(
        family=form.name,
        policy=chosen,
        tokenizer=tokenizer,
        engine=engine,
        session=session,
        asked=tuple(session.asked),
    )


def _spoilt(values: Logprobs, rng: random.Random) -> Logprobs:
    if not values or rng.random() < 0.5:
        return values
    bad = rng.choice((None, float("nan"), 0.5, -9999.0, float("-inf")))
    return rng.choice((None, values[1:], (*values[:-1], bad)))


def _opening(writer: Writer, rng: random.Random) -> list[Message]:
    opening: list[Message] = [{"role": "user", "content": writer.text()}]
    if rng.random() < 0.5:
        opening.insert(0, {"role": "system", "content": writer.text()})
    return opening


def _echo(writer: Writer) -> Tool:
    @tool
    async def echo(text: str, extra: Any = None) -> str:
        """Say it back."""
        return text + writer.text()

    return echo


async def _through_the_loop(
    client: _WatchedClient, opening: list[Message], writer: Writer, rng: random.Random
) -> None:
    policies: tuple[ContextPolicy, ...] = (StopAtLimit(), DropOldest(), Summarise(keep_turns=1))
    loop = AgentLoop(
        client,
        [_echo(writer)],
        max_turns=rng.randint(2, 10),
        sampling=SamplingParams(max_tokens=rng.choice((20, 60, 300, 300))),
        context_policy=rng.choice(policies),
    )
    try:
        await loop.run(opening)
    except ContextLengthError:
        return  # the task alone was too long


class _Scaffold:
    """A caller that keeps its own history and does to it what scaffolds do."""

    def __init__(self, session: _WatchedSession, writer: Writer, rng: random.Random) -> None:
        self._session = session
        self._writer = writer
        self._rng = rng
        self._tools = (tool_schema("echo"),)

    async def play(self, opening: list[Message]) -> None:
        """Ask for a few turns, each from one of the histories so far."""
        known: list[list[Message]] = [opening]
        for _ in range(self._rng.randint(1, 7)):
            history = self._next_history(known)
            tools = self._tools if self._rng.random() < 0.9 else ()
            sampling = SamplingParams(max_tokens=self._rng.choice((1, 2, 5, 20, 500, 500)))
            turn = await self._session.complete(history, tools, sampling)
            known.append([*history, turn.message, *self._replies(turn.message)])

    def _next_history(self, known: list[list[Message]]) -> list[Message]:
        rng = self._rng
        draw = rng.random()
        if draw < 0.6:
            return known[-1]
        if draw < 0.75:
            return self._writer.reserialised(known[-1])
        if draw < 0.85:
            return rng.choice(known)
        if draw < 0.92:
            return _opening(self._writer, rng)  # a sub-agent's
        edited = [dict(message) for message in known[-1]]
        edited[rng.randrange(len(edited))]["content"] = self._writer.text()
        return edited

    def _replies(self, answer: Message) -> list[Message]:
        calls: list[dict[str, Any]] = answer.get("tool_calls") or []
        if not calls or self._rng.random() < 0.1:
            return [{"role": "user", "content": self._writer.text()}]
        return [
            {"role": "tool", "tool_call_id": entry["id"], "content": self._writer.text()}
            for entry in calls
        ]
