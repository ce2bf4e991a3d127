"""Runs every client against a mock server of its own and writes the table."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers import PEERS, PeerMissingError, python_of

HERE = Path(__file__).parent
_CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 17, "b": 25}}\n</tool_call><|im_end|>'
_LIMITS = {"chat": 1.0, "tokens": 2.0}
_LAG_LIMIT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run."""

    rollouts: int
    turns: int
    latency: float
    repeats: int
    peers: Path | None
    """Folder of the peers' environments; None leaves them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One client's best figures, or why there are none."""

    name: str
    mode: str
    figures: dict[str, Any]
    failure: str = ""


def run(plan: Plan) -> list[Row]:
    """Measure all clients; each `repeats` times in turn, the run with the least CPU counts."""
    with tempfile.TemporaryDirectory(prefix="treadle-bench-") as name:
        folder = Path(name)
        script = write_tokenizer(folder)
        rows: list[Row] = []
        own = Path(sys.executable)
        for mode in ("chat", "tokens"):
            for title, client in (
                ("treadle", "client_treadle.py"),
                ("aiohttp", "client_aiohttp.py"),
            ):
                rows.append(_best(title, mode, own, client, plan, script, folder))
        for peer in PEERS if plan.peers is not None else ():
            try:
                python = python_of(peer, plan.peers or folder)
            except PeerMissingError as error:
                rows.append(Row(name=peer.name, mode="chat", figures={}, failure=str(error)))
                continue
            rows.append(_best(peer.name, "chat", python, peer.script, plan, script, folder))
    return rows


def table(rows: Sequence[Row], plan: Plan) -> str:
    """Return the figures as markdown, with ratios to ours of the same mode."""
    ours = {row.mode: row.figures for row in rows if row.name == "treadle"}
    lines = [
        f"{plan.rollouts} rollouts at once, {plan.turns} turns, {plan.latency * 1e3:g} ms latency, "
        f"least CPU and least lag of {plan.repeats}; Python {platform.python_version()}, "
        f"{os.cpu_count()} CPUs.",
        "",
        "| client | wire | CPU ms a turn | of treadle's | lag max ms | lag p99 ms | wall s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        told = row.figures
        if not told:
            lines.append(f"| {row.name} | {row.mode} | - | - | - | - | {row.failure} |")
            continue
        base = ours[row.mode].get("cpu_ms")
        ratio = f"{told['cpu_ms'] / base:.2f}" if base else "-"
        lines.append(
            f"| {row.name} {told['version']} | {row.mode} | {told['cpu_ms']:.2f} | {ratio} "
            f"| {told['lag_max_ms']:.0f} | {told['lag_p99_ms']:.0f} | {told['wall_s']:.2f} |"
        )
    return "\n".join(lines)


def missed(rows: Sequence[Row]) -> list[str]:
    """Return the limits that ours misses."""
    found: list[str] = []
    for row in rows:
        if row.name != "treadle":
            continue
        if row.failure:
            found.append(f"{row.mode}: {row.failure}")
        elif row.figures["cpu_ms"] > _LIMITS[row.mode]:
            found.append(f"{row.mode}: {row.figures['cpu_ms']:.2f} ms of CPU a turn")
        elif row.figures["lag_max_ms"] > _LAG_LIMIT:
            found.append(f"{row.mode}: the event loop was {row.figures['lag_max_ms']:.0f} ms late")
    return found


def _best(
    name: str,
    mode: str,
    python: Path,
    client: str,
    plan: Plan,
    script: dict[str, Any],
    folder: Path,
) -> Row:
    runs: list[dict[str, Any]] = []
    failure = ""
    for _ in range(plan.repeats):
        with mock_server({**script, "latency": plan.latency, "turns": plan.turns}) as url:
            work = {
                "base_url": url,
                "rollouts": plan.rollouts,
                "turns": plan.turns,
                "mode": mode,
                "tokenizer": str(folder),
            }
            done = subprocess.run(
                [str(python), str(HERE / client), json.dumps(work)],
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
        if done.returncode == 0:
            runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
        else:
            failure = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
            print(f"{name}: {done.stderr[-2000:]}", file=sys.stderr)
            break
    if not runs:
        return Row(name=name, mode=mode, figures={}, failure=failure)
    best = min(runs, key=lambda figures: figures["cpu_ms"])
    calm = min(runs, key=lambda figures: figures["lag_max_ms"])
    lags = {field: calm[field] for field in ("lag_max_ms", "lag_p99_ms")}
    return Row(name=name, mode=mode, figures={**best, **lags})


@contextmanager
def mock_server(options: dict[str, Any]) -> Generator[str]:
    """Run the mock server as a process; yields its base URL."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "mock_server.py"), json.dumps(options)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.communicate()


def write_tokenizer(folder: Path) -> dict[str, Any]:
    """Write a small tokenizer with its template; return what the mock server says with it."""
    from conversation import SYSTEM, TOOL, USER

    from treadle_agent_loop.testing.tokenizers import toy_tokenizer

    tokenizer = toy_tokenizer()
    tokenizer.save(folder)
    opening = tokenizer.render([SYSTEM, USER], [TOOL], generation_prompt=True)
    (folder / "opening.txt").write_text(opening)
    close = tokenizer.id_of("<|im_end|>")
    return {
        "close": close,
        "closed": tokenizer.encode(opening).count(close),
        "call_ids": list(tokenizer.encode(_CALL)),
        "done_ids": list(tokenizer.encode("done<|im_end|>")),
    }
