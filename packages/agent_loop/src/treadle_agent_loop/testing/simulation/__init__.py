"""Random rollouts in this process, and the proofs that every one of them has to pass.

`simulate(seed)` plays one rollout with everything that can go wrong with tokens: odd boundaries
between ids, markers in content, truncated turns, malformed and parallel calls, histories that are
re-serialised, edited, forked, shortened or handed to a sub-agent, retries whose samples were lost,
unsound logprobs. What comes out is compared with what the engine itself wrote down.
"""

from treadle_agent_loop.testing.simulation.engine import LocalEngine, LocalTokenClient
from treadle_agent_loop.testing.simulation.play import Simulated, simulate
from treadle_agent_loop.testing.simulation.proofs import UnprovenError, prove

__all__ = [
    "LocalEngine",
    "LocalTokenClient",
    "Simulated",
    "UnprovenError",
    "prove",
    "simulate",
]
