"""Where the model server's settings come from: flags, then the environment, then a `.env` file.

Read once, at the edge of a program (an app's `main`, a command line), and passed on as a value; no
other module of this package looks at the environment. What nobody sets stays None, and the program
decides what that means.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream

from treadle_envs.errors import SettingsError

BASE_URL = "ATROPOS_SERVER_BASE_URL"
MODEL = "ATROPOS_SERVER_MODEL"
API_KEY = "ATROPOS_SERVER_API_KEY"
TOKENIZER = "ATROPOS_TOKENIZER_NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How to reach the model server; None where nobody said."""

    base_url: str | None = None
    """Root of the OpenAI-compatible API, its `/v1` included."""
    model: str | None = None
    api_key: str | None = None
    tokenizer: str | None = None
    """A local folder or a hub name; needed for exact tokens only."""

    def __repr__(self) -> str:
        key = None if self.api_key is None else "***"
        return (
            f"ModelSettings(base_url={self.base_url!r}, model={self.model!r}, api_key={key!r}, "
            f"tokenizer={self.tokenizer!r})"
        )


def read_model_settings(
    *,
    base_url: str | None = None,
    model: str | None = None,
    api_key: str | None = None,
    tokenizer: str | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = None,
) -> ModelSettings:
    """Resolve each setting: the argument, else the environment, else `env_file`, else None.

    `environ` is the process's environment by default, `env_file` the `.env` of the working folder.
    Empty values count as not set. A base URL without a path gets `/v1`.

    Raises:
        SettingsError: `env_file` can't be read or has a malformed line; the URL is no HTTP URL.
    """
    variables = os.environ if environ is None else environ
    from_file = read_env_file(Path(".env") if env_file is None else env_file)

    def resolve(flag: str | None, name: str) -> str | None:
        return flag or variables.get(name, "").strip() or from_file.get(name, "").strip() or None

    url = resolve(base_url, BASE_URL)
    return ModelSettings(
        base_url=None if url is None else api_root(url),
        model=resolve(model, MODEL),
        api_key=resolve(api_key, API_KEY),
        tokenizer=resolve(tokenizer, TOKENIZER),
    )


def api_root(url: str) -> str:
    """Return the API's root for a URL as people write it: `host:8000` becomes `host:8000/v1`.

    Raises:
        SettingsError: it is no HTTP URL.
    """
    scheme, separator, rest = url.rstrip("/").partition("://")
    if separator != "://" or scheme not in {"http", "https"} or not rest.split("/")[0]:
        raise SettingsError(
            f"the model server's base URL {url!r} is no HTTP URL: give one like "
            "http://127.0.0.1:8000/v1"
        )
    return f"{scheme}://{rest}" if "/" in rest else f"{scheme}://{rest}/v1"


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file; none when there is no such file.

    Raises:
        SettingsError: the file can't be read, or a line of it is no `NAME=value`.
    """
    if not path.exists():
        return {}
    values: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                if binding.error:
                    line = binding.original.line + _blank_lines(binding.original.string)
                    raise SettingsError(
                        f"{path}, line {line}: {_shown(binding.original.string)} is no NAME=value: "
                        "correct or remove the line"
                    )
                if binding.key is not None:
                    values[binding.key] = binding.value or ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    return values


def _blank_lines(text: str) -> int:
    return len(text) - len(text.lstrip("\n"))


def _shown(text: str) -> str:
    """Return the first line without what may be a secret."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    name, equals, _ = first.partition("=")
    return repr(f"{name}=..." if equals else f"{first[:20]}")
