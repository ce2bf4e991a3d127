"""The bundled chat template: messages and tools to prompt text, as transformers renders it.

`AutoTokenizer.from_pretrained(bundle_path()).apply_chat_template(messages, tools=tools)` gives the
same text. Arguments of earlier calls are rendered as they came: JSON text verbatim, an object as
JSON.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from treadle_embedded.errors import BundleError, RequestError


class ChatTemplate:
    """The template of one bundle."""

    def __init__(self, folder: Path) -> None:
        path = folder / "chat_template.jinja"
        try:
            source = path.read_text(encoding="utf-8")
        except OSError as error:
            raise BundleError(
                f"can't read {path}: {error.strerror}; reinstall the package"
            ) from error
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = _tojson
        self._template = environment.from_string(source)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> str:
        """Render a conversation.

        Raises:
            RequestError: a message lacks what the template needs.
        """
        try:
            return self._template.render(
                messages=messages,
                tools=list(tools) if tools else None,
                add_generation_prompt=add_generation_prompt,
            )
        except (TemplateError, TypeError) as error:
            raise RequestError(
                f"the chat template can't render these messages: {error}", param="messages"
            ) from error


def _tojson(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
