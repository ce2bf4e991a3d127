"""Stories about distance, volume, temperature, production and averages."""

from random import Random

from treadle_embedded.problems.cast import person, size, two_people
from treadle_embedded.problems.story import Story, Template, step, tell


def journey(rng: Random) -> Story:
    """Drive at a speed, then a bit more."""
    a, speed, hours, extra = person(rng), rng.randint(20, 120), rng.randint(2, 12), size(rng, 3, 90)
    question = rng.choice(
        (
            f"{a.name} drives {hours} hours at {speed} km per hour and then {extra} km more. "
            f"How many km does {a.she} drive in total?",
            f"A train goes {speed} km each hour for {hours} hours. After that it goes another "
            f"{extra} km. How long is the whole way in km?",
        )
    )
    return tell(question, step("fast", speed, "*", hours), step("distance", "fast", "+", extra))


def tank(rng: Random) -> Story:
    """Fill a tank and ask what still fits."""
    rate, minutes = rng.randint(3, 60), rng.randint(3, 60)
    volume = rate * minutes + size(rng, 5, 200)
    question = rng.choice(
        (
            f"A tank holds {volume} litres. Water flows in at {rate} litres a minute for {minutes} "
            f"minutes. How many litres still fit in the tank?",
            f"A pump fills an empty pool of {volume} litres with {rate} litres per minute. "
            f"How many litres are missing after {minutes} minutes?",
        )
    )
    return tell(question, step("filled", rate, "*", minutes), step("free", volume, "-", "filled"))


def night(rng: Random) -> Story:
    """Let the temperature fall, often below zero."""
    noon, fall = rng.randint(1, 25), rng.randint(2, 30)
    question = rng.choice(
        (
            f"At noon it is {noon} degrees. By night the temperature falls by {fall} degrees. "
            f"What is the temperature at night?",
            f"The temperature was {noon} degrees and dropped {fall} degrees. What is it now?",
        )
    )
    return tell(question, step("night", noon, "-", fall))


def factory(rng: Random) -> Story:
    """Make many parts, some of them broken."""
    daily, days = rng.randint(120, 2500), rng.randint(3, 30)
    broken = rng.randint(12, 900)
    question = rng.choice(
        (
            f"A factory makes {daily} parts a day. In {days} days {broken} parts turn out broken. "
            f"How many good parts were made?",
            f"A machine prints {daily} pages a day for {days} days, but {broken} pages "
            f"are spoiled. How many pages can be used?",
        )
    )
    return tell(question, step("made", daily, "*", days), step("good", "made", "-", broken))


def trip(rng: Random) -> Story:
    """Count people in buses and cars."""
    buses, seats, cars = rng.randint(2, 20), rng.randint(12, 60), rng.randint(2, 40)
    question = rng.choice(
        (
            f"On a trip {buses} full buses carry {seats} people each and {cars} people go by car. "
            f"How many people are on the trip?",
            f"{cars} guests come by car and the others in {buses} buses with {seats} guests each. "
            f"How many guests come?",
        )
    )
    return tell(question, step("bus", buses, "*", seats), step("people", "bus", "+", cars))


def library(rng: Random) -> Story:
    """Count books on shelves, lent and returned."""
    shelves, books = rng.randint(4, 40), rng.randint(8, 60)
    lent = rng.randint(5, shelves * books - 1)
    back = rng.randint(1, lent)
    question = rng.choice(
        (
            f"A library has {shelves} shelves with {books} books each. {lent} books are lent and "
            f"{back} of them come back. How many books are in the library then?",
            f"{shelves} shelves hold {books} books each. People borrow {lent} books and return "
            f"{back}. How many books are on the shelves now?",
        )
    )
    return tell(
        question,
        step("books", shelves, "*", books),
        step("left", "books", "-", lent),
        step("now", "left", "+", back),
    )


def average(rng: Random) -> Story:
    """Average three scores to a whole number."""
    a = person(rng)
    mean = rng.randint(20, 90)
    low, high = rng.randint(1, 18), rng.randint(1, 18)
    scores = [mean - low, mean + high, mean + low - high]
    rng.shuffle(scores)
    one, two, three = scores
    question = rng.choice(
        (
            f"{a.name} scores {one}, {two} and {three} points in three games. "
            f"What is the average score?",
            f"The three tests of {a.name} have {one}, {two} and {three} points. "
            f"How many points is that on average?",
        )
    )
    return tell(
        question,
        step("first", one, "+", two),
        step("total", "first", "+", three),
        step("average", "total", "//", 3),
    )


def reading(rng: Random) -> Story:
    """Count the days a book takes."""
    a, daily, days = person(rng), rng.randint(6, 60), rng.randint(3, 40)
    done = size(rng, 5, 80)
    pages = done + daily * days
    question = rng.choice(
        (
            f"A book has {pages} pages. {a.name} has read {done} pages and reads {daily} "
            f"pages a day. How many days does {a.she} need for the rest?",
            f"{a.name} has already read {done} of {pages} pages. At {daily} pages a day, "
            f"how many more days does the book take?",
        )
    )
    return tell(question, step("rest", pages, "-", done), step("days", "rest", "//", daily))


def race(rng: Random) -> Story:
    """Compare two runners by laps."""
    (a, b), lap = two_people(rng), rng.randint(2, 40) * 10
    less = rng.randint(2, 15)
    more = less + rng.randint(1, 15)
    question = rng.choice(
        (
            f"{a.name} runs {more} laps of {lap} metres and {b.name} runs {less} laps. "
            f"How many metres further does {a.name} run?",
            f"A lap is {lap} metres. {b.name} runs {less} laps, {a.name} runs {more}. "
            f"By how many metres does {a.name} run more than {b.name}?",
        )
    )
    return tell(question, step("laps", more, "-", less), step("metres", "laps", "*", lap))


TEMPLATES: tuple[Template, ...] = (
    journey,
    tank,
    night,
    factory,
    trip,
    library,
    average,
    reading,
    race,
)
