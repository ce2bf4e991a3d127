"""The control plane of the stand-in: apps, images, secrets, and the life of sandboxes."""

import asyncio
import base64
import json
import socket
import time
import uuid
from collections.abc import Mapping
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as api

from treadle_sandbox.errors import SandboxError
from treadle_sandbox.testing.fake_modal.cloud import (
    IDLE,
    TERMINATED,
    TIMEOUT,
    FakeCloud,
    FakeSandbox,
)


def _token() -> str:
    body = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 3600}).encode()).decode()
    return f"e30.{body}.c2ln"


class Control:
    """Answers the calls of the control plane that the Modal client makes for sandboxes."""

    streams = frozenset({"ImageJoinStreaming"})

    def __init__(self, cloud: FakeCloud, url: str) -> None:
        self._cloud = cloud
        self._url = url
        self._lives: set[asyncio.Task[None]] = set()

    async def AuthTokenGet(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        self._check(metadata)
        return api.AuthTokenGetResponse(token=_token())

    async def ClientHello(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        self._check(metadata)
        return api.ClientHelloResponse()

    def _check(self, metadata: Mapping[str, str]) -> None:
        if metadata.get("x-modal-token-id") != self._cloud.accept_token:
            raise GRPCError(Status.UNAUTHENTICATED, "Token ID not found")

    async def AppGetOrCreate(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        self._check(metadata)
        return api.AppGetOrCreateResponse(app_id=f"ap-{request.app_name}")

    async def EnvironmentGetOrCreate(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        settings = api.EnvironmentSettings(image_builder_version="2025.06")
        return api.EnvironmentGetOrCreateResponse(
            environment_id="en-1",
            metadata=api.EnvironmentMetadata(name="main", settings=settings),
        )

    async def ImageGetOrCreate(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        name = f"im-{uuid.uuid5(uuid.NAMESPACE_OID, str(request.image)).hex[:22]}"
        result = api.GenericResult(status=api.GenericResult.GENERIC_STATUS_SUCCESS)
        if self._cloud.fail_image:
            result = api.GenericResult(
                status=api.GenericResult.GENERIC_STATUS_FAILURE, exception=self._cloud.fail_image
            )
        return api.ImageGetOrCreateResponse(image_id=name, result=result)

    async def ImageJoinStreaming(self, stream: Any) -> None:
        """Answer the call of this name."""
        await stream.recv_message()
        result = api.GenericResult(
            status=api.GenericResult.GENERIC_STATUS_FAILURE, exception=self._cloud.fail_image
        )
        await stream.send_message(api.ImageJoinStreamingResponse(result=result, eof=True))

    async def ImageFromId(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        return api.ImageFromIdResponse(image_id=request.image_id)

    async def SecretGetOrCreate(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        return api.SecretGetOrCreateResponse(secret_id=f"st-{request.deployment_name}")

    async def SandboxCreateV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        cloud = self._cloud
        cloud.creations.append(time.monotonic())
        if cloud.refuse_creations:
            cloud.refuse_creations -= 1
            raise GRPCError(Status.RESOURCE_EXHAUSTED, "Sandbox creation rate limit exceeded")
        definition = request.definition
        if cloud.named(request.app_id, definition.name):
            raise GRPCError(Status.ALREADY_EXISTS, f"Sandbox {definition.name!r} already exists")
        sandbox = FakeSandbox(
            id=f"sb-{uuid.uuid4().hex[:20]}V",
            name=definition.name,
            app=request.app_id,
            tags={tag.tag_name: tag.tag_value for tag in request.tags},
            created=time.time(),
            ends=time.time() + definition.timeout_secs,
            image=definition.image_id,
        )
        cloud.definitions.append(definition)
        cloud.sandboxes[sandbox.id] = sandbox
        variables = {
            key: value
            for source in request.secret_sources
            for key, value in source.env.contents.items()
        }
        try:
            await self._boot(sandbox, list(definition.entrypoint_args), variables, definition)
        except BaseException:
            del cloud.sandboxes[sandbox.id]
            raise
        life = asyncio.create_task(self._live(sandbox, definition.timeout_secs))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return api.SandboxCreateV2Response(
            sandbox_id=sandbox.id,
            task_id=sandbox.task_id,
            metadata=api.SandboxHandleMetadata(app_id=sandbox.app),
        )

    async def _boot(
        self, sandbox: FakeSandbox, command: list[str], variables: dict[str, str], definition: Any
    ) -> None:
        if definition.open_ports.ports:
            await self._serve(sandbox, command, variables, definition.open_ports.ports[0].port)
            return
        try:
            sandbox.lease = await self._cloud.backend.lease(timeout=60)
        except SandboxError as error:
            raise GRPCError(Status.INTERNAL, str(error)) from error
        if archive := self._cloud.archives.get(sandbox.image):
            await sandbox.lease.exec(["tar", "-xf", "-"], stdin=archive)

    async def _serve(
        self, sandbox: FakeSandbox, command: list[str], variables: dict[str, str], port: int
    ) -> None:
        sandbox.container_port, sandbox.port = port, free_port()
        words = [str(sandbox.port) if word == str(port) else word for word in command]
        words = ["127.0.0.1" if word == "0.0.0.0" else word for word in words]
        sandbox.log = self._cloud.folder / f"{sandbox.id}.log"
        try:
            with sandbox.log.open("wb") as log:
                sandbox.process = await asyncio.create_subprocess_exec(
                    *words,
                    env={**self._cloud.environment, **variables},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        except OSError as error:
            raise GRPCError(Status.FAILED_PRECONDITION, str(error)) from error

    async def _live(self, sandbox: FakeSandbox, seconds: float) -> None:
        process = sandbox.process
        waits = [asyncio.ensure_future(sandbox.ended.wait())]
        if process is not None:
            waits.append(asyncio.ensure_future(process.wait()))  # type: ignore[arg-type]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        if process is not None and process.returncode is not None:
            await sandbox.end(2 if process.returncode else 1, process.returncode)
        await sandbox.end(TIMEOUT, 124)

    def _get(self, sandbox_id: str) -> FakeSandbox:
        sandbox = self._cloud.sandboxes.get(sandbox_id)
        if sandbox is None:
            raise GRPCError(Status.NOT_FOUND, f"Sandbox {sandbox_id} not found")
        return sandbox

    async def SandboxGetFromNameV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        sandbox = self._cloud.named(f"ap-{request.app_name}", request.sandbox_name)
        if sandbox is None:
            raise GRPCError(Status.NOT_FOUND, f"no running sandbox {request.sandbox_name!r}")
        return api.SandboxGetFromNameResponse(sandbox_id=sandbox.id)

    async def SandboxGetFromName(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        raise GRPCError(Status.NOT_FOUND, f"no running sandbox {request.sandbox_name!r}")

    async def SandboxListV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        wanted = {tag.tag_name: tag.tag_value for tag in request.tags}
        before = request.before_timestamp or float("inf")
        found = [
            api.SandboxInfo(id=each.id, created_at=each.created, name=each.name)
            for each in sorted(self._cloud.running(), key=lambda one: -one.created)
            if each.app == request.app_id
            and each.created < before
            and wanted.items() <= each.tags.items()
        ]
        return api.SandboxListResponse(sandboxes=found[:2])

    async def SandboxTagsGetV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        tags = self._get(request.sandbox_id).tags
        rows = [api.SandboxTag(tag_name=key, tag_value=value) for key, value in tags.items()]
        return api.SandboxTagsGetResponse(tags=rows)

    async def SandboxWaitV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        sandbox = self._get(request.sandbox_id)
        if request.timeout:
            await asyncio.wait(
                {asyncio.ensure_future(sandbox.ended.wait())}, timeout=request.timeout
            )
        result = api.GenericResult()
        if sandbox.ended.is_set():
            status = TERMINATED if sandbox.status == IDLE else sandbox.status
            result = api.GenericResult(status=status, exitcode=sandbox.code)  # type: ignore[arg-type]
        return api.SandboxWaitResponse(result=result)

    async def SandboxTerminateV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        await self._get(request.sandbox_id).end(TERMINATED, 137)
        return api.SandboxTerminateResponse()

    async def SandboxGetTunnelsV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        sandbox = self._get(request.sandbox_id)
        tunnel = api.TunnelData(
            host="localhost",
            port=await self._cloud.tunnel(sandbox),
            container_port=sandbox.container_port,
        )
        return api.SandboxGetTunnelsResponse(tunnels=[tunnel])

    async def SandboxGetTaskIdV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        sandbox = self._get(request.sandbox_id)
        if sandbox.ended.is_set() and sandbox.process is None:
            result = api.GenericResult(status=sandbox.status, exception="Sandbox already finished")  # type: ignore[arg-type]
            return api.SandboxGetTaskIdResponse(task_result=result)
        return api.SandboxGetTaskIdResponse(task_id=sandbox.task_id)

    async def SandboxGetCommandRouterAccess(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        self._get(request.sandbox_id)
        return api.SandboxGetCommandRouterAccessResponse(jwt=_token(), url=self._url)

    async def SandboxTagsSetV2(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        self._get(request.sandbox_id).tags.update(tags)
        return Empty()


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
