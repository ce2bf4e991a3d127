"""Parsers by name: the names that serving engines use for `--tool-call-parser`, and aliases.

The registry of the package's own formats is built on first use. `register_parser` adds a format
of one's own; a name that is unknown is looked for among the plugins that are installed.
"""

import difflib
from functools import cache
from importlib import import_module
from threading import Lock

from treadle_parsers.errors import DuplicateParserError, UnknownParserError
from treadle_parsers.format import Format
from treadle_parsers.parser import Parser
from treadle_parsers.plugins import load_plugin, plugin_names

_FROM_CHECKPOINTS = ("beam", "hf", "response_template")
"""Names under which engines read a checkpoint's response template."""


class _Registry:
    """Names to formats, formats to parsers."""

    def __init__(self) -> None:
        self._formats: dict[str, Format] = {}
        self._parsers: dict[str, Parser] = {}
        self._lock = Lock()

    def add(self, form: Format, *, replace: bool = False) -> None:
        names = (form.name, *form.aliases)
        with self._lock:
            taken = [name for name in names if self._formats.get(name, form) is not form]
            if taken and not replace:
                raise DuplicateParserError(
                    f"the parser name {taken[0]!r} belongs to the format "
                    f"{self._formats[taken[0]].name!r}; choose another name or pass replace=True"
                )
            for name in names:
                self._formats[name] = form
            self._parsers.pop(form.name, None)

    def get(self, name: str) -> Parser:
        form = self._formats.get(name)
        if name in _FROM_CHECKPOINTS:
            raise UnknownParserError(
                f"{name!r} is no format of its own: it reads what a checkpoint carries; pass that "
                "to treadle_parsers.response_template.format_from_response_template"
            )
        if form is None:
            form = load_plugin(name)
            if form is None:
                known = self._formats.keys() | plugin_names()
                raise UnknownParserError(_unknown(name, sorted(known)))
            self.add(form)
        parser = self._parsers.get(form.name)
        if parser is None or parser.format is not form:
            parser = self._parsers[form.name] = Parser(form)
        return parser

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._formats))

    def formats(self) -> tuple[Format, ...]:
        forms = {form.name: form for form in self._formats.values()}
        return tuple(forms[name] for name in sorted(forms))


_MODULES = (
    "apertus",
    "apriel",
    "cohere",
    "command_r_plus",
    "deepseek",
    "dots",
    "dsml",
    "ernie45",
    "functionary_v31",
    "functionary_v32",
    "functiongemma",
    "gemma4",
    "gigachat3",
    "glm45",
    "glm47",
    "granite",
    "granite4",
    "granite_20b",
    "harmony",
    "hermes",
    "hunyuan_a13b",
    "hy_v3",
    "hy_v4",
    "inkling",
    "internlm",
    "iquest_q1",
    "jamba",
    "json_array",
    "k2_horizon",
    "kimi_k2",
    "kimi_k3",
    "lfm2",
    "llama3",
    "llama4_pythonic",
    "longcat",
    "mimo",
    "minicpm5",
    "minimax_m1",
    "minimax_m2",
    "minimax_m3",
    "mistral",
    "muse",
    "nemotron",
    "olmo3",
    "phi4_mini",
    "plamo3",
    "poolside_v1",
    "pythonic",
    "qwen3_coder",
    "seed_oss",
    "step3",
    "xlam",
)
"""The modules of `treadle_parsers.formats`; imported on first use, not with the package."""


@cache
def _registry() -> _Registry:
    registry = _Registry()
    for name in _MODULES:
        module = import_module(f"treadle_parsers.formats.{name}")
        forms: tuple[Format, ...] = module.FORMATS
        for form in forms:
            registry.add(form)
    return registry


def get_parser(name: str) -> Parser:
    """Return the parser registered as `name` or with that alias.

    Raises: UnknownParserError, whose message holds the nearest names; PluginError when an
    installed plugin offers that name and can't be loaded, DuplicateParserError when it claims a
    name of another format besides.
    """
    return _registry().get(name)


def register_parser(form: Format, *, replace: bool = False) -> Parser:
    """Register `form` under its name and aliases; return its parser.

    Raises: DuplicateParserError when a name belongs to another format and `replace` isn't set.
    """
    _registry().add(form, replace=replace)
    return _registry().get(form.name)


def all_formats() -> tuple[Format, ...]:
    """Return every registered format once, sorted by name; plugins once they were asked for."""
    return _registry().formats()


def list_parsers() -> tuple[str, ...]:
    """Return all names and aliases, sorted, those of installed plugins too."""
    return tuple(sorted({*_registry().names(), *plugin_names()}))


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"known names: {', '.join(sorted(known))}"
    )
    return f"no parser is named {name!r}; {hint}"
