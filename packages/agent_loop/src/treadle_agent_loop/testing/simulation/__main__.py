"""The command: prove the token ledger's promises over random rollouts.

`python -m treadle_agent_loop.testing.simulation --rollouts 10000` takes a few minutes on one core.
Exit status: 0 when all of them hold, 1 otherwise; every failure names the seed that shows it again.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m treadle_agent_loop.testing.simulation",
        description="Prove the token ledger's promises over random rollouts.",
    )
    parser.add_argument("--rollouts", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the first rollout's seed")
    flags = parser.parse_args(argv)
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from treadle_agent_loop.testing.simulation.campaign import Campaign, run_campaign

    started = time.monotonic()

    def progress(campaign: Campaign) -> None:
        done = campaign.rollouts + len(campaign.failures)
        if done % 1000 == 0:
            print(f"{done} rollouts, {time.monotonic() - started:.0f} s", file=sys.stderr)

    campaign = asyncio.run(run_campaign(flags.rollouts, seed=flags.seed, progress=progress))
    print(f"rollouts     {campaign.rollouts} ({_listed(campaign.families)})")
    print(f"model calls  {campaign.calls}")
    print(f"segments     {campaign.origins.total()} ({_listed(campaign.origins)})")
    print(
        f"sampled ids  {campaign.sampled} = {campaign.trained} trained "
        f"+ {campaign.dropped.total()} dropped ({_listed(campaign.dropped)})"
    )
    print(f"lost ids     {campaign.lost} sampled by the engine, never received, in no segment")
    print(f"closes       {campaign.closes} synthesised")
    print(f"divergences  {_listed(campaign.divergences)}")
    for failure in campaign.failures:
        print(f"FAILED {failure}")
    verdict = "every promise holds" if campaign.holds else "REFUTED"
    print(f"{verdict}, {time.monotonic() - started:.0f} s")
    return 0 if campaign.holds else 1


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


if __name__ == "__main__":
    sys.exit(main())
