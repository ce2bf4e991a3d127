"""Reading a text for the command: which format it is in, and what is printed of it."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from treadle_parsers.cli import inputs, outputs
from treadle_parsers.cli.explanation import Look, explain
from treadle_parsers.detection import Detection, detect
from treadle_parsers.diagnosis import reason
from treadle_parsers.errors import CommandInputError
from treadle_parsers.events import Event
from treadle_parsers.openai import DeltaWriter, message_dict
from treadle_parsers.parser import Parser
from treadle_parsers.records import CallStatus, ParsedMessage, ToolSchema
from treadle_parsers.registry import get_parser

AUTO = "auto"
"""The format that is found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A text, and the formats that it is read in, all of which read it alike."""

    names: tuple[str, ...]
    arriving: Iterator[str]

    @property
    def parser(self) -> Parser:
        return get_parser(self.names[0])


def read(options: argparse.Namespace, tools: list[ToolSchema] | None) -> int:
    """Read the text, print it as asked, return the exit status. Raises: ParserError."""
    source = _source(options, tools)
    if options.stream is not None:
        message = _stream(options, source, tools)
    else:
        message = source.parser.parse(
            "".join(source.arriving),
            tools,
            prefix=options.prefix,
            finish_reason=options.finish_reason,
        )
        if options.explain:
            _explain(options, source, message, tools)
        elif options.openai:
            outputs.print_json(message_dict(message), indent=2)
        else:
            outputs.print_json(outputs.record_dict(message, source.names, tools), indent=2)
    bad = any(call.status is not CallStatus.OK for call in message.tool_calls)
    return 1 if options.check and bad else 0


def _stream(
    options: argparse.Namespace, source: _Source, tools: list[ToolSchema] | None
) -> ParsedMessage:
    """Print events as they become certain, then the record."""
    writer = DeltaWriter()
    stream = source.parser.stream(tools, prefix=options.prefix)

    def show(events: Sequence[Event]) -> None:
        shown = writer.write(events) if options.openai else map(outputs.event_dict, events)
        for one in shown:
            outputs.print_json(one)
        sys.stdout.flush()

    for piece in inputs.pieces_of(source.arriving, options.stream):
        show(stream.feed(piece))
    message = stream.close(options.finish_reason)
    show(stream.final_events)
    if not options.openai:
        record = outputs.record_dict(message, source.names, tools)
        outputs.print_json({"event": "message", **record})
    return message


def _explain(
    options: argparse.Namespace,
    source: _Source,
    message: ParsedMessage,
    tools: list[ToolSchema] | None,
) -> None:
    encoding = (sys.stdout.encoding or "ascii").lower()
    look = Look(
        width=shutil.get_terminal_size().columns,
        colour=_coloured(options.color),
        ascii=not encoding.startswith("utf"),
    )
    reasons = {call.index: reason(call, tools) for call in message.tool_calls}
    for line in explain(message, " or ".join(source.names), reasons, look):
        print(line)


def _coloured(choice: str) -> bool:
    if choice != AUTO:
        return choice == "always"
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def _source(options: argparse.Namespace, tools: list[ToolSchema] | None) -> _Source:
    """Return the text and its formats. Raises: CommandInputError where they can't be told."""
    if options.format != AUTO:
        names = (get_parser(options.format).name,)
        return _Source(names=names, arriving=inputs.arriving_text(options.file))
    fit = found(options)
    if fit.name:
        return _Source(names=(fit.name,), arriving=inputs.arriving_text(options.file))
    text = inputs.whole_text(options.file)
    fit = found(options, text=text)
    if not fit.candidates:
        raise CommandInputError(
            "no format is known that this is written in; name one with --format (see --list), or "
            "give --chat-template or --model-id"
        )
    if not _alike(fit.candidates, text, options, tools):
        raise CommandInputError(
            f"the format is ambiguous: {', '.join(fit.candidates)} fit alike and read the text "
            "differently; choose one with --format"
        )
    return _Source(names=fit.candidates, arriving=iter((text,)))


def _alike(
    names: tuple[str, ...], text: str, options: argparse.Namespace, tools: list[ToolSchema] | None
) -> bool:
    """Say whether all formats read the same in the text, apart from the ids that they make up."""
    why = options.finish_reason
    records = [
        get_parser(name).parse(text, tools, prefix=options.prefix, finish_reason=why)
        for name in names
    ]
    plain = [
        replace(one, tool_calls=tuple(replace(call, id="") for call in one.tool_calls))
        for one in records
    ]
    return all(one == plain[0] for one in plain)


def found(options: argparse.Namespace, *, text: str | None = None) -> Detection:
    """Say which format fits the template, the model id and the text. Raises: CommandInputError."""
    template = inputs.whole_text(options.chat_template) if options.chat_template else None
    return detect(chat_template=template, model_id=options.model_id, text=text)
