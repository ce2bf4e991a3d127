import random

import pytest

from treadle_agent_loop.testing.simulation import campaign as campaigns
from treadle_agent_loop.testing.simulation import simulate
from treadle_agent_loop.testing.simulation.__main__ import main


async def test_conservation_holds_over_random_rollouts():
    campaign = await campaigns.run_campaign(300, seed=10_000)
    assert campaign.failures == []
    assert campaign.holds
    assert campaign.sampled == campaign.trained + campaign.dropped.total()
    assert len(campaign.families) >= 12
    assert set(campaign.origins) == {"start", "rewrite", "fork", "new_history"}
    assert {"tainted_sequence", "no_logprobs", "not_finite"} <= set(campaign.dropped)
    assert {"eos", "thinking", "bpe", "arguments", "injection"} <= set(campaign.divergences)
    assert campaign.lost > 0
    assert campaign.closes > 0


async def test_a_rollout_is_a_function_of_its_seed():
    first, second = [await simulate(random.Random(7)) for _ in range(2)]
    assert first.session.segments() == second.session.segments()
    assert first.engine.delivered == second.engine.delivered


async def test_sums_that_do_not_agree_refute_a_campaign():
    campaign = campaigns.Campaign()
    campaign.count(await simulate(random.Random(3)))
    assert campaign.holds
    campaign.trained += 1
    assert not campaign.holds


def test_the_command_prints_the_sums(capsys):
    assert main(["--rollouts", "5", "--seed", "4"]) == 0
    said = capsys.readouterr().out
    assert "every promise holds" in said
    assert "sampled ids" in said


def test_the_command_explains_itself(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "--rollouts" in capsys.readouterr().out
