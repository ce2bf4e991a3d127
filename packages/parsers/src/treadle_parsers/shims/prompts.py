"""What a prompt says about the thinking block that the model's text goes on from."""

import re
from collections.abc import Mapping
from typing import Any

from treadle_parsers.parser import Parser


def thinking_is_over(parser: Parser, prompt: str) -> bool:
    """Say whether `prompt` has closed the thinking block of the turn that it begins.

    Blocks of earlier turns don't count: only what follows the last header of an assistant turn, or
    the very end where no header is known.
    """
    blocks = parser.format.thinking
    headers = [found.end() for found in re.finditer(parser.format.turn, prompt)]
    if not headers:
        return any(prompt.rstrip().endswith(block.close) for block in blocks)
    turn = prompt[headers[-1] :]
    return any(turn.rfind(block.close) > turn.rfind(block.open) for block in blocks)


def opened_by(parser: Parser, text: str) -> str:
    """Return the marker that a prompt must have held for `text` to close its block, or nothing."""
    for block in parser.format.thinking:
        before, closed, _ = text.partition(block.close)
        if closed and block.open not in before:
            return block.open
    return ""


def opens_thinking(parser: Parser, tokenizer: Any, options: Mapping[str, Any]) -> bool:
    """Say whether the chat template of `tokenizer` opens the block in its generation prompt.

    `options` are the template's own (`enable_thinking`). A tokenizer without a template opens
    nothing, and neither does a template that can't write a single question.
    """
    if not getattr(tokenizer, "chat_template", None):
        return False
    question = [{"role": "user", "content": "x"}]
    try:
        prompt = tokenizer.apply_chat_template(
            question, tokenize=False, add_generation_prompt=True, **options
        )
    except Exception:  # noqa: BLE001  # templates are programs of others and raise anything
        return False
    return isinstance(prompt, str) and any(
        prompt.rfind(block.open) > prompt.rfind(block.close) for block in parser.format.thinking
    )
