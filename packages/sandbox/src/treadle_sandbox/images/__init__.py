"""Recipes for images with the sandbox server: a Dockerfile, an Apptainer definition, and the system
call profile of containers.
"""

from pathlib import Path

__all__ = ["recipe"]


def recipe(name: str) -> Path:
    """Return the path of a shipped file."""
    return Path(__file__).parent / name
