"""What a backend counts while it runs."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from treadle_sandbox.errors import SandboxError


class Counters:
    """Counters since the backend started; `statistics()` shows them."""

    def __init__(self) -> None:
        self.leases = 0
        self.execs = 0
        self.running = 0
        self.timeouts = 0
        self.failures: Counter[str] = Counter()

    @contextmanager
    def command(self) -> Generator[None]:
        """Count one command while it runs."""
        self.execs += 1
        self.running += 1
        try:
            with self.boundary():
                yield
        finally:
            self.running -= 1

    @contextmanager
    def boundary(self) -> Generator[None]:
        """Count an infrastructure failure by its type and let it pass."""
        try:
            yield
        except SandboxError as error:
            self.failures[type(error).__name__] += 1
            raise
