from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from treadle_embedded.answer import StopWatch

letters = st.text("abc", max_size=40)
stop_lists = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def read(stops, pieces):
    watch, text = StopWatch(stops), ""
    for piece in pieces:
        certain, stop = watch.feed(piece)
        text += certain
        if stop is not None:
            return text, stop
    return text + watch.close(), None


@given(letters, stop_lists)
def test_letter_by_letter_the_text_ends_before_the_stop_that_completes_first(text, stops):
    ends = [(text.find(stop) + len(stop), stop) for stop in stops if stop in text]
    cut, stop = read(stops, text)
    if not ends:
        assert (cut, stop) == (text, None)
    else:
        end = min(ends)[0]
        assert stop is not None
        assert cut + stop == text[:end]


@given(letters, st.text("abc", min_size=1, max_size=4), st.lists(st.integers(0, 40), max_size=6))
def test_one_stop_cuts_at_the_same_place_however_the_text_is_split(text, stop, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert read([stop], pieces) == read([stop], [text])


@given(letters, stop_lists)
def test_what_was_yielded_never_holds_a_stop(text, stops):
    cut, stop = read(stops, text)
    if stop is not None:
        assert text.startswith(cut + stop)


def test_the_beginning_of_a_stop_is_held_back_until_settled():
    watch = StopWatch(["</end>"])
    assert watch.feed("a</en") == ("a", None)
    assert watch.feed("x") == ("</enx", None)
    assert watch.feed("</e") == ("", None)
    assert watch.close() == "</e"


def test_empty_stop_strings_stop_nothing():
    assert read([""], ["abc"]) == ("abc", None)
