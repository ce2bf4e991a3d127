"""The life of a task of the stand-in: driver, template, process, restarts, end."""

import asyncio
import contextlib
import os
import re
import signal
from typing import Any

from treadle_sandbox.testing.fake_nomad.cluster import Allocation, Cluster

_NANOSECONDS = 1_000_000_000
_KILL_AFTER = 10.0
_WITH = re.compile(r'\{\{ with nomadVar "([^"]+)" \}\}\n(.*?)\n\{\{ end \}\}', re.DOTALL)
_APPTAINER = """#!/bin/sh
# Runs what stands behind the image, with the variables that the image would get.
while [ $# -gt 0 ]; do
  case $1 in *.sif) shift; break;; esac
  shift
done
for name in $(env | sed -n 's/^APPTAINERENV_\\([A-Z_]*\\)=.*/\\1/p'); do
  eval "export $name=\\"\\$APPTAINERENV_$name\\"; unset APPTAINERENV_$name SINGULARITYENV_$name"
done
exec "$@"
"""


class _Refused(Exception):
    """A driver can't start the task."""


async def live(cluster: Cluster, allocation: Allocation) -> None:
    """Run an allocation's task until it fails for good or is stopped."""
    policy = allocation.job["TaskGroups"][0]["RestartPolicy"]
    left = policy["Attempts"]
    while True:
        await _run(cluster, allocation)
        if left <= 0:
            allocation.note("Not Restarting", "Exceeded allowed attempts")
            allocation.status = "failed"
            cluster.touch()
            return
        left -= 1
        delay = policy["Delay"] / _NANOSECONDS
        allocation.note("Restarting", f"Task restarting in {delay:g}s")
        allocation.status = "pending"
        cluster.touch()
        await asyncio.sleep(delay)


async def _run(cluster: Cluster, allocation: Allocation) -> None:
    task = allocation.job["TaskGroups"][0]["Tasks"][0]
    try:
        words, environment = _command(cluster, allocation, task)
        with (allocation.folder / "stderr").open("ab") as log:
            allocation.process = await asyncio.create_subprocess_exec(
                *words,
                env=environment,
                cwd=allocation.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except (OSError, _Refused) as error:
        allocation.note("Driver Failure", str(error))
        return
    allocation.starts += 1
    allocation.note("Started", "Task started by client")
    allocation.status = "running"
    cluster.touch()
    code = await allocation.process.wait()
    allocation.note("Terminated", f"Exit Code: {code if code >= 0 else 128 - code}")


def _command(
    cluster: Cluster, allocation: Allocation, task: Any
) -> tuple[list[str], dict[str, str]]:
    settings = task["Config"]
    environment = {
        "PATH": f"{cluster.folder / 'bin'}:{os.environ.get('PATH', '')}",
        "NOMAD_ALLOC_DIR": str(allocation.folder),
        "NOMAD_PORT_http": str(allocation.port),
        **task["Env"],
    }
    for template in task.get("Templates") or ():
        environment |= _render(cluster, template["EmbeddedTmpl"])
    words = [settings["command"], *settings["args"]]
    if task["Driver"] == "docker":
        image = settings["image"]
        if image in cluster.faults.missing_images:
            raise _Refused(f"Failed to pull `{image}`: manifest for {image} not found")
        inner = allocation.job["TaskGroups"][0]["Networks"][0]["DynamicPorts"][0]["To"]
        words = [str(allocation.port) if word == str(inner) else word for word in words]
    words = [word.replace("${NOMAD_PORT_http}", str(allocation.port)) for word in words]
    return words, environment


def _render(cluster: Cluster, text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for path, body in _WITH.findall(text):
        items = cluster.variables.get(path)
        if items is None:
            raise _Refused(f"Template failed: nomad.var.block({path}) is missing")
        for line in body.splitlines():
            name, _, value = line.partition("=")
            for key, item in items.items():
                value = value.replace(f"{{{{ .{key} }}}}", item)
            values[name] = value
    return values


async def stop(cluster: Cluster, allocation: Allocation) -> None:
    """End an allocation as a client does: a signal, then a kill."""
    if allocation.life is not None:
        allocation.life.cancel()
        await asyncio.gather(allocation.life, return_exceptions=True)
    process = allocation.process
    if process is not None and process.returncode is None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILL_AFTER):
                    await process.wait()
                break
    allocation.status = "complete"
    cluster.touch()


def write_programs(cluster: Cluster) -> None:
    """Put a small `apptainer` where tasks find it."""
    folder = cluster.folder / "bin"
    folder.mkdir()
    program = folder / "apptainer"
    program.write_text(_APPTAINER, encoding="utf-8")
    program.chmod(0o755)
