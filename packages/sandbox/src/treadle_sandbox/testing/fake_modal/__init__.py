"""A stand-in for Modal on this machine, for tests of what speaks to it through the real client.

It answers the client's own gRPC calls on loopback. A sandbox is a real slot of a backend, so that
commands really run and are really confined; a sandbox with a tunnel is a real process. It keeps
Modal's rules that callers depend on: names are unique while a sandbox runs, sandboxes end at their
timeout, lists come in pages, and creations can be refused.

    async with LocalBackend() as local, FakeModal(local) as modal_server:
        os.environ["MODAL_SERVER_URL"] = modal_server.url
"""

import os
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from grpclib.server import Server
from modal_proto.api_grpc import ModalClientBase
from modal_proto.task_command_router_grpc import TaskCommandRouterBase

from treadle_sandbox.backend import Backend
from treadle_sandbox.testing.fake_modal.cloud import FakeCloud, FakeSandbox
from treadle_sandbox.testing.fake_modal.control import Control, free_port
from treadle_sandbox.testing.fake_modal.router import Router
from treadle_sandbox.testing.fake_modal.servicer import complete


class FakeModal:
    """The stand-in. `cloud` shows what it did and lets it misbehave.

    `certificate` and `key` are files for `localhost`, with which tunnels speak TLS; the program
    finds our server on `path`.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        path: str | None = None,
    ) -> None:
        self.cloud = FakeCloud(backend, environment={"PATH": path or os.defpath})
        if certificate is not None:
            self.cloud.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.cloud.tls.load_cert_chain(certificate, key)
        self._port = free_port()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """What MODAL_SERVER_URL must be."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        control = complete(ModalClientBase, Control(self.cloud, self.url))
        router = complete(TaskCommandRouterBase, Router(self.cloud))
        self._server = Server([control, router])
        await self._server.start("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cloud.aclose()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


__all__ = ["FakeCloud", "FakeModal", "FakeSandbox"]
