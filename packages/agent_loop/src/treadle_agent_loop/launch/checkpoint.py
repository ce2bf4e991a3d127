"""What a model folder or a hub name tells before anything is started: its template, its parser."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from treadle_agent_loop.errors import LaunchError
from treadle_parsers import UnknownParserError, detect, get_parser

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model to serve."""

    source: str
    """What the engine and the tokenizer are loaded from."""
    name: str
    """What it is called without more ado."""
    chat_template: str | None
    """None for a hub name: nothing is downloaded to find out."""


def find_checkpoint(model: str) -> Checkpoint:
    """Look at a folder, or take a hub name as one.

    Raises:
        LaunchError: it is neither, or a folder without a model.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise LaunchError(f"{model} holds no model: it has no config.json")
        resolved = folder.resolve()
        return Checkpoint(
            source=str(resolved), name=resolved.name, chat_template=_chat_template(folder)
        )
    if folder.exists() or not _HUB_NAME.fullmatch(model):
        raise LaunchError(f"{model!r} is neither a model folder nor a hub name like Qwen/Qwen3-8B")
    return Checkpoint(source=model, name=model, chat_template=None)


def choose_parser(checkpoint: Checkpoint, wanted: str) -> str | None:
    """Return the format that the model writes: the one named, or found by its template or name.

    None is for `none`, and where nothing tells the format.

    Raises:
        LaunchError: no such format, or several fit alike.
    """
    if wanted == "none":
        return None
    if wanted != "auto":
        try:
            return get_parser(wanted).name
        except UnknownParserError as error:
            raise LaunchError(f"--tool-parser: {error.args[0]}") from error
    found = detect(chat_template=checkpoint.chat_template, model_id=checkpoint.name)
    if found.name is None and found.candidates:
        names = ", ".join(found.candidates)
        raise LaunchError(f"the model's calls could be read by {names}: name one by --tool-parser")
    return found.name


def _chat_template(folder: Path) -> str | None:
    """Return the template as transformers finds it: its own file first."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = _field(folder / name, "chat_template")
        if isinstance(template, str):
            return template
        if isinstance(template, list):  # several, by name
            entries = cast("list[dict[str, Any]]", template)
            return "\n".join(str(entry.get("template")) for entry in entries)
    return None


def _field(path: Path, name: str) -> Any:
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise LaunchError(f"{path} can't be read: {error}") from error
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
