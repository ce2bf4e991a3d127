"""The single questions of `doctor`, each answered by trying."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from treadle_sandbox.cgroups import find_driver
from treadle_sandbox.errors import IsolationUnavailableError
from treadle_sandbox.local import LocalBackend
from treadle_sandbox.records import Capabilities, Isolation

BOUNDARIES = frozenset({f"level {level}" for level in Isolation if level > Isolation.PROCESS})
"""Names of the findings that stand for a boundary."""
_SECONDS = 10.0
_LEVEL_ADVICE = {
    Isolation.BUBBLEWRAP: "install bubblewrap (Debian: apt-get install bubblewrap)",
    Isolation.NAMESPACES: (
        "run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or "
        "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in Docker: --security-opt "
        "seccomp=unconfined --security-opt systempaths=unconfined"
    ),
    Isolation.PROCESS: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One answer."""

    name: str
    works: bool
    detail: str
    advice: str = ""
    """How to get it; empty when it works."""


async def probe_level(level: Isolation) -> Finding:
    """Build a real slot at one level and tell what holds in it."""
    others = [other for other in Isolation if other is not level]
    name = f"level {level}"
    try:
        async with LocalBackend(slots=1, min_isolation="auto", exclude=others) as backend:
            return Finding(name=name, works=True, detail=_describe(backend.capabilities))
    except IsolationUnavailableError as error:
        return Finding(name=name, works=False, detail=str(error), advice=_LEVEL_ADVICE[level])


def _describe(found: Capabilities) -> str:
    if found.isolation is Isolation.PROCESS:
        return "no boundary: commands see what this user sees"
    words = ["own host user" if found.separate_user else "one host user for all slots"]
    words += ["snapshots"] if found.snapshots else []
    words += ["verifier user"] if found.verifier_user else []
    words += [f"control groups {found.control_groups}"]
    if found.unlimited:
        words.append(f"not limited: {', '.join(found.unlimited)}")
    return ", ".join(words)


def probe_machine() -> Iterator[Finding]:
    """Yield what doesn't depend on a level."""
    driver = find_driver()
    bounded = ", ".join(sorted(driver.controllers)) or "nothing"
    reasons, kind = "; ".join(driver.reasons), driver.kind
    driver.close()
    yield Finding(
        name="control groups",
        works=kind != "none",
        detail=f"{kind}, bounds {bounded}" + (f" ({reasons})" if reasons else ""),
        advice=""
        if bounded != "nothing"
        else "run as root, or have systemd delegate a group to this user (Delegate=yes)",
    )
    yield _program("tmux", "terminal sessions", "apt-get install tmux")
    yield _program("newuidmap", "id ranges for ordinary users", "apt-get install uidmap")
    yield _subordinate_ids()
    yield _engine("docker", ["docker", "version", "--format", "{{.Server.Version}}"])
    yield _engine("apptainer", ["apptainer", "--version"])
    yield _engine("nomad", ["nomad", "version"])
    token = Path("~/.modal.toml").expanduser().is_file() or bool(os.environ.get("MODAL_TOKEN_ID"))
    yield Finding(
        name="modal",
        works=token,
        detail="a token is configured" if token else "no token",
        advice="" if token else "modal token new",
    )


def _program(name: str, purpose: str, advice: str) -> Finding:
    path = shutil.which(name)
    return Finding(
        name=name,
        works=path is not None,
        detail=f"{path or 'not on PATH'} ({purpose})",
        advice="" if path else advice,
    )


def _subordinate_ids() -> Finding:
    if os.geteuid() == 0:
        return Finding(name="id ranges", works=True, detail="root takes them as it needs")
    user = os.environ.get("USER", str(os.getuid()))
    try:
        rows = Path("/etc/subuid").read_text(encoding="utf-8").splitlines()
    except OSError:
        rows = []
    works = any(row.startswith((f"{user}:", f"{os.getuid()}:")) for row in rows)
    return Finding(
        name="id ranges",
        works=works,
        detail="in /etc/subuid" if works else f"none for {user} in /etc/subuid",
        advice="" if works else f"usermod --add-subuids 100000-165535 {user} (and --add-subgids)",
    )


def _engine(name: str, argv: list[str]) -> Finding:
    if shutil.which(argv[0]) is None:
        return Finding(
            name=name, works=False, detail="not on PATH", advice=f"needed by `backend: {name}` only"
        )
    try:
        ended = subprocess.run(
            argv, capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name=name, works=False, detail=str(error), advice=f"start {name}")
    text = " ".join((ended.stdout or ended.stderr).split())[:200]
    works = ended.returncode == 0
    return Finding(
        name=name, works=works, detail=text, advice="" if works else f"start the {name} service"
    )
