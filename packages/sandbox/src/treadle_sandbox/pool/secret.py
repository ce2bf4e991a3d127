"""The secret of a pool, the tokens that follow from it, and the names of servers.

A server's token is HMAC-SHA256(secret, name): whoever holds the secret can take over a server that
it finds by name. A name tells when its server was created, so that a leftover can be told from one
that is just being started by another driver.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from treadle_sandbox.errors import ConfigError

_FILE = "secret"
_LEAST = 16


def load_secret(secret: str | None, state: Path | None) -> bytes:
    """Return the given secret, else the one kept in the folder `state` (created at need), else a
    random one.

    Raises:
        ConfigError: too short, or the file is readable by others.
    """
    if secret is not None:
        if len(secret) < _LEAST:
            raise ConfigError(f"secret has {len(secret)} characters: give {_LEAST} or more")
        return secret.encode()
    if state is None:
        return secrets.token_bytes(32)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state / _FILE
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others: chmod 600 it, or delete it")
    value = path.read_bytes()
    if len(value) < _LEAST:
        raise ConfigError(f"{path} holds {len(value)} bytes, no secret: delete it")
    return value


def _create(path: Path) -> None:
    """Write a new secret in one step; whoever comes second takes the first one's."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def server_token(secret: bytes, name: str) -> str:
    """Return the bearer token of the server `name`."""
    return hmac.new(secret, name.encode(), hashlib.sha256).hexdigest()


def server_name(pool: str, created: float) -> str:
    """Return a new unique name for a server that is created at a wall-clock time."""
    return f"{pool}-{int(created):08x}-{secrets.token_hex(3)}"


def creation_time(pool: str, name: str) -> float | None:
    """Return when the server `name` was created; None for a name that isn't of this pool."""
    stem, _, tail = name.rpartition("-")
    prefix, _, stamp = stem.rpartition("-")
    if prefix != pool or len(tail) != 6 or len(stamp) != 8:
        return None
    try:
        return float(int(stamp, 16))
    except ValueError:
        return None
