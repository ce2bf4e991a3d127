"""`treadle-sandbox doctor`: what this machine can isolate, and how to get what is missing."""

import argparse
import asyncio
import dataclasses
import json
import sys

from treadle_sandbox.cli import probes
from treadle_sandbox.cli.probes import Finding
from treadle_sandbox.records import Isolation


def main(options: argparse.Namespace) -> int:
    """Print the findings; returns 1 when no level with a boundary works."""
    findings = asyncio.run(_find())
    isolated = any(finding.works for finding in findings if finding.name in probes.BOUNDARIES)
    if options.json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({"isolated": isolated, "findings": rows}, indent=2))
    else:
        _print(findings, isolated)
    return 0 if isolated else 1


async def _find() -> list[Finding]:
    levels = [await probes.probe_level(level) for level in sorted(Isolation, reverse=True)]
    return [*levels, *probes.probe_machine()]


def _print(findings: list[Finding], isolated: bool) -> None:
    colour = sys.stdout.isatty()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        word = "yes" if finding.works else "no "
        if colour:
            word = f"\033[{32 if finding.works else 33}m{word}\033[0m"
        print(f"{finding.name:{width}}  {word}  {finding.detail}")
        if finding.advice:
            print(f"{'':{width}}       -> {finding.advice}")
    print()
    if isolated:
        print("Commands can be isolated here.")
    else:
        print("Commands can NOT be isolated here: nothing but the `process` level works.")
