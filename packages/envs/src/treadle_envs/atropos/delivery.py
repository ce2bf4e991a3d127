"""Bringing one exported group to its trainer and its file: checked, sent once, written as sent.

A group that breaks a rule, is refused, or can't be delivered within the client's patience is a
`GroupLostError` with that reason; nothing is dropped in silence.
"""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from treadle_envs.atropos.config import AgentEnvConfig
from treadle_envs.atropos.export import Payload, check_payload, pieces
from treadle_envs.atropos.trajectory_client import TrajectoryClient
from treadle_envs.errors import GroupLostError, PayloadError, TrajectoryApiError
from treadle_envs.recording import JsonLines
from treadle_envs.records import LossReason

_TRAINER_POLL = 0.5
logger = logging.getLogger(__name__)


class Delivery:
    """Where groups go: a trainer, a file, both or neither."""

    def __init__(self) -> None:
        self.api: TrajectoryClient | None = None
        self.env_id = -1
        self.lines: JsonLines | None = None

    @contextmanager
    def writing(self, path: Path) -> Generator[JsonLines]:
        """Write what is delivered to `path`, or to its first free `_1`, `_2` ... variant."""
        with JsonLines(_unused(path)) as self.lines:
            yield self.lines
        self.lines = None

    async def deliver(self, payload: Payload | None, *, config: AgentEnvConfig, send: bool) -> None:
        """Check, send and write one group.

        Raises:
            GroupLostError: it wasn't delivered.
        """
        if payload is None:
            raise GroupLostError(LossReason.INVALID, "postprocess_histories returned no group")
        if config.ensure_scores_are_not_same and len(set(payload["scores"])) == 1:
            raise GroupLostError(
                LossReason.SAME_SCORES, f"all its scores are {payload['scores'][0]:g}"
            )
        try:
            check_payload(payload)
        except PayloadError as error:
            raise GroupLostError(LossReason.INVALID, str(error)) from error
        parts = pieces(payload, config.group_size)
        if send and self.api is not None:
            for part in parts:
                await self._send(self.api, part)
        if self.lines is not None:
            for part in parts:
                self.lines.write(part)

    async def _send(self, api: TrajectoryClient, part: Payload) -> None:
        try:
            # A restarted API that takes data before its trainer registers never works again.
            while (await api.info()).batch_size == -1:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(_TRAINER_POLL)
            answer = await api.send(part, env_id=self.env_id)
        except TrajectoryApiError as error:
            reason = LossReason.REFUSED if error.refused else LossReason.UNDELIVERED
            raise GroupLostError(reason, str(error)) from error
        if answer == "buffered":
            logger.info(
                "the trajectory API holds %d sequences back until others fill the group up",
                len(part["tokens"]),
            )


def _unused(path: Path) -> Path:
    candidate, number = path, 0
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}_{number}")
    return candidate
