"""Which format a model writes, from its chat template, its id or a text, with the evidence.

A template counts by the markers it holds: those of every format are looked for, and a
longer or rarer marker weighs more. A text counts by the calls that can be read in it; of formats
that read the same calls, those fit best that leave the least of the text as content, and of these,
those that would write the calls as they stand. Where several formats fit alike, all are named and
none is chosen.
"""

import re
from dataclasses import dataclass

from treadle_parsers.errors import RenderError
from treadle_parsers.format import Format
from treadle_parsers.records import CallStatus, ParsedMessage
from treadle_parsers.registry import all_formats, get_parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What was found."""

    name: str | None
    """The one format that fits best; None when there is none, or more than one."""
    candidates: tuple[str, ...]
    """All formats that fit best, sorted."""
    evidence: tuple[str, ...]
    """What speaks for the candidates, in words."""


_MODEL_IDS = (
    (r"qwen3?[-_]?coder|qwen3\.[5-9]|nemotron-?3|step-?3\.5|nanbeige", "qwen3_coder"),
    (r"hermes-[23]|qwen2\.5|qwen3|qwq|smollm3|trinity", "hermes"),
    (r"deepseek-v4\.1", "deepseek_v41"),
    (r"deepseek-v4", "deepseek_v4"),
    (r"deepseek-v3\.2(?!-exp)", "deepseek_v32"),
    (r"deepseek-v3\.1|deepseek-v3\.2-exp", "deepseek_v31"),
    (r"deepseek-(?:v3|r1)|cogito", "deepseek_v3"),
    (r"glm-(?:4\.[789]|5)", "glm47"),
    (r"glm-4\.[56]", "glm45"),
    (r"kimi-k3", "kimi_k3"),
    (r"kimi-k2", "kimi_k2"),
    (r"minimax-m3", "minimax_m3"),
    (r"minimax-m2", "minimax_m2"),
    (r"gpt-oss", "openai"),
    (r"gemma-4", "gemma4"),
    (r"functiongemma", "functiongemma"),
    (r"(?:mi|mini|magi|dev|code)stral|mixtral", "mistral"),
    (r"llama-4", "llama4_pythonic"),
    (r"xlam", "xlam"),
    (r"toolace", "pythonic"),
    (r"llama-3\.[123]", "llama3_json"),
    (r"lfm2", "lfm2"),
    (r"olmo-?3", "olmo3"),
    (r"granite-4", "granite4"),
    (r"granite-20b", "granite-20b-fc"),
    (r"granite-3", "granite"),
    (r"jamba", "jamba"),
    (r"apertus", "apertus"),
    (r"apriel", "apriel"),
    (r"command-r-plus", "command-r-plus"),
    (r"command-(?:r7b|a)", "cohere_command3"),
    (r"phi-4-mini|firefunction", "phi4_mini_json"),
    (r"internlm|intern-s1", "internlm"),
    (r"ernie-4\.5", "ernie45"),
    (r"seed-oss", "seed_oss"),
    (r"mimo", "mimo"),
    (r"hunyuan-a13b", "hunyuan_a13b"),
    (r"longcat", "longcat"),
    (r"laguna", "poolside_v1"),
    (r"step-?3", "step3"),
    (r"minicpm5", "minicpm5"),
    (r"plamo-?3", "plamo3"),
    (r"gigachat-?3\.5", "gigachat35"),
    (r"gigachat-?3", "gigachat3"),
    (r"functionary.*v3\.1", "functionary_v31"),
    (r"functionary.*v3\.2", "functionary_v32"),
)
"""Model names, the first that matches counts."""

_COMMON = 6
"""A marker of fewer characters is too common to be evidence."""


def detect(
    *, chat_template: str | None = None, model_id: str | None = None, text: str | None = None
) -> Detection:
    """Say which format fits; a template weighs most, then a text, then a model id."""
    evidence: list[str] = []
    scores: dict[str, float] = {}
    for name, markers in _marks(chat_template or "").items():
        scores[name] = 4 * sum(map(len, markers))
        evidence.append(f"the chat template holds {', '.join(map(repr, markers))} ({name})")
    readable = _readable(text or "")
    for name, message in readable.items():
        good = [call for call in message.tool_calls if call.status is CallStatus.OK]
        left = len(message.content) / (len(message.text) + 1)  # under 1: decides between equals
        scores[name] = scores.get(name, 0) + 2 * sum(len(call.raw) for call in good) - left
        evidence.append(f"the text holds {len(good)} readable calls of {good[0].name!r} ({name})")
    named = _by_id(model_id) if model_id else None
    if named:
        scores[named] = scores.get(named, 0) + 1
        evidence.append(f"the model id {model_id!r} is one of {named}")
    if not scores:
        return Detection(name=None, candidates=(), evidence=())
    best = max(scores.values())
    candidates = tuple(sorted(name for name, score in scores.items() if score == best))
    exact = tuple(
        name for name in candidates if name in readable and _written(readable[name], name)
    )
    if exact and exact != candidates:
        evidence += [f"the calls stand there as they are rendered ({name})" for name in exact]
        candidates = exact
    kept = tuple(line for line in evidence if any(_speaks(line, name) for name in candidates))
    name = candidates[0] if len(candidates) == 1 else None
    return Detection(name=name, candidates=candidates, evidence=kept)


def _speaks(line: str, name: str) -> bool:
    return line.endswith((f"({name})", f" {name}"))


def _by_id(model_id: str) -> str | None:
    lowered = model_id.lower().replace("_", "-")
    return next((name for pattern, name in _MODEL_IDS if re.search(pattern, lowered)), None)


def _marks(source: str) -> dict[str, list[str]]:
    """Return, for each format whose call markers are all there, those markers."""
    found: dict[str, list[str]] = {}
    for form in all_formats():
        wanted = evidence_of(form)
        if wanted and all(marker in source for marker in wanted):
            found[form.name] = wanted
    return found


def _readable(text: str) -> dict[str, ParsedMessage]:
    """Return what the formats read in `text` that find a call which can be read."""
    forms = all_formats() if text else ()
    messages = {form.name: get_parser(form.name).parse(text) for form in forms}
    return {
        name: message
        for name, message in messages.items()
        if any(call.status is CallStatus.OK for call in message.tool_calls)
    }


def _written(message: ParsedMessage, name: str) -> bool:
    """Say whether the calls of `message` stand in its text as the format `name` renders them, white
    space aside.
    """
    good = [call for call in message.tool_calls if call.status is CallStatus.OK]
    try:
        rendered = get_parser(name).render(good)
    except RenderError:
        return False
    return "".join(rendered.split()) in "".join(message.text.split())


def evidence_of(form: Format) -> list[str]:
    """Return the literals that a text in `form` must hold; none where the format has no markers."""
    if form.signature is not None:
        return [*form.signature]
    first = form.bodies[0].openers[0]
    return [first] if len(first) >= _COMMON else []


def model_ids_of(form: Format) -> tuple[str, ...]:
    """Return the regular expressions of model ids that name `form`."""
    return tuple(pattern for pattern, name in _MODEL_IDS if name == form.name)
