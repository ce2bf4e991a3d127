"""Nomad as a platform: each sandbox server is a job of a cluster.

`NomadProvider` starts sandbox servers for a pool with Nomad's docker driver, or as Apptainer
containers with its raw_exec driver. Needs the extra `nomad`.
"""

try:
    import nomad as _client
except ImportError as error:  # pragma: no cover - the extra is there in tests
    raise ImportError(
        "the Nomad backend needs python-nomad: pip install 'treadle-sandbox[nomad]'"
    ) from error

from treadle_sandbox.nomad.provider import NomadProvider

del _client

__all__ = ["NomadProvider"]
