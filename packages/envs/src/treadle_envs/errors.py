"""What can go wrong in this package, as a tree.

    EnvsError
    ├── SettingsError        a setting, flag or `.env` line that can't be used   (ValueError)
    ├── DatasetError         a data set that is missing or malformed             (ValueError)
    ├── RewardError          a reward function raised or returned no number      (RuntimeError)
    ├── ScorerError          the scorer's worker processes can't be started      (RuntimeError)
    ├── GroupLostError       a group can't be completed; says why                (RuntimeError)
    ├── ModelChoiceError     the model server can't serve what was asked         (RuntimeError)
    ├── ServerStartError     a server that the run starts didn't come up         (RuntimeError)
    ├── ConservationError    sampled tokens are unaccounted for at a run's end   (RuntimeError)
    ├── PayloadError         a group that must not be sent as it is              (ValueError)
    └── TrajectoryApiError   the trajectory API can't be reached or refuses      (ConnectionError)

Failures of the model server and of sandboxes keep the types of their own packages.
"""

from treadle_envs.records import LossReason


class EnvsError(Exception):
    """Base of every error that this package raises."""


class SettingsError(EnvsError, ValueError):
    """A setting can't be used."""


class DatasetError(EnvsError, ValueError):
    """A data set is missing or malformed."""


class RewardError(EnvsError, RuntimeError):
    """A reward function raised, or returned something that isn't a finite number."""


class ScorerError(EnvsError, RuntimeError):
    """The scorer's worker processes can't be started."""


class GroupLostError(EnvsError, RuntimeError):
    """A group can't be completed."""

    def __init__(self, reason: LossReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelChoiceError(EnvsError, RuntimeError):
    """The model server can't serve what was asked."""


class ServerStartError(EnvsError, RuntimeError):
    """A server that the run starts didn't come up."""


class ConservationError(EnvsError, RuntimeError):
    """Some sampled tokens are neither trained nor dropped for a named reason."""


class PayloadError(EnvsError, ValueError):
    """A group breaks the rules of the trajectory API and must not be sent."""


class TrajectoryApiError(EnvsError, ConnectionError):
    """The trajectory API can't be reached, or it refused a request.

    `status` is the HTTP status, or None when no answer came.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def refused(self) -> bool:
        """Whether the API answered and said no (4xx): asking again can't help."""
        return self.status is not None and 400 <= self.status < 500
