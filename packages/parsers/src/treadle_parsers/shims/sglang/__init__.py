"""All formats as detectors of SGLang: `--tool-call-parser treadle_<format>`.

SGLang runs `register` itself, in each of its processes: it is declared as a plugin of the group
`sglang.srt.plugins`, so installing this package beside SGLang is enough, and SGLang's variable
`SGLANG_PLUGINS` restricts which plugins run. Nothing of SGLang is imported before.
"""

from treadle_parsers.registry import list_parsers

__all__ = ["PREFIX", "register"]

PREFIX = "treadle_"
"""What the names that SGLang knows begin with."""


def register() -> None:
    """Add a detector for every format to SGLang's `FunctionCallParser`.

    Raises: ImportError where SGLang isn't installed.
    """
    from treadle_parsers.shims.sglang import detector  # imports SGLang

    for name in list_parsers():
        detector.DETECTORS.setdefault(PREFIX + name, detector.detector_of(name))
