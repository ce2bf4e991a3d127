"""A stand-in for a Nomad agent on this machine, for tests of what speaks to it through a client.

It speaks the endpoints that a pool uses, with the index semantics of blocking queries, and really
starts a job's command line: for the docker driver as a process whose container port is the host
port that the agent chose, for raw_exec as it is, with a small `apptainer` on PATH that runs the
command behind the image. Restart policies, templates with Nomad variables and dynamic ports hold.
`faults` makes it misbehave.

    async with FakeNomad() as agent:
        provider = NomadProvider(NomadConfig(address=agent.url))
"""

from treadle_sandbox.testing.fake_nomad.agent import FakeNomad
from treadle_sandbox.testing.fake_nomad.cluster import Cluster, Faults

__all__ = ["Cluster", "FakeNomad", "Faults"]
