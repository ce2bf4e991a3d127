"""Stories about counting, grouping and sharing things."""

from random import Random

from treadle_embedded.problems.cast import person, size, things, two_people
from treadle_embedded.problems.story import Story, Template, step, tell


def given_away(rng: Random) -> Story:
    """Subtract what is given to a friend."""
    (a, b), kind = two_people(rng), things(rng)
    gift = size(rng, 2, 60)
    had = gift + size(rng, 1, 60)
    question = rng.choice(
        (
            f"{a.name} has {had} {kind}. {a.she.capitalize()} gives {gift} of them to {b.name}. "
            f"How many {kind} does {a.name} have left?",
            f"{a.name} had {had} {kind} and gave {b.name} {gift} {kind}. "
            f"How many {kind} are left for {a.name}?",
            f"From a pile of {had} {kind}, {b.name} takes {gift}. "
            f"How many {kind} stay in the pile?",
        )
    )
    return tell(question, step("left", had, "-", gift))


def found_more(rng: Random) -> Story:
    """Add what is found."""
    a, kind = person(rng), things(rng)
    had, found = size(rng, 3, 90), size(rng, 3, 90)
    question = rng.choice(
        (
            f"{a.name} has {had} {kind} and finds {found} more. "
            f"How many {kind} does {a.name} have now?",
            f"There are {had} {kind} on the table. {a.name} adds {found} {kind}. "
            f"How many {kind} are on the table in the end?",
        )
    )
    return tell(question, step("total", had, "+", found))


def compared(rng: Random) -> Story:
    """Find a difference between two people."""
    (a, b), kind = two_people(rng), things(rng)
    less = size(rng, 3, 80)
    more = less + size(rng, 2, 50)
    question = rng.choice(
        (
            f"{a.name} counted {more} {kind} and {b.name} counted {less}. "
            f"How many more {kind} did {a.name} count?",
            f"{b.name} has {less} {kind} while {a.name} has {more}. "
            f"How many {kind} does {b.name} need to have as many as {a.name}?",
        )
    )
    return tell(question, step("difference", more, "-", less))


def boxes(rng: Random) -> Story:
    """Multiply full boxes, then add the loose ones."""
    kind, count, each, loose = things(rng), rng.randint(3, 30), size(rng, 4, 40), size(rng, 2, 30)
    question = rng.choice(
        (
            f"There are {count} boxes with {each} {kind} in each box, and {loose} loose {kind}. "
            f"How many {kind} are there in total?",
            f"A shop has {loose} {kind} on display and {count} boxes of {each} {kind} in the back. "
            f"How many {kind} does the shop have?",
        )
    )
    return tell(question, step("boxed", count, "*", each), step("total", "boxed", "+", loose))


def shared(rng: Random) -> Story:
    """Divide without a remainder."""
    a, kind, friends, each = person(rng), things(rng), rng.randint(2, 24), rng.randint(3, 60)
    total = friends * each
    question = rng.choice(
        (
            f"{a.name} shares {total} {kind} equally among {friends} friends. "
            f"How many {kind} does each friend get?",
            f"{total} {kind} are packed into {friends} bags, the same number in every bag. "
            f"How many {kind} are in one bag?",
        )
    )
    return tell(question, step("each", total, "//", friends))


def left_over(rng: Random) -> Story:
    """Find a remainder."""
    a, kind, group, total = person(rng), things(rng), rng.randint(3, 24), size(rng, 30, 300)
    question = rng.choice(
        (
            f"{a.name} packs {total} {kind} into boxes of {group} until no full box can be made. "
            f"How many {kind} are left over?",
            f"{a.name} puts {total} {kind} in rows of {group}. "
            f"How many {kind} remain after the last full row?",
        )
    )
    return tell(question, step("rest", total, "%", group))


def times_as_many(rng: Random) -> Story:
    """Add a number and a multiple of it."""
    (a, b), kind, times, count = two_people(rng), things(rng), rng.randint(2, 9), size(rng, 4, 60)
    question = rng.choice(
        (
            f"{a.name} has {count} {kind}. {b.name} has {times} times as many. "
            f"How many {kind} do they have together?",
            f"{a.name} collected {count} {kind} and {b.name} collected {times} times that number. "
            f"How many {kind} did they collect in all?",
        )
    )
    return tell(question, step("more", count, "*", times), step("total", count, "+", "more"))


def ages(rng: Random) -> Story:
    """Add two ages of which one is given by the other."""
    (a, b), young, gap = two_people(rng), rng.randint(4, 60), rng.randint(2, 30)
    question = rng.choice(
        (
            f"{b.name} is {young} years old. {a.name} is {gap} years older than {b.name}. "
            f"What is the sum of their ages?",
            f"{a.name} is {gap} years older than {b.name}, who is {young}. "
            f"How old are they together?",
        )
    )
    return tell(question, step("older", young, "+", gap), step("total", young, "+", "older"))


def pizza(rng: Random) -> Story:
    """Slices cut, minus slices eaten."""
    slices, people, eaten = rng.randint(4, 12), rng.randint(3, 30), rng.randint(1, 6)
    pizzas = (people * eaten + slices - 1) // slices + rng.randint(0, 5)
    question = rng.choice(
        (
            f"{pizzas} pizzas are cut into {slices} slices each. "
            f"{people} guests eat {eaten} slices each. How many slices are left?",
            f"For a party of {people} people there are {pizzas} pizzas with {slices} slices each. "
            f"Everybody eats {eaten} slices. How many slices remain?",
        )
    )
    return tell(
        question,
        step("slices", pizzas, "*", slices),
        step("eaten", people, "*", eaten),
        step("left", "slices", "-", "eaten"),
    )


TEMPLATES: tuple[Template, ...] = (
    given_away,
    found_more,
    compared,
    boxes,
    shared,
    left_over,
    times_as_many,
    ages,
    pizza,
)
