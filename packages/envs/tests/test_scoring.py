"""The scorer on whole texts, and its worker processes."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from treadle_envs.errors import ScorerError
from treadle_envs.gsm8k.scoring import AnswerScorer
from treadle_envs.gsm8k.verify_pool import VerifyPool

ENDLESS = "9^{9^{9^9}}"

DRESSES = {
    "bare": "\\boxed{%s}",
    "prose with units": "So there are \\boxed{%s \\text{ apples}} in all.",
    "unit words": "It comes to \\boxed{%s dollars a day}.",
    "dollars": "She pays \\boxed{\\$%s}.",
    "cents": "She pays \\boxed{$%s.00}.",
    "after thinking": "<think>maybe \\boxed{0}?</think>\n\\boxed{%s}",
}


def golds_of(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["answer"].rpartition("####")[2].strip() for row in rows]


async def assert_gold_answers_win_and_wrong_ones_lose(golds: list[str]):
    async with AnswerScorer() as scorer:
        for gold in golds:
            value = int(gold.replace(",", ""))
            for dress in DRESSES.values():
                for written in {gold, str(value), f"{value:,}"}:
                    assert await scorer.score(dress % written, gold) == 1.0, (dress, gold)
                    assert await scorer.score(dress % f"{value + 1:,}", gold) == 0.0, (dress, gold)
            assert await scorer.score(f"The answer is {gold}.", gold) == 0.0


async def test_own_problems_gold_answers_score_1_and_gold_plus_one_0(problems: Path):
    golds = golds_of(problems)
    assert len(golds) == 120
    await assert_gold_answers_win_and_wrong_ones_lose(golds)


async def test_all_1319_gold_answers_of_gsm8k_score_1_and_gold_plus_one_0(shared_gsm8k: Path):
    golds = golds_of(shared_gsm8k)
    assert len(golds) == 1319
    await assert_gold_answers_win_and_wrong_ones_lose(golds)


async def test_math_verify_alone_agrees_on_the_gold_answers(problems: Path):
    async with VerifyPool() as pool:
        for gold in golds_of(problems)[:40]:
            value = int(gold.replace(",", ""))
            assert await pool.compare(str(value), f"{value} \\text{{ apples}}") is True
            assert await pool.compare(str(value), str(value + 1)) is False


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("18", "2+16", 1.0),
        ("18", "x = 18", 1.0),
        ("3", "\\sqrt{9}", 1.0),
        ("1000", "10^3", 1.0),
        ("18", "18x", 0.0),
        ("18", "17 or 18", 0.0),
        ("18", "\\text{eighteen}", 0.0),
        ("Monday", "\\text{Monday}", 1.0),
        ("18", "}{", 0.0),
        ("18", "1" * 5000, 0.0),
    ],
)
async def test_other_answers_go_to_math_verify_or_are_compared_as_text(
    gold: str, answer: str, score: float
):
    async with AnswerScorer() as scorer:
        assert await scorer.score(f"\\boxed{{{answer}}}", gold) == score


async def test_an_endless_comparison_is_killed_at_the_limit_and_the_next_one_works():
    async with AnswerScorer(workers=1, limit=1.0) as scorer:
        await scorer.pool.warm()
        (first,) = scorer.pool.pids
        started = time.monotonic()
        assert await scorer.score(f"\\boxed{{{ENDLESS}}}", "18") == 0.0
        assert time.monotonic() - started < 5
        assert not Path(f"/proc/{first}").exists()
        assert await scorer.score("\\boxed{2+16}", "18") == 1.0


async def test_plain_numbers_are_scored_while_every_worker_is_busy():
    async with AnswerScorer(workers=1, limit=30.0) as scorer:
        await scorer.pool.warm()
        busy = asyncio.create_task(scorer.score(f"\\boxed{{{ENDLESS}}}", "18"))
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert await scorer.score("\\boxed{18}", "18") == 1.0
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
        assert not scorer.pool.pids


async def test_closing_leaves_no_process_and_closing_again_is_harmless():
    scorer = AnswerScorer()
    await scorer.pool.warm()
    pids = scorer.pool.pids
    assert pids
    await scorer.aclose()
    await scorer.aclose()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with pytest.raises(ScorerError, match="closed"):
        await scorer.score("\\boxed{2+16}", "18")


async def test_workers_see_no_secret_of_this_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ATROPOS_SERVER_API_KEY", "do-not-tell")
    async with VerifyPool(size=1) as pool:
        await pool.warm()
        (pid,) = pool.pids
        assert b"do-not-tell" not in Path(f"/proc/{pid}/environ").read_bytes()
