"""The command `treadle-loop`: proofs about saved rollouts and chat templates.

Exit status: 0 proven (or usable), 1 refuted (or not usable), 2 bad usage or unreadable input.
Tokenizers are imported only after the arguments are understood.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from treadle_agent_loop.errors import ChatTemplateError, SavedRolloutError

if TYPE_CHECKING:
    from treadle_agent_loop.proof import Breach, SavedRollout, TemplateReport, TextProof
    from treadle_agent_loop.tokens import ChatTokenizer

_LARGE = 64_000_000
"""Bytes from which on a file is worth a progress line."""
_PROGRESS_SECONDS = 5.0
_IGNORED = (
    "IGNORED: the template writes nothing of them, so the model would never see a tool; "
    "give a template that does with --chat-template"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    flags = _parser().parse_args(argv)
    # transformers tells everybody who lacks PyTorch; tokenizers don't need it.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    try:
        if flags.command == "verify":
            return _verify(flags.rollouts, flags.tokenizer)
        return _check_template(flags.tokenizer, flags.chat_template)
    except (OSError, UnicodeError, ChatTemplateError) as error:
        print(f"treadle-loop: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="treadle-loop", description="Proofs about saved rollouts and chat templates."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser(
        "verify",
        help="prove the promises of the token ledger again from a saved run",
        description="Prove the promises of the token ledger again from a rollouts.jsonl. "
        "Prints one line per broken promise; exits 1 when there is one.",
    )
    verify.add_argument("rollouts", type=Path, help="the rollouts.jsonl of a run")
    verify.add_argument(
        "--tokenizer", help="a tokenizer's folder or hub name: compare the ids with the messages"
    )
    check = commands.add_parser(
        "check-template",
        help="find out whether a chat template only appends",
        description="Play small conversations through a chat template. Exits 0 when token-exact "
        "rollouts with tools can run on it.",
    )
    check.add_argument("tokenizer", help="a tokenizer's folder or hub name")
    check.add_argument(
        "--chat-template", type=Path, help="a Jinja file instead of the tokenizer's own template"
    )
    return parser


def _load(name: str, template: Path | None = None) -> "ChatTokenizer":
    source = None if template is None else template.read_text(encoding="utf-8")
    from treadle_agent_loop.tokens import ChatTokenizer

    return ChatTokenizer.load(name, chat_template=source)


class _Tally:
    """Counts what a run over a file found, and prints breaches as they come."""

    def __init__(self, texts: "TextProof | None") -> None:
        self._texts = texts
        self.rollouts = 0
        self.failures = 0
        self.without_tokens = 0
        self.broken = 0
        self.sampled = 0
        self.trained = 0
        self.dropped: Counter[str] = Counter()
        self.logprobs: Counter[str] = Counter()

    def read(self, number: int, line: bytes) -> None:
        """Check one line of the file."""
        from treadle_agent_loop.proof import read_rollout
        from treadle_agent_loop.record.reading import is_torn

        if is_torn(line):
            print(f"line {number}: half written ({len(line)} bytes): the run was cut off there")
            return
        try:
            rollout = read_rollout(line)
        except SavedRolloutError as error:
            self.broken += 1
            print(f"line {number}: record: {error}")
            return
        if rollout is None:
            self.failures += 1
            return
        self._count(rollout)
        breaches = self._breaches(rollout)
        self.broken += len(breaches)
        for breach in breaches:
            print(f"line {number}: {rollout.rollout_id}: {breach.promise}: {breach.what}")

    def _breaches(self, rollout: "SavedRollout") -> "list[Breach]":
        from treadle_agent_loop.proof import check_tokens

        breaches = list(check_tokens(rollout))
        if not breaches and self._texts is not None:
            breaches = list(self._texts.check(rollout))
        return breaches

    def _count(self, rollout: "SavedRollout") -> None:
        self.rollouts += 1
        if not rollout.segments:
            self.without_tokens += 1
            return
        self.sampled += rollout.ledger.sampled
        self.trained += rollout.ledger.trained
        self.dropped.update(rollout.ledger.dropped)
        self.logprobs[rollout.ledger.logprobs] += 1

    def summarise(self) -> None:
        """Print the summary."""
        print(
            f"{self.rollouts} rollouts ({self.without_tokens} without tokens), "
            f"{self.failures} failed ones: "
            f"{self.sampled} ids sampled = {self.trained} trained + {self.dropped.total()} dropped"
            f"{_listed(self.dropped)}"
        )
        if self.logprobs:
            print(f"logprobs by rollout:{_listed(self.logprobs)}")
        if self._texts is not None:
            print(
                f"{self._texts.turns} turns hold their messages' text; "
                f"{self._texts.measured} set beside the template's own writing, divergences:"
                f"{_listed(self._texts.divergences) or ' none'}"
            )
        if self.broken:
            print(f"REFUTED: {self.broken} broken promises")
        elif self.rollouts:
            print("proven: every promise that the file can show holds")
        else:
            print("nothing to prove: the file has no rollouts")


def _listed(counts: Counter[str]) -> str:
    if not counts:
        return ""
    return " (" + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) + ")"


def _verify(path: Path, tokenizer: str | None) -> int:
    with path.open("rb") as file:
        texts = None
        if tokenizer is not None:
            from treadle_agent_loop.proof import TextProof

            texts = TextProof(_load(tokenizer))
        tally = _Tally(texts)
        _read_all(file, path.stat().st_size, tally)
    tally.summarise()
    return 1 if tally.broken else 0


def _read_all(file: BinaryIO, size: int, tally: _Tally) -> None:
    """Read a file line by line, so that memory is bounded by its longest line."""
    done, told = 0, time.monotonic()
    for number, line in enumerate(file, start=1):
        done += len(line)
        if line.strip():
            tally.read(number, line)
        if size >= _LARGE and time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"line {number}, {100 * done // size} % of the file", file=sys.stderr)


def _check_template(name: str, template: Path | None) -> int:
    tokenizer = _load(name, template)
    from treadle_agent_loop.proof import check_template

    report = check_template(tokenizer)
    _show(report)
    return 0 if report.usable else 1


def _show(report: "TemplateReport") -> None:
    for name, case in report.cases.items():
        notes = [case.detail] if case.detail else []
        notes += [f"{case.soft} soft boundaries"] if case.soft else []
        notes += [f"{case.closes} synthesised closes"] if case.closes else []
        print(f"{name + ':':20}{case.outcome}{' (' + '; '.join(notes) + ')' if notes else ''}")
    print(f"{'tools=:':20}{_IGNORED if report.ignores_tools else 'in the prompt'}")
    print(f"{'content:':20}{'stripped' if report.strips_content else 'kept as it is'}")
    print(f"{'default system:':20}{report.default_system[:100] or 'none'}")
    fits = (
        "any policy: nothing is rewritten, `refuse` would find out if that changed"
        if report.appends
        else "`branch`: history is rewritten, so it opens new segments; `append_only` overrules it"
    )
    print(f"{'policy:':20}{fits}")
    verdict = "append-only" if report.appends else "not append-only"
    print(f"{verdict}, {'usable' if report.usable else 'NOT usable with tools'}")
