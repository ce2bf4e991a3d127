"""One run of an environment app, from parsed flags to exit status.

Everything the run needs and nobody provides is started (model server, trajectory API, batch
consumer), watched, and stopped again, in that order reversed. Expected failures end in one line on
standard error; SIGINT and SIGTERM end the run like its last group, with a summary.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from treadle_envs.atropos.cli import ResolvedSettings
from treadle_envs.atropos.env import AgentEnv
from treadle_envs.errors import SettingsError
from treadle_envs.failures import EXPECTED, error_line, first_error
from treadle_envs.observer import Observers
from treadle_envs.recording import JsonLines, RolloutRecorder
from treadle_envs.sandboxes import local_backend
from treadle_envs.serving.children import child_server
from treadle_envs.serving.configuration import Files, configure
from treadle_envs.serving.modes import Run, evaluate, process, serve
from treadle_envs.serving.options import (
    EmbeddedDefault,
    RunMode,
    RunOptions,
    options_from_flags,
)
from treadle_envs.serving.statistics import RunStatistics
from treadle_envs.serving.summary import check_conservation, render_summary, write_summary
from treadle_envs.serving.view import Gauges, progress_view
from treadle_envs.stopping import until_stopped
from treadle_sandbox import LocalBackend

logger = logging.getLogger(__name__)

_MODES = {RunMode.SERVE: serve, RunMode.PROCESS: process, RunMode.EVALUATE: evaluate}
_MODEL_START_SECONDS = 60.0


def run_app(
    environment: type[AgentEnv[Any]],
    flags: argparse.Namespace,
    dotted: Mapping[str, dict[str, str]],
    *,
    embedded: EmbeddedDefault,
) -> int:
    """Carry out what the flags ask for; returns the exit status (2 for wrong settings)."""
    try:
        options = options_from_flags(flags, dotted)
        settings, use_embedded = configure(environment, options, embedded)
        options.out.mkdir(parents=True, exist_ok=True)
        run = _AppRun(environment, options, settings, embedded if use_embedded else None)
        with _logging_to(run.files.logs / "run.log", live=run.live):
            asyncio.run(run.until_done_or_stopped())
        check_conservation(run.statistics)
    except EXPECTED as error:
        print(error_line(error), file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    except ExceptionGroup as failures:
        error = first_error(failures)
        if not isinstance(error, EXPECTED):
            raise
        print(error_line(error), file=sys.stderr)
        return 1
    write_summary(run.statistics, options.out)
    print(render_summary(run.statistics, run.written()))
    return 0


class _AppRun:
    """One run and its parts."""

    def __init__(
        self,
        environment: type[AgentEnv[Any]],
        options: RunOptions,
        settings: ResolvedSettings,
        embedded: EmbeddedDefault | None,
    ) -> None:
        self.files = Files(out=options.out)
        self.live = not options.plain and sys.stderr.isatty()
        self.statistics = RunStatistics(target_groups=options.groups)
        self._environment = environment
        self._options = options
        self._settings = settings
        self._embedded = embedded
        self._backend: LocalBackend | None = None
        self._active: Run | None = None

    async def until_done_or_stopped(self) -> None:
        """Run to the end, or until SIGINT or SIGTERM."""
        stopped = await until_stopped(self._run())
        if stopped is not None:
            logger.info("stopped by %s", stopped.name)

    def written(self) -> list[Path]:
        """The files of this run, whether they exist or not."""
        out = self.files.out
        reports = [out / "metrics.json", out / "samples.jsonl"]
        return [self.files.groups, self.files.rollouts, *reports, out / "summary.json"]

    async def _run(self) -> None:
        name = self._environment.name or self._environment.__name__
        title = f"{name} {self._options.mode.value}"
        async with AsyncExitStack() as stack:
            view = progress_view(title, self.statistics, self._gauges, live=self.live)
            await stack.enter_async_context(view)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            server = self._settings.server
            if self._embedded is not None:
                self.statistics.phase = "starting the embedded model"
                url = await stack.enter_async_context(self._embedded_server(self._embedded))
                server = server.model_copy(update={"base_url": f"{url}/v1"})
            self.statistics.phase = "opening sandboxes, data and model"
            config = self._settings.config
            self._backend = await stack.enter_async_context(local_backend(config))
            lines = stack.enter_context(JsonLines(self.files.rollouts))
            env = self._environment(
                config,
                [server],
                observer=Observers([self.statistics, RolloutRecorder(lines)]),
                backend=self._backend,
            )
            self._active = Run(env=env, http=http, options=self._options, files=self.files)
            await _MODES[self._options.mode](self._active)
            self.statistics.phase = "done"

    def _gauges(self) -> Gauges:
        slots = None if self._backend is None else self._backend.statistics()
        return Gauges(
            slots_used=slots.leased if slots else 0,
            slots_total=slots.slots if slots else 0,
            queue=self._active.queue_size if self._active else None,
        )

    @contextlib.asynccontextmanager
    async def _embedded_server(self, embedded: EmbeddedDefault) -> AsyncGenerator[str]:
        for split in ("train", "test"):
            await asyncio.to_thread(embedded.write_problems, self.files.problems(split), split)
        log = self.files.logs / "model.log"
        async with child_server(
            "embedded model server", embedded.server_command, log, timeout=_MODEL_START_SECONDS
        ) as url:
            yield url


@contextlib.contextmanager
def _logging_to(path: Path, *, live: bool) -> Any:
    """Log to a file, and to standard error as well where no live view is drawn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
    if not live:
        handlers.append(logging.StreamHandler())
    root, form = logging.getLogger(), logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    level = root.level
    root.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(form)
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
