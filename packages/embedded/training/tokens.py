"""The tokenizer: a byte-level BPE of about a thousand tokens in which every digit is its own token.

Numbers must be copied from the question, so digits are never merged. The turn markers are special
tokens; the tool and thinking markers are ordinary added tokens, as in Qwen's tokenizers: decoding
keeps them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from conversations import Setting, Turn, converse, draw_setting
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from treadle_embedded.problems import Split, stream

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKERS = (
    "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One conversation: the ids after the system block, and which of them are learned."""

    ids: list[int]
    trained: list[bool]


class Renderer:
    """Renders conversations with the chat template, as transformers does."""

    def __init__(self) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))

    def render(
        self, messages: list[dict[str, Any]], setting: Setting, *, prompt: bool = False
    ) -> str:
        """Render messages with the setting's tools."""
        tools = setting.schemas() or None
        return self._template.render(messages=messages, tools=tools, add_generation_prompt=prompt)

    def system_block(self, setting: Setting) -> str:
        """What stands before the first user message."""
        return self.render(_system(setting), setting)


def _system(setting: Setting) -> list[dict[str, Any]]:
    return [{"role": "system", "content": setting.system}] if setting.system else []


def train_tokenizer(conversations: int, vocabulary: int, seed: int) -> Tokenizer:
    """Train the tokenizer on rendered training conversations."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKERS),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(islice(_texts(seed), conversations), trainer)
    tokenizer.add_tokens([AddedToken(marker, normalized=False) for marker in MARKERS])
    return tokenizer


def encode(
    turns: list[Turn], setting: Setting, renderer: Renderer, tokenizer: Tokenizer
) -> Encoded:
    """Encode what follows the system block: each assistant turn apart, as it is sampled."""
    ids: list[int] = []
    trained: list[bool] = []

    def add(text: str, learned: bool) -> None:
        piece = tokenizer.encode(text).ids
        ids.extend(piece)
        trained.extend([learned] * len(piece))

    messages = [turn.message for turn in turns]
    done = len(renderer.system_block(setting))
    for index, turn in enumerate(turns):
        if turn.message["role"] == "assistant":
            prompt = renderer.render(messages[:index], setting, prompt=True)
            whole = renderer.render(messages[: index + 1], setting)
            add(prompt[done:], learned=False)
            add(whole[len(prompt) :].removesuffix("\n"), learned=turn.trained)
            done = len(whole) - 1
    return Encoded(ids=ids, trained=trained)


def _texts(seed: int) -> Iterator[str]:
    """Training text without markers."""
    rng, renderer = Random(seed), Renderer()
    problems = stream(seed, split=Split.TRAIN)
    while True:
        setting = draw_setting(rng)
        turns = converse(problems, setting, rng)
        text = renderer.render([turn.message for turn in turns], setting)
        for marker in (*SPECIAL, *MARKERS):
            text = text.replace(marker, "\n")
        yield text
