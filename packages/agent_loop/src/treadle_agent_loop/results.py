"""Tool results that are too long for a message: a preview goes to the model, the full text stays.

The full text is written into the workspace, where the model's own tools can read it, and the
preview names the file. When there is no workspace, or it has no room, the preview says only how
much is missing. Failing infrastructure propagates.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from treadle_agent_loop.clipping import clip_middle, preview
from treadle_agent_loop.errors import ToolError
from treadle_agent_loop.tools import ToolReply
from treadle_agent_loop.workspace import Workspace, told_to_model
from treadle_agent_loop.workspace_state import state_file

_FOLDER = "results"
_LEAST = 1_000
"""Characters that every result of a turn may have, however many there are."""


class ResultKeeper:
    """Shortens the replies of one rollout and keeps their full texts in its workspace."""

    def __init__(self, workspace: Workspace | None, *, per_turn: int | None) -> None:
        """`per_turn` is how many characters all results of one turn may have together."""
        self._workspace = workspace
        self._per_turn = per_turn

    async def shorten(
        self, reply: ToolReply, limit: int, label: str, *, keep: bool = True
    ) -> ToolReply:
        """Return a reply of at most `limit` characters plus a note; `label` names its file."""
        if len(reply.text) <= limit:
            return reply
        path = await self._keep(reply.text, label) if keep else ""
        text = preview(reply.text, limit, path) if path else clip_middle(reply.text, limit)
        return replace(reply, text=text, kept_at=path)

    async def fit_turn(
        self, replies: Mapping[int, ToolReply], labels: Mapping[int, str]
    ) -> dict[int, ToolReply]:
        """Shorten the longest replies of a turn until all of them fit together."""
        fitted = dict(replies)
        if self._per_turn is None or sum(len(r.text) for r in fitted.values()) <= self._per_turn:
            return fitted
        share = _share([len(reply.text) for reply in fitted.values()], self._per_turn)
        for index, reply in fitted.items():
            if reply.kept_at:
                fitted[index] = replace(reply, text=clip_middle(reply.text, share))
            else:
                fitted[index] = await self.shorten(reply, share, labels[index])
        return fitted

    async def _keep(self, text: str, label: str) -> str:
        if self._workspace is None:
            return ""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", label)[:80]
        try:
            with told_to_model():
                return await state_file(
                    self._workspace, f"{_FOLDER}/{name}.txt", text.encode(errors="replace")
                )
        except ToolError:
            return ""


def _share(sizes: list[int], room: int) -> int:
    """Return the most that each may have so that all fit, the shorter ones whole."""
    left, waiting = room, sorted(sizes)
    while waiting and waiting[0] <= left // len(waiting):
        left -= waiting.pop(0)
    return max(left // len(waiting), _LEAST) if waiting else room
