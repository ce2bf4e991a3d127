"""Images with the sandbox server for Apptainer, from the shipped definition."""

import os
from pathlib import Path

from treadle_sandbox.images import build_context, recipe
from treadle_sandbox.singularity.program import find_program, run_program

_BUILD_SECONDS = 1_800.0


async def build_image(
    target: Path,
    *,
    base: str | None = None,
    bootstrap: str | None = None,
    wheels: Path | None = None,
    requirement: str | None = None,
    definition: Path | None = None,
    executable: str | None = None,
    fakeroot: bool = False,
) -> Path:
    """Build an image: a `.sif` file, or a sandbox folder when `target` has no suffix.

    `base` is what to start from and `bootstrap` where it comes from: `docker` (a registry),
    `localimage` (a path). `wheels` is a folder with the wheels of this package and what its server
    needs: pip then asks no index.

    Raises:
        ServerStartError: no program, or the build failed; with the end of what it said.
    """
    program = find_program(executable)
    given = {"BASE": base, "BOOTSTRAP": bootstrap, "REQUIREMENT": requirement}
    options = [f"--build-arg={name}={value}" for name, value in given.items() if value is not None]
    options += ["--fakeroot"] if fakeroot else []
    options += [] if target.suffix else ["--sandbox"]
    main = definition or recipe("treadle-sandbox.def")
    part = target.with_name(f"{target.stem}-part{os.getpid()}{target.suffix}")
    with build_context(main, name="image.def", wheels=wheels) as folder:
        argv = [program, "build", *options, str(part), "image.def"]
        await run_program(argv, timeout=_BUILD_SECONDS, folder=folder)
    part.rename(target)
    return target
