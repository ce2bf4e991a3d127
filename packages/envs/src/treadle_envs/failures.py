"""Telling failures apart: which are worth another attempt, and which one to report of several."""

from treadle_sandbox import SlotStartError

TRANSIENT = (ConnectionError, TimeoutError, SlotStartError)
"""Failures of infrastructure: another attempt may not meet them. An unreachable, failing or slow
model server, a lost sandbox and a lease that came too late all inherit from the first two.
"""


def first_error(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure of a task group that is no group itself."""
    first = failures.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first
