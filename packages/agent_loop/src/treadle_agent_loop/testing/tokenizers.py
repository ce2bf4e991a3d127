"""Small byte-level BPE tokenizers for tests, trained in a moment on a few sentences."""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from treadle_agent_loop.testing.families import Family
from treadle_agent_loop.testing.templates import CLOSES, TEMPLATES
from treadle_agent_loop.tokens.chat_tokenizer import ChatTokenizer

CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin|>",
    "<|head|>",
    "<|sep|>",
    "<|eot|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "[INST]",
    "[/INST]",
    "[TOOLS]",
    "[/TOOLS]",
    "[RESULT]",
    "[/RESULT]",
    "</s>",
)
"""Control tokens of all toy templates."""
ADDED = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
"""Added tokens that are ordinary vocabulary, as in Qwen's tokenizers."""

_TEXT = (
    'You call a tool with {"name": "python", "arguments": {"code": "print(1 + 2)"}} and read it.',
    "The answer is \\boxed{42}. Let me think about what the user wants, step by step.",
    "system user assistant tool environment\n\n# Tools\n<tools>\n</tools>\n",
    '{"type": "function", "function": {"description": "Run", "parameters": {"type": "object"}}}',
    "properties required string integer <| im_ start end |> < tool_ call think response >\n\n\n",
)


@cache
def _trained(text: tuple[str, ...], control: Sequence[str], added: Sequence[str]) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(text * 4, trainer)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in control])
    plain = [AddedToken(text, normalized=False, special=False) for text in added]
    tokenizer.add_tokens(plain)
    return tokenizer.to_str()


@cache
def toy_tokenizer(template: str = "append") -> ChatTokenizer:
    """Make a tokenizer with one of `templates.TEMPLATES`."""
    eos = CLOSES.get(template, "<|im_end|>") or "<|endoftext|>"
    return ChatTokenizer(
        _made(_trained(_TEXT, CONTROL, ADDED), eos), chat_template=TEMPLATES[template]
    )


@cache
def family_tokenizer(family: Family) -> ChatTokenizer:
    """Make a tokenizer with the template and the control tokens of a family.

    Its vocabulary is trained on that template's own text, so every family has another one.
    """
    trained = _trained((*_TEXT, family.template), family.control, family.added)
    return ChatTokenizer(_made(trained, family.close), chat_template=family.template)


def _made(definition: str, eos: str) -> Any:
    from transformers import PreTrainedTokenizerFast  # takes seconds to import

    made: Any = cast("Any", PreTrainedTokenizerFast)
    return made(tokenizer_object=Tokenizer.from_str(definition), eos_token=eos)
