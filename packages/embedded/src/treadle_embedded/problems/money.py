"""Stories about prices, wages, savings and percentages."""

from random import Random

from treadle_embedded.problems.cast import person, size, ware
from treadle_embedded.problems.story import Story, Template, step, tell


def change(rng: Random) -> Story:
    """Pay for several things and get change."""
    a, item, count, price = person(rng), ware(rng), rng.randint(2, 12), size(rng, 2, 40)
    paid = count * price + rng.randint(1, 60)
    question = rng.choice(
        (
            f"{a.name} buys {count} {item}s that cost ${price} each and pays with ${paid}. "
            f"How much change does {a.she} get in dollars?",
            f"One {item} costs ${price}. {a.name} has ${paid} and buys {count} {item}s. "
            f"How many dollars does {a.name} have left?",
        )
    )
    return tell(question, step("cost", count, "*", price), step("change", paid, "-", "cost"))


def wages(rng: Random) -> Story:
    """Earn by the hour over several days."""
    a, rate, hours, days = person(rng), rng.randint(8, 45), rng.randint(2, 10), rng.randint(2, 28)
    question = rng.choice(
        (
            f"{a.name} earns ${rate} an hour and works {hours} hours a day. "
            f"How many dollars does {a.she} earn in {days} days?",
            f"For {days} days {a.name} works {hours} hours each day at ${rate} per hour. "
            f"How much money does {a.name} make?",
        )
    )
    return tell(question, step("hours", hours, "*", days), step("pay", "hours", "*", rate))


def savings(rng: Random) -> Story:
    """Save the same amount every week."""
    a, start, weekly, weeks = person(rng), size(rng, 5, 90), size(rng, 3, 50), rng.randint(3, 52)
    question = rng.choice(
        (
            f"{a.name} has ${start} and saves ${weekly} every week. "
            f"How many dollars does {a.she} have after {weeks} weeks?",
            f"Each week {a.name} puts ${weekly} into a jar that already holds ${start}. "
            f"How many dollars are in the jar after {weeks} weeks?",
        )
    )
    return tell(question, step("saved", weekly, "*", weeks), step("total", start, "+", "saved"))


def discount(rng: Random) -> Story:
    """Take a percentage off a price."""
    item, percent, price = ware(rng), rng.randrange(5, 80, 5), rng.randint(1, 60) * 20
    question = rng.choice(
        (
            f"A {item} costs ${price}. In a sale it is {percent}% cheaper. "
            f"What is the sale price in dollars?",
            f"A shop takes {percent}% off the price of a {item} that cost ${price}. "
            f"How many dollars does the {item} cost now?",
        )
    )
    return tell(
        question,
        step("points", price, "*", percent),
        step("discount", "points", "//", 100),
        step("price", price, "-", "discount"),
    )


def crowd(rng: Random) -> Story:
    """Take a percentage of a number of people."""
    percent, people = rng.randrange(5, 100, 5), rng.randint(1, 90) * 20
    question = rng.choice(
        (
            f"{people} people visit a museum and {percent}% of them are children. "
            f"How many children visit the museum?",
            f"A school has {people} students. {percent}% of the students play football. "
            f"How many students play football?",
        )
    )
    return tell(question, step("points", people, "*", percent), step("part", "points", "//", 100))


def bills(rng: Random) -> Story:
    """Pay two bills from an account, sometimes below zero."""
    a, first, second = person(rng), size(rng, 10, 90), size(rng, 10, 90)
    balance = max(5, first + second + rng.randint(-30, 90))
    question = rng.choice(
        (
            f"{a.name} has ${balance} in the bank and pays two bills of ${first} and ${second}. "
            f"What is the balance after that? It is negative if {a.name} owes money.",
            f"An account holds ${balance}. First ${first} and then ${second} are taken out. "
            f"What is the balance now, negative if the account is overdrawn?",
        )
    )
    return tell(question, step("after", balance, "-", first), step("balance", "after", "-", second))


def profit(rng: Random) -> Story:
    """Sell for more than the cost."""
    a, item, count = person(rng), ware(rng), size(rng, 4, 50)
    cost = rng.randint(2, 30)
    price = cost + rng.randint(1, 20)
    question = rng.choice(
        (
            f"{a.name} buys {count} {item}s for ${cost} each and sells each of them for ${price}. "
            f"What is the profit in dollars?",
            f"A {item} is made for ${cost} and sold for ${price}. "
            f"How many dollars of profit do {count} {item}s bring?",
        )
    )
    return tell(question, step("gain", price, "-", cost), step("profit", "gain", "*", count))


def harvest(rng: Random) -> Story:
    """Multiply rows, plants and a price."""
    a, rows, plants, price = person(rng), rng.randint(3, 30), rng.randint(4, 40), rng.randint(2, 9)
    question = rng.choice(
        (
            f"A garden has {rows} rows of {plants} plants. {a.name} sells every plant "
            f"for ${price}. How many dollars does {a.she} get?",
            f"{a.name} sells plants for ${price} each. There are {rows} rows with {plants} plants. "
            f"How much money do all the plants bring?",
        )
    )
    return tell(question, step("plants", rows, "*", plants), step("money", "plants", "*", price))


TEMPLATES: tuple[Template, ...] = (
    change,
    wages,
    savings,
    discount,
    crowd,
    bills,
    profit,
    harvest,
)
