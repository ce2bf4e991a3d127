"""The runtime's telemetry is off: using the model leaves nothing in the temporary folder."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio
from treadle_embedded import EmbeddedModel

async def main():
    async with EmbeddedModel():
        pass

asyncio.run(main())
"""


def test_using_the_model_leaves_no_telemetry_session_in_the_temporary_folder(
    tmp_path: Path,
) -> None:
    environment = dict(os.environ, TMPDIR=str(tmp_path))
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI"):
        environment.pop(name, None)  # each of them would switch it off
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
