"""The command router of the stand-in: commands in a sandbox and their streams."""

import asyncio
from collections.abc import Mapping
from typing import Any

from grpclib import GRPCError, Status
from modal_proto import task_command_router_pb2 as router

from treadle_sandbox.errors import SandboxError
from treadle_sandbox.testing.fake_modal.cloud import FakeCloud, FakeSandbox
from treadle_sandbox.testing.fake_modal.execution import Execution


class Router:
    """Answers the calls that run commands, each in the slot of its sandbox."""

    streams = frozenset({"TaskExecStdioRead", "SandboxStdioReadV2"})

    def __init__(self, cloud: FakeCloud) -> None:
        self._cloud = cloud

    def _sandbox(self, task_id: str) -> FakeSandbox:
        sandbox = self._cloud.sandboxes.get(task_id.replace("ta-", "sb-"))
        if sandbox is None or sandbox.ended.is_set():
            raise GRPCError(Status.NOT_FOUND, f"task {task_id} has finished")
        return sandbox

    def _execution(self, request: Any) -> Execution:
        execution = self._sandbox(request.task_id).executions.get(request.exec_id)
        if execution is None:
            raise GRPCError(Status.NOT_FOUND, f"no command {request.exec_id}")
        return execution

    async def TaskExecStart(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        sandbox = self._sandbox(request.task_id)
        if sandbox.lease is None:
            raise GRPCError(Status.FAILED_PRECONDITION, "the sandbox runs a server")
        if request.exec_id not in sandbox.executions:
            env = {
                key: value
                for source in request.secret_sources
                for key, value in source.env.contents.items()
            }
            sandbox.executions[request.exec_id] = Execution(
                sandbox.lease,
                list(request.command_args),
                env,
                request.workdir or None,
                request.timeout_secs or None,
            )
        return router.TaskExecStartResponse()

    async def TaskExecStdinWrite(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        execution = self._execution(request)
        await execution.write(request.offset, request.data, end=request.eof)
        return router.TaskExecStdinWriteResponse()

    async def TaskExecStdioRead(self, stream: Any) -> None:
        """Answer the call of this name."""
        request = await stream.recv_message()
        execution = self._execution(request)
        name = "stderr" if request.file_descriptor else "stdout"
        try:
            async for data in execution.read(name, request.offset):
                await stream.send_message(router.TaskExecStdioReadResponse(data=data))
        except SandboxError as error:
            raise GRPCError(Status.NOT_FOUND, str(error)) from error
        if execution.task.cancelled():
            raise GRPCError(Status.NOT_FOUND, "the sandbox has finished")

    async def SandboxStdioReadV2(self, stream: Any) -> None:
        """Answer the call of this name with what the first process wrote."""
        request = await stream.recv_message()
        sandbox = self._cloud.sandboxes.get(request.task_id.replace("ta-", "sb-"))
        data = b""
        if sandbox is not None and sandbox.log is not None:
            data = await asyncio.to_thread(sandbox.log.read_bytes)
        if len(data) > request.offset:
            await stream.send_message(
                router.SandboxStdioReadV2Response(data=data[request.offset :])
            )

    async def TaskExecWait(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        code = await self._code(request)
        if code > 128 and code != 255:
            return router.TaskExecWaitResponse(signal=code - 128)
        return router.TaskExecWaitResponse(code=code)

    async def TaskExecPoll(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        execution = self._execution(request)
        if not execution.task.done():
            return router.TaskExecPollResponse()
        return router.TaskExecPollResponse(code=await self._code(request))

    async def _code(self, request: Any) -> int:
        task = self._execution(request).task
        await asyncio.wait({task})
        if task.cancelled():
            raise GRPCError(Status.NOT_FOUND, "the sandbox has finished")
        try:
            return task.result()
        except SandboxError as error:
            raise GRPCError(Status.NOT_FOUND, str(error)) from error

    async def TaskSnapshotFilesystem(self, request: Any, metadata: Mapping[str, str]) -> Any:
        """Answer the call of this name."""
        sandbox = self._sandbox(request.task_id)
        assert sandbox.lease is not None
        packed = await sandbox.lease.exec(["tar", "-cf", "-", "."], output_limit=100_000_000)
        name = f"im-{request.snapshot_id.replace('-', '')[:22]}"
        self._cloud.archives[name] = packed.stdout
        return router.TaskSnapshotFilesystemResponse(image_id=name)
