"""Who and what the stories are about."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody in a story."""

    name: str
    she: str
    """The pronoun at the start of a sentence is `she.capitalize()`."""


_WOMEN = (
    "Mia",
    "Anna",
    "Lena",
    "Sofia",
    "Grace",
    "Nora",
    "Ruth",
    "Zoe",
    "Emma",
    "Priya",
    "Yuki",
    "Carla",
)
_MEN = ("Tom", "Ben", "Omar", "Luis", "Jack", "Ivan", "Noah", "Sam", "Felix", "Raj", "Hugo", "Karl")
_PEOPLE = tuple(Person(name=name, she="she") for name in _WOMEN) + tuple(
    Person(name=name, she="he") for name in _MEN
)
_OBJECTS = (
    "apples", "marbles", "stickers", "books", "coins", "pencils", "shells", "cards",
    "stamps", "eggs", "beads", "candles", "buttons", "oranges", "cookies", "balloons",
)  # fmt: skip
_WARES = ("notebook", "ticket", "toy", "shirt", "plant", "lamp", "bag", "mug", "puzzle", "cake")


def person(rng: Random) -> Person:
    """Draw somebody."""
    return rng.choice(_PEOPLE)


def two_people(rng: Random) -> tuple[Person, Person]:
    """Draw two people with different names."""
    first, second = rng.sample(_PEOPLE, 2)
    return first, second


def things(rng: Random) -> str:
    """Draw a plural noun."""
    return rng.choice(_OBJECTS)


def ware(rng: Random) -> str:
    """Draw a singular noun that a shop sells."""
    return rng.choice(_WARES)


def size(rng: Random, low: int, high: int) -> int:
    """Draw a number; one in five gets a digit more, so that longer numbers appear everywhere."""
    number = rng.randint(low, high)
    return number * 10 + rng.randint(0, 9) if rng.random() < 0.2 else number
