"""Checks of the values of a configuration."""

from treadle_sandbox.errors import ConfigError
from treadle_sandbox.records import Isolation


def check_level(level: str) -> None:
    """Raise ConfigError for a name that is no isolation level."""
    if level != "auto" and level not in list(Isolation):
        known = ", ".join([*Isolation, "auto"])
        raise ConfigError(f"isolation level {level!r} isn't one of {known}")


def require_positive(config: object, *names: str) -> None:
    """Raise ConfigError for a number that isn't above 0; None passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise ConfigError(f"{name} is {value!r}: it must be above 0")


def require_not_negative(config: object, *names: str) -> None:
    """Raise ConfigError for a number below 0."""
    for name in names:
        value = getattr(config, name)
        if not value >= 0:
            raise ConfigError(f"{name} is {value!r}: it must be 0 or above")


def require_choice(config: object, name: str, choices: tuple[str, ...]) -> None:
    """Raise ConfigError for a value outside a closed set."""
    value = getattr(config, name)
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}: it must be one of {', '.join(choices)}")
