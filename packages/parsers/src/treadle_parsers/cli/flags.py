"""The arguments of `treadle-parse`."""

import argparse

DESCRIPTION = """\
Read the text of an assistant message and print what is in it: content, reasoning and tool calls,
as one JSON object. Exit status: 0 the text was read (a malformed call is data, not a failure),
1 --check found a call that isn't ok, or --detect found no single format, 2 unusable input."""

EXAMPLES = """\
examples:
  treadle-parse --format hermes --tools tools.json reply.txt
  treadle-parse --model-id Qwen/Qwen3-8B --explain reply.txt
  generate | treadle-parse --format qwen3_coder --stream 0
  treadle-parse --format hermes reply.txt | treadle-parse --render --format kimi_k2
  treadle-parse --grammar gbnf --format hermes --tools tools.json"""


def flags() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(
        prog="treadle-parse",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="a UTF-8 file; standard input without it, or for -"
    )
    _add_reading(parser)
    _add_actions(parser)
    _add_output(parser)
    return parser


def _add_reading(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the text is read")
    group.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help="a name that --list shows; auto (the default) finds it out from the template and the "
        "model id, or else from the whole text",
    )
    group.add_argument(
        "--tools", metavar="FILE", help="a JSON list of OpenAI tools: types and checks the calls"
    )
    group.add_argument(
        "--prefix", default="", metavar="TEXT", help="the end of the prompt that the text goes on"
    )
    group.add_argument(
        "--finish-reason", metavar="R", help="why generation ended; length marks a cut-off call"
    )
    group.add_argument(
        "--chat-template", metavar="FILE", help="the model's chat template, for auto and --detect"
    )
    group.add_argument("--model-id", metavar="ID", help="the model's id, for auto and --detect")


def _add_actions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is printed instead").add_mutually_exclusive_group()
    group.add_argument(
        "--stream",
        type=_count,
        metavar="N",
        help="feed N characters at a time (0: as they arrive) and print one event a line",
    )
    group.add_argument(
        "--explain", action="store_true", help="what each part of the text is, in colour"
    )
    group.add_argument("--list", action="store_true", help="the formats")
    group.add_argument(
        "--detect", action="store_true", help="which format it is, and what speaks for it"
    )
    group.add_argument(
        "--render",
        action="store_true",
        help="the way back: read calls, a message or a record as JSON, print the text",
    )
    group.add_argument(
        "--grammar",
        choices=("gbnf", "structural-tag"),
        help="a grammar of calls of the --tools, for llama.cpp or xgrammar",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--dialect",
        metavar="NAME",
        help="for --render and --grammar: the way of writing of models whose template differs, "
        "as --list names it",
    )
    group.add_argument("--check", action="store_true", help="exit 1 when any call isn't ok")
    group.add_argument(
        "--openai", action="store_true", help="an OpenAI message, or deltas, instead of the record"
    )
    group.add_argument("--json", action="store_true", help="--list and --detect as JSON")
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours of --explain; auto: on a terminal, unless NO_COLOR is set",
    )
    group.add_argument(
        "--tool-choice",
        choices=("auto", "required"),
        default="auto",
        help="whether a structural tag demands a call",
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of characters; give 0 or more")
    return int(text)
