"""Sandbox servers as Apptainer or Singularity instances (extra `singularity`)."""

from treadle_sandbox.singularity.images import build_image
from treadle_sandbox.singularity.provider import SingularityProvider

__all__ = ["SingularityProvider", "build_image"]
