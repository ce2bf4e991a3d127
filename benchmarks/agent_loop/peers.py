"""The peers' environments, made with uv where they are missing; never the workspace's own."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A framework that is run beside ours."""

    name: str
    script: str
    needs: tuple[str, ...]


PEERS = (
    Peer(name="atroposlib", script="client_atroposlib.py", needs=("atroposlib==0.4.0",)),
    Peer(name="verifiers", script="client_verifiers.py", needs=("verifiers>=0.1.8,<0.2",)),
    Peer(name="inspect-ai", script="client_inspect.py", needs=("inspect-ai", "openai")),
)


class PeerMissingError(RuntimeError):
    """A peer's environment can't be made; the message is the installer's last line."""


def python_of(peer: Peer, folder: Path) -> Path:
    """Return the Python of a peer's environment, which is made first if it isn't there.

    Raises:
        PeerMissingError: it can't be installed here.
    """
    place = folder / peer.name
    done = place / "installed"
    python = place / "bin" / "python"
    if done.is_file():
        return python
    uv = shutil.which("uv")
    if uv is None:
        raise PeerMissingError("uv isn't on the PATH")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", own, str(place)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *peer.needs],
    ):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines() or ["no reason given"]
            raise PeerMissingError(lines[-1].strip())
    done.write_text("\n".join(peer.needs))
    return python
