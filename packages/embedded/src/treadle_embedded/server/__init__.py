"""The OpenAI-compatible HTTP server of the embedded model."""

from treadle_embedded.server.application import create_app

__all__ = ["create_app"]
