"""What `treadle-parse` does with its arguments.

Exit status: 0 done, 1 `--check` or `--detect` says no, 2 input that can't be used, with one line
about it. A reader of the output that goes away ends the command without a word (141, as a pipe's
signal would).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from treadle_parsers.cli import inputs, outputs, texts
from treadle_parsers.cli.flags import flags
from treadle_parsers.errors import CommandInputError, ParserError
from treadle_parsers.format import Format
from treadle_parsers.parser import Parser
from treadle_parsers.records import ToolSchema
from treadle_parsers.registry import get_parser, list_parsers


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = flags().parse_args(argv)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  # it was closed
        print("treadle-parse: standard output is closed", file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except (ParserError, OSError) as error:
        print(f"treadle-parse: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return status


def _run(options: argparse.Namespace) -> int:
    if options.list:
        return _list(as_json=options.json)
    if options.detect:
        return _detect(options)
    tools = inputs.read_tools(options.tools) if options.tools else None
    if options.render:
        return _render(options)
    if options.grammar:
        return _grammar(options, tools)
    return texts.read(options, tools)


def _detect(options: argparse.Namespace) -> int:
    given = options.chat_template or options.model_id
    text = None if given and options.file is None else inputs.whole_text(options.file)
    found = texts.found(options, text=text)
    if options.json:
        fields = (found.name, [*found.candidates], [*found.evidence])
        outputs.print_json(
            dict(zip(("format", "candidates", "evidence"), fields, strict=True)), indent=2
        )
    else:
        print(found.name or " or ".join(found.candidates) or "no format fits")
        for line in found.evidence:
            print(f"  {line}")
    return 0 if found.name else 1


def _render(options: argparse.Namespace) -> int:
    parser = _named(options)
    message = inputs.read_message(options.file)
    text = parser.render(
        message.calls,
        content=message.content,
        reasoning=message.reasoning,
        dialect=options.dialect,
    )
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise CommandInputError(
            f"the rendered text holds {error.object[error.start]!a}, half of a character that "
            "UTF-8 can't write; correct the calls"
        ) from error
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    return 0


def _grammar(options: argparse.Namespace, tools: list[ToolSchema] | None) -> int:
    parser = _named(options)
    if tools is None:
        raise CommandInputError("a grammar is made for tools; give them with --tools FILE")
    if options.grammar == "gbnf":
        print(parser.gbnf(tools, dialect=options.dialect))
    else:
        tag = parser.structural_tag(tools, choice=options.tool_choice, dialect=options.dialect)
        outputs.print_json(tag, indent=2)
    return 0


def _named(options: argparse.Namespace) -> Parser:
    """Return the parser that was named, or that the template and the model id name."""
    if options.format != texts.AUTO:
        return get_parser(options.format)
    found = texts.found(options)
    if found.name:
        return get_parser(found.name)
    candidates = f" ({', '.join(found.candidates)} fit alike)" if found.candidates else ""
    raise CommandInputError(f"no single format is named{candidates}; give one with --format NAME")


def _installed() -> list[Format]:
    """Return all formats, those of plugins too; a plugin that can't be loaded is told of."""
    forms: dict[str, Format] = {}
    for name in list_parsers():
        try:
            form = get_parser(name).format
        except ParserError as error:
            print(f"treadle-parse: {error}", file=sys.stderr)
        else:
            forms[form.name] = form
    return [forms[name] for name in sorted(forms)]


def _list(*, as_json: bool) -> int:
    from treadle_parsers.traits import typing_of  # every body; nothing else here needs them

    forms = _installed()
    if as_json:
        outputs.print_json(
            [
                {
                    "name": form.name,
                    "aliases": [*form.aliases],
                    "dialects": [one.name for one in form.dialects],
                    "models": form.models,
                    "summary": form.summary,
                    "typing": typing_of(form).value,
                    "needs_schema": typing_of(form).needs_schema,
                }
                for form in forms
            ],
            indent=2,
        )
        return 0
    for form in forms:
        also = f" ({', '.join(form.aliases)})" if form.aliases else ""
        needs = "tools= types the values" if typing_of(form).needs_schema else "no tools= needed"
        print(f"{form.name}{also}\n    {form.models}; {needs}\n    {form.summary}")
        for dialect in form.dialects:
            print(f"    dialect {dialect.name}: {dialect.models}")
    return 0
