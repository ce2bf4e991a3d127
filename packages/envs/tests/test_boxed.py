"""What counts as a model's final answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle_envs.gsm8k.boxed import final_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{18}.", "18"),
        ("\\boxed{1} no, \\boxed{2}", "2"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{ 18 \\text{ eggs} }", "18 \\text{ eggs}"),
        ("\\boxed {7}", "7"),
        ("\\fbox{7}", "7"),
        ("<think>\\boxed{1}</think> it is \\boxed{2}", "2"),
        ("a set \\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{3} and then \\boxed{4", "3"),
    ],
)
def test_the_last_closed_box_after_the_thinking_is_the_answer(text: str, answer: str):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the answer is 18",
        "boxed{18}",
        "\\boxed 18",
        "\\boxed{18",
        "\\boxedly{18}",
        "<think>\\boxed{18}</think> it is 18",
        "#### 18",
        "\\boxed",
    ],
)
def test_a_text_without_a_closed_box_has_no_answer(text: str):
    assert final_answer(text) is None


@given(st.text(alphabet="\\boxedfr{} 1}"))
def test_no_text_raises(text: str):
    answer = final_answer(text)
    assert answer is None or answer in text


@given(st.text(alphabet="abc 12,.", min_size=1), st.text(alphabet="abc 12,."))
def test_a_box_is_found_in_any_prose(answer: str, prose: str):
    assert final_answer(f"{prose}\\boxed{{{answer}}}{prose}") == answer.strip()
