import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_embedded.problems import TEMPLATES, Split, generate, split_of, write_split
from treadle_embedded.problems.__main__ import main
from treadle_embedded.problems.story import OPERATIONS, expression, step, tell

SAMPLE = generate(2000, 11)


def test_the_same_seed_gives_the_same_problems():
    assert generate(50, 3) == generate(50, 3)
    assert generate(50, 3) == generate(80, 3)[:50]


def test_another_seed_gives_other_problems():
    first = {problem.question for problem in generate(200, 3)}
    second = {problem.question for problem in generate(200, 4)}
    assert len(first & second) < 20


def test_no_question_comes_twice():
    assert len({problem.question for problem in SAMPLE}) == len(SAMPLE)


def test_the_splits_share_no_question():
    training = {problem.question for problem in generate(2000, 11, split=Split.TRAIN)}
    assert not training & {problem.question for problem in SAMPLE}
    assert {split_of(question) for question in training} == {Split.TRAIN}
    assert {split_of(problem.question) for problem in SAMPLE} == {Split.HELD_OUT}


def test_every_template_is_drawn():
    assert {problem.template for problem in SAMPLE} == {t.__name__ for t in TEMPLATES}
    assert len(TEMPLATES) >= 12


def test_some_results_are_negative_and_some_are_large():
    results = [problem.result for problem in SAMPLE]
    assert 0.005 < sum(result < 0 for result in results) / len(results) < 0.1
    assert max(results) > 20_000


def test_both_reference_solutions_compute_the_result():
    for problem in SAMPLE:
        assert eval(problem.expression) == problem.result
    scripts = "\n".join(problem.program for problem in SAMPLE)
    printed = subprocess.run(
        [sys.executable, "-c", scripts], capture_output=True, text=True, check=True
    ).stdout
    assert [int(line) for line in printed.split()] == [problem.result for problem in SAMPLE]


def test_answers_have_the_form_of_gsm8k():
    for problem in SAMPLE:
        rationale, gold = problem.answer.split("\n#### ")
        assert int(gold) == problem.result
        for line in rationale.splitlines():
            left, right = re.findall(r"<<(.+)=(-?\d+)>>", line)[0]
            assert eval(left.replace("/", "//")) == int(right)


def test_every_number_of_a_solution_stands_in_the_question_or_is_a_constant():
    for problem in SAMPLE:
        given_numbers = set(re.findall(r"\d+", problem.question)) | {"100", "3"}
        assert set(re.findall(r"\d+", problem.expression)) <= given_numbers


numbers = st.integers(min_value=1, max_value=999)
operators = st.sampled_from(sorted(OPERATIONS))


@given(numbers, operators, numbers, operators, numbers, operators, st.booleans())
def test_the_expression_of_any_steps_has_their_value(a, first, b, second, c, third, swapped):
    # c // x and c % x need a positive x: keep earlier results on the left then.
    keep = third in ("//", "%") or not swapped
    story = tell(
        "?",
        step("one", a, first, b),
        step("two", c, second if second not in ("//", "%") else "*", "one"),
        step("three", *(("two", third, c) if keep else (c, third, "two"))),
    )
    assert eval(expression(story)) == story.values()["three"]


def test_the_command_writes_json_lines(tmp_path):
    out = tmp_path / "problems.jsonl"
    assert main(["--count", "20", "--seed", "5", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows == [{"question": p.question, "answer": p.answer} for p in generate(20, 5)]


def test_a_data_set_has_the_sizes_of_gsm8k_and_keeps_the_splits_apart(tmp_path):
    for split, count, kind in (("train", 7473, Split.TRAIN), ("test", 1319, Split.HELD_OUT)):
        write_split(tmp_path / split, split)
        lines = (tmp_path / split).read_text(encoding="utf-8").splitlines()
        assert len(lines) == count
        assert {split_of(json.loads(line)["question"]) for line in lines} == {kind}


def test_the_command_says_why_it_cannot_write(tmp_path, capsys):
    assert main(["--count", "1", "--out", str(tmp_path / "no" / "file")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_the_command_explains_its_flags(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    assert "--split" in capsys.readouterr().out
