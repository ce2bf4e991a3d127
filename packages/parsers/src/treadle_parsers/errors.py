"""Errors of the package: misuse by the caller, never a property of the parsed text.

    ParserError
    |- UnknownParserError (LookupError)      no format has that name
    |- DuplicateParserError (ValueError)     the name is taken by another format
    |- UnknownDialectError (LookupError)     the format isn't written that way
    |- StreamClosedError (RuntimeError)      text was fed after close
    |- RenderError (ValueError)              a call that the format can't write
    |- GrammarError (ValueError)             a grammar without tools
    |- TemplateError (ValueError)            a response template that can't be read
    |- PluginError (ImportError)             an installed plugin that can't be loaded
    `- CommandInputError (ValueError)        a file that the command line can't use

No text that a model writes raises any of these: a bad call is a record with a status.
"""


class ParserError(Exception):
    """Root of the errors of this package."""


class UnknownParserError(ParserError, LookupError):
    """No registered format has that name."""


class UnknownDialectError(ParserError, LookupError):
    """The format has no dialect of that name."""


class DuplicateParserError(ParserError, ValueError):
    """A name was registered for a second format."""


class StreamClosedError(ParserError, RuntimeError):
    """Text was fed to a stream that is closed."""


class TemplateError(ParserError, ValueError):
    """A response template holds what no format here can express."""


class GrammarError(ParserError, ValueError):
    """No grammar can be made of what was given."""


class RenderError(ParserError, ValueError):
    """A call can't be written in the format."""


class PluginError(ParserError, ImportError):
    """An entry point of the group `treadle_parsers.formats` can't be loaded or holds no format."""


class CommandInputError(ParserError, ValueError):
    """What the command line was given can't be read as what it should be."""
