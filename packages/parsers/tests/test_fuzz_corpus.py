"""The corpus of the fuzzer passes the fuzzer's checks, without the fuzzing engine."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parser_fuzz.cases import FORMATS, Case, decoded, encoded, read_corpus
from parser_fuzz.checks import check
from parser_fuzz.mutations import rendered, seeds

from treadle_parsers import CallStatus

FOLDER = Path(__file__).parents[1] / "fuzz"
CORPUS = read_corpus(FOLDER / "corpus.jsonl")
FOUND = read_corpus(FOLDER / "found.jsonl")
SEEDS = seeds()
every_format = pytest.mark.parametrize("name", FORMATS)


@every_format
def test_corpus_and_seeds_keep_every_promise(name):
    mine = [case for case in (*CORPUS, *SEEDS) if case.format == name]
    calls = [call for case in mine for call in check(case).message.tool_calls]
    assert CallStatus.OK in {call.status for call in calls}


@pytest.mark.parametrize("place", range(len(FOUND)))
def test_what_once_failed_holds(place):
    check(FOUND[place])


def test_the_corpus_is_small():
    assert sum((FOLDER / name).stat().st_size for name in ("corpus.jsonl", "found.jsonl")) < 200_000


@pytest.mark.parametrize("source", [CORPUS, FOUND], ids=["corpus", "found"])
def test_a_case_survives_the_bytes_of_the_engine(source):
    for case in source:
        assert decoded(encoded(case)) == case


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_case(data):
    case = decoded(data)
    assert isinstance(case, Case)
    assert case.format in FORMATS
    assert len(case.expanded) <= 60_000


def test_one_seed_renders_one_text():
    import random

    texts = {rendered("hermes", random.Random(3)) for _ in range(3)}
    assert len(texts) == 1
