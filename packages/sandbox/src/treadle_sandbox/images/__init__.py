"""Recipes for images with the sandbox server: a Dockerfile, an Apptainer definition, and the system
call profile of containers.
"""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["build_context", "recipe"]


def recipe(name: str) -> Path:
    """Return the path of a shipped file."""
    return Path(__file__).parent / name


@contextmanager
def build_context(
    main: Path, *, name: str, wheels: Path | None, more: Path | None = None
) -> Generator[Path]:
    """Yield a temporary folder to build in: the main recipe as `name`, `install.sh`, a folder
    `wheels`, and a copy of the folder `more`.
    """
    with tempfile.TemporaryDirectory(prefix="treadle-image-") as place:
        folder = Path(place)
        if more is not None:
            shutil.copytree(more, folder, dirs_exist_ok=True, symlinks=True)
        shutil.copy(main, folder / name)
        shutil.copy(recipe("install.sh"), folder)
        (folder / "wheels").mkdir(exist_ok=True)
        for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
            shutil.copy(wheel, folder / "wheels")
        yield folder
