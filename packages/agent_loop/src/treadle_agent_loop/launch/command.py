"""The command lines of the engines, with the flags that rollouts need and nothing else.

vLLM: logprobs of the distribution that is sampled from (`--logprobs-mode processed_logprobs`), no
sampling defaults of the checkpoint behind the caller's back (`--generation-config vllm`), calls
taken out of chat answers. Token ids need no flag: `/v1/completions` gives them to who asks.
SGLang: the same, by its own flags.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from treadle_agent_loop.launch.checkpoint import Checkpoint
from treadle_agent_loop.launch.options import LaunchOptions
from treadle_parsers import get_parser


class EngineKind(StrEnum):
    """The engines that can be started."""

    VLLM = "vllm"
    SGLANG = "sglang"

    @property
    def label(self) -> str:
        """The engine's name as its makers write it."""
        return "vLLM" if self is EngineKind.VLLM else "SGLang"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCommand:
    """A process to start."""

    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Added to the launcher's own."""


# fmt: off
_SGLANG_PARSERS = frozenset(
    {
        "apertus2509", "cohere_command4", "deepseekv3", "deepseekv31", "deepseekv32",
        "deepseekv4", "deepseekv41", "dots", "gemma4", "gigachat3", "gigachat35", "glm45",
        "glm47", "gpt-oss", "hermes", "hunyuan", "inkling", "interns1", "iquest_q1",
        "k2_horizon", "kimi_k2", "kimi_k3", "lfm2", "ling3", "llama3", "mimo", "minicpm5",
        "minimax-m2", "minimax-m3", "mistral", "muse", "poolside_v1", "pythonic",
        "qwen3_coder", "spark25", "step3", "step3p5",
    }
)
# fmt: on
"""What SGLang 0.5.23 calls its parsers."""


def engine_command(
    options: LaunchOptions,
    checkpoint: Checkpoint,
    *,
    python: Path,
    port: int,
    parser: str | None,
    plugin: Path | None = None,
) -> EngineCommand:
    """Return the command that serves a model; `parser` is a format of `treadle_parsers`."""
    name = options.name or checkpoint.name
    place = ("--host", options.host, "--port", str(port), "--served-model-name", name)
    if options.engine == EngineKind.SGLANG:
        argv = (str(python), "-m", "sglang.launch_server", "--model-path", checkpoint.source)
        argv += (*place, *_sglang_parser(parser), "--sampling-defaults", "openai", *options.more)
        return EngineCommand(argv=argv, environment={"SGLANG_RETURN_ORIGINAL_LOGPROB": "false"})
    argv = (str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", checkpoint.source)
    argv += (*place, *_vllm_parser(parser, plugin))
    argv += ("--logprobs-mode", "processed_logprobs", "--generation-config", "vllm", *options.more)
    return EngineCommand(argv=argv)


def sglang_parser_name(parser: str) -> str | None:
    """Return what SGLang calls a format, or None where it has no parser for it."""
    form = get_parser(parser).format
    known = (name for name in (form.name, *form.aliases) if name in _SGLANG_PARSERS)
    return next(known, None)


def _sglang_parser(parser: str | None) -> tuple[str, ...]:
    name = None if parser is None else sglang_parser_name(parser)
    return () if name is None else ("--tool-call-parser", name)


def _vllm_parser(parser: str | None, plugin: Path | None) -> tuple[str, ...]:
    if parser is None:
        return ()
    if plugin is None:
        return ("--enable-auto-tool-choice", "--tool-call-parser", parser)
    return (
        "--enable-auto-tool-choice",
        "--tool-parser-plugin",
        str(plugin),
        "--tool-call-parser",
        f"treadle_{parser}",
    )
