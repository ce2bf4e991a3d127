"""Sandbox servers as Docker containers (extra `docker`)."""

from treadle_sandbox.docker.images import build_image
from treadle_sandbox.docker.provider import DockerProvider

__all__ = ["DockerProvider", "build_image"]
