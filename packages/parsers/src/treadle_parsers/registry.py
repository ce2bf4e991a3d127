"""Parsers by name: the names that serving engines use for `--tool-call-parser`, and aliases.

A module of the package's own formats is imported when one of its names is asked for.
`register_parser` adds a format of one's own; a name that is unknown is looked for among the
plugins that are installed.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from threading import RLock

from treadle_parsers.catalog import NAMES
from treadle_parsers.errors import DuplicateParserError, UnknownParserError
from treadle_parsers.format import Format
from treadle_parsers.parser import Parser
from treadle_parsers.plugins import load_plugin, plugin_names

_FROM_CHECKPOINTS = ("beam", "hf", "response_template")
"""Names under which engines read a checkpoint's response template."""


class _Registry:
    """Names to formats, formats to parsers; a module of formats is imported when one of its names
    is asked for.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = dict(modules)
        self._formats: dict[str, Format] = {}
        self._parsers: dict[str, Parser] = {}
        self._lock = RLock()

    def add(self, form: Format, *, replace: bool = False) -> None:
        names = (form.name, *form.aliases)
        with self._lock:
            owners = {name: self._find(name) or form for name in names}
            taken = [name for name, owner in owners.items() if owner is not form]
            if taken and not replace:
                raise DuplicateParserError(
                    f"the parser name {taken[0]!r} belongs to the format "
                    f"{owners[taken[0]].name!r}; choose another name or pass replace=True"
                )
            for name in names:
                self._formats[name] = form
            self._parsers.pop(form.name, None)

    def _find(self, name: str) -> Format | None:
        if name not in self._formats and name in self._modules:
            self._load(self._modules[name])
        return self._formats.get(name)

    def _load(self, name: str) -> None:
        module = import_module(f"treadle_parsers.formats.{name}")
        forms: tuple[Format, ...] = module.FORMATS
        with self._lock:
            for form in forms:
                for one in (form.name, *form.aliases):
                    self._formats.setdefault(one, form)

    def get(self, name: str) -> Parser:
        if name in _FROM_CHECKPOINTS:
            raise UnknownParserError(
                f"{name!r} is no format of its own: it reads what a checkpoint carries; pass that "
                "to treadle_parsers.response_template.format_from_response_template"
            )
        form = self._find(name)
        if form is None:
            form = load_plugin(name)
            if form is None:
                known = {*self.names(), *plugin_names()}
                raise UnknownParserError(_unknown(name, sorted(known)))
            self.add(form)
        parser = self._parsers.get(form.name)
        if parser is None or parser.format is not form:
            parser = self._parsers[form.name] = Parser(form)
        return parser

    def names(self) -> tuple[str, ...]:
        return tuple(sorted({*self._formats, *self._modules}))

    def formats(self) -> tuple[Format, ...]:
        for module in sorted({*self._modules.values()}):
            self._load(module)
        forms = {form.name: form for form in self._formats.values()}
        return tuple(forms[name] for name in sorted(forms))


@cache
def _registry() -> _Registry:
    return _Registry({name: module for module, names in NAMES.items() for name in names})


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
    import difflib  # for the message alone

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"known names: {', '.join(sorted(known))}"
    )
    return f"no parser is named {name!r}; {hint}"
