"""provisional"""


class EnvsError(Exception):
    """Root."""


class SettingsError(EnvsError, ValueError):
    """Settings."""


class TrajectoryApiError(EnvsError, ConnectionError):
    """API."""


class ServerStartError(EnvsError, RuntimeError):
    """A server that the run starts didn't come up."""
