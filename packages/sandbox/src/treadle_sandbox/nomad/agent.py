"""A Nomad agent, asked through python-nomad on threads, each call with its own deadline.

Answers are Nomad's own JSON objects. What goes wrong becomes one typed error with advice.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import nomad
from nomad.api import exceptions

from treadle_sandbox.config import NomadConfig
from treadle_sandbox.errors import ConfigError, ServerError, UnauthorizedError

Json = Mapping[str, Any]
_Result = TypeVar("_Result")
_THREADS = 16
_MARGIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer of a query that can block."""

    index: int
    """State of the cluster it shows; the next query waits for a later one."""
    rows: tuple[Json, ...]


class NomadAgent:
    """The calls that a pool needs. Close it at the end."""

    def __init__(self, config: NomadConfig) -> None:
        self._config = config
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="treadle-nomad")
        self._client: Any = nomad.Nomad(
            address=config.address.rstrip("/"),
            token=config.token,
            namespace=config.namespace,
            region=config.region,
            timeout=int(max(1.0, config.http_timeout)),
            verify=config.verify,  # pyright: ignore[reportArgumentType] - requests takes a path too
        )

    async def _call(self, doing: str, call: Callable[[], _Result]) -> _Result:
        loop = asyncio.get_running_loop()
        with _boundary(self._config, doing):
            async with asyncio.timeout(self._config.http_timeout + _MARGIN):
                return await loop.run_in_executor(self._threads, call)

    async def leader(self) -> str:
        """Return the address of the cluster's leader; empty when it has none."""
        return str(await self._call("the leader", self._client.status.leader.get_leader))

    async def register(self, job: Json) -> str:
        """Register a job; return the id of its evaluation."""
        answer = await self._call(
            f"job {job['ID']!r}", lambda: self._client.jobs.register_job({"Job": job})
        )
        return str(answer.get("EvalID", ""))

    async def deregister(self, job_id: str) -> None:
        """End a job and forget it. It may be gone already."""
        await self._unless_missing(
            f"the end of job {job_id!r}",
            lambda: self._client.job.deregister_job(job_id, purge=True),
        )

    async def job(self, job_id: str) -> Json | None:
        """Return a job, None when there is none."""
        return await self._unless_missing(
            f"job {job_id!r}", lambda: self._client.job.get_job(job_id)
        )

    async def jobs(self, prefix: str) -> tuple[Json, ...]:
        """Return the jobs whose ids begin with `prefix`, with their meta."""
        return tuple(
            await self._call(
                "the list of jobs", lambda: self._client.jobs.get_jobs(prefix=prefix, meta=True)
            )
        )

    async def allocations(self, job_id: str, *, after: int = 0, wait: float = 0.0) -> Page:
        """Return a job's allocations, newest first; wait for a change after an index."""
        params: dict[str, Any] = {"all": "true"}
        if after and wait:
            params |= {"index": str(after), "wait": f"{int(wait * 1000)}ms"}

        def ask() -> Page:
            answer = self._client.job.request(job_id, "allocations", params=params, method="get")
            rows = sorted(answer.json(), key=lambda row: -int(row.get("CreateIndex", 0)))
            return Page(index=int(answer.headers.get("X-Nomad-Index", 0)), rows=tuple(rows))

        return await self._call(f"allocations of {job_id!r}", ask)

    async def allocation(self, allocation_id: str) -> Json | None:
        """Return one allocation in full, None when there is none."""
        return await self._unless_missing(
            f"allocation {allocation_id!r}",
            lambda: self._client.allocation.get_allocation(allocation_id),
        )

    async def evaluations(self, job_id: str) -> tuple[Json, ...]:
        """Return a job's evaluations, newest first."""
        rows: Any = await self._call(
            f"evaluations of {job_id!r}", lambda: self._client.job.get_evaluations(job_id)
        )
        return tuple(sorted(rows, key=lambda row: -int(row.get("CreateIndex", 0))))

    async def log(self, allocation_id: str, task: str) -> str:
        """Return the end of a task's standard error, empty when there is none."""
        text = await self._unless_missing(
            f"the log of {allocation_id!r}",
            lambda: self._client.client.stream_logs.stream(
                allocation_id, task, "stderr", offset=2000, origin="end", plain=True
            ),
        )
        return str(text or "")

    async def keep_secret(self, path: str, items: Mapping[str, str]) -> None:
        """Write a Nomad variable, which only the job of that path may read."""
        body = {"Path": path, "Items": {**items}}
        await self._call(
            f"variable {path!r}", lambda: self._client.variable.create_variable(path, body)
        )

    async def forget_secret(self, path: str) -> None:
        """Delete a Nomad variable. It may be gone already."""
        await self._unless_missing(
            f"variable {path!r}", lambda: self._client.variable.delete_variable(path)
        )

    async def _unless_missing(self, doing: str, call: Callable[[], Any]) -> Any:
        def ask() -> Any:
            try:
                return call()
            except exceptions.URLNotFoundNomadException:
                return None

        return await self._call(doing, ask)

    def close(self) -> None:
        """Give the threads back; those in a call end with it."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _boundary(config: NomadConfig, doing: str) -> Generator[None]:
    try:
        yield
    except exceptions.URLNotAuthorizedNomadException as error:
        raise UnauthorizedError(
            f"Nomad at {config.address} refused {doing}: {_said(error)}; give a token with "
            f"submit-job, read-job and variables rights in namespace {config.namespace!r}"
        ) from error
    except exceptions.BadRequestNomadException as error:
        raise ConfigError(f"Nomad doesn't accept {doing}: {_said(error)}") from error
    except (exceptions.BaseNomadException, TimeoutError, OSError, ValueError) as error:
        raise ServerError(
            f"Nomad at {config.address} doesn't answer for {doing}: {_said(error)}; check "
            "`address` and that its agent runs"
        ) from error


def _said(error: BaseException) -> str:
    response: Any = getattr(error, "nomad_resp", None)
    text = getattr(response, "text", None)
    if text is not None:
        return f"{response.status_code} {str(text).strip()[:500]}"
    return str(response or error or type(error).__name__)[:500]
