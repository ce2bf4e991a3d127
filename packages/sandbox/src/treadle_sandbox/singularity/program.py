"""Running `apptainer` or `singularity`, with standard error apart and a deadline."""

import asyncio
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from treadle_sandbox.errors import ServerStartError

_TAIL = 2_000


def find_program(wanted: str | None) -> str:
    """Return the path of the program.

    Raises:
        ServerStartError: there is none; says how to get one.
    """
    for name in [wanted] if wanted else ["apptainer", "singularity"]:
        path = shutil.which(name)
        if path is not None:
            return path
    raise ServerStartError(
        f"no program {wanted or 'apptainer'!r} on PATH: install Apptainer, load its module, or set "
        "`executable`"
    )


async def run_program(
    argv: Sequence[str],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run to the end; return standard output. Cancelled, the program is killed.

    Raises:
        ServerStartError: it failed, with the end of what it said; or took longer than `timeout`.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment) if environment is not None else None,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(timeout):
            output, errors = await process.communicate()
    except TimeoutError:
        raise ServerStartError(f"{' '.join(argv[:3])}: not done within {timeout:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = (errors or output).decode("utf-8", "replace")[-_TAIL:].strip()
        raise ServerStartError(f"{' '.join(argv[:3])} ended with {process.returncode}: {said}")
    return output.decode("utf-8", "replace")
