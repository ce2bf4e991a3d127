"""Tools of MCP servers, through the official SDK; needs the extra `treadle-agent-loop[mcp]`.

An `McpServer` says where a server is. Opening it (an `AgentLoop` does so for every rollout, given
`sources=[server]`) starts a session of its own and yields the server's tools, schemas unchanged.
What the server reports as an error is a tool error for the model; a server that can't be started,
or dies, is a failure of the infrastructure. Closing ends the session and, with stdio, the server's
process tree, also when the rollout is cancelled.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from treadle_agent_loop.clipping import last_lines
from treadle_agent_loop.definition import DEFAULT_RESULT_LIMIT, Tool
from treadle_agent_loop.errors import ToolError, ToolServerError

try:
    import anyio
    import httpx2
    from mcp import Client, MCPError, StdioServerParameters, stdio_client
    from mcp.client.streamable_http import streamable_http_client
    from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT, CallToolResult
    from mcp.types import Tool as McpTool
except ImportError as error:
    raise ImportError("MCP servers need an extra: install treadle-agent-loop[mcp]") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """An MCP server to be started with a command, or reached at a URL. A `ToolSource`."""

    command: tuple[str, ...] = ()
    """Program and arguments of a stdio server. It inherits PATH, HOME and the like, no secrets."""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Further environment variables for it."""
    cwd: str | None = None
    url: str = ""
    """Endpoint of a streamable HTTP server."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Sent with every request, for example `Authorization`."""
    prefix: str = ""
    """Put before the tools' names, to keep apart those of several servers."""
    only: frozenset[str] | None = None
    """The server's names of the tools to take; None takes all."""
    start_timeout: float = 30.0
    """Seconds for starting, and for the list of tools."""
    call_timeout: float = 120.0
    """Seconds for one call; a call that takes longer is a tool error."""
    result_limit: int = DEFAULT_RESULT_LIMIT

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("an MCP server has either a command or a url; give one of them")

    def open(self) -> AbstractAsyncContextManager[Sequence[Tool]]:
        """Open a session and yield its tools.

        Raises:
            ToolServerError: the server can't be started or reached, or gives no list of tools.
        """
        return _opened(self)

    @property
    def place(self) -> str:
        """What it is called in messages."""
        return self.url or " ".join(self.command)


@asynccontextmanager
async def _opened(server: McpServer) -> AsyncGenerator[Sequence[Tool]]:
    session = _Session(server)
    try:
        async with asyncio.timeout(server.start_timeout):
            tools = await session.start()
    except TimeoutError as error:
        await session.aclose()
        raise ToolServerError(
            f"the MCP server {server.place!r} didn't answer within {server.start_timeout:g} s"
        ) from error
    except BaseException:
        await session.aclose()
        raise
    try:
        yield tools
    finally:
        await session.aclose()


class _Session:
    """One session, owned by a task of its own.

    The SDK must enter and leave its transport in one task, and its cleanup is cut short when that
    task is cancelled; so nobody cancels this one. It is asked to stop, and a start that hangs is
    ended through a scope, which the SDK's cleanup is shielded from.
    """

    def __init__(self, server: McpServer) -> None:
        self._server = server
        self._stop = asyncio.Event()
        self._starting = anyio.CancelScope()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by aclose)
        self._owner = asyncio.create_task(self._own())
        self._client: Client | None = None

    async def start(self) -> list[Tool]:
        """Wait for the session and return its tools.

        Raises:
            ToolServerError: it doesn't come to be.
        """
        await asyncio.wait([self._ready, self._owner], return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            raise self._lost("can't be started") from self._owner.exception()
        self._client = self._ready.result()
        return [self._tool(entry) for entry in await self._listed(self._client)]

    async def aclose(self) -> None:
        """End the session, whatever happens to the caller meanwhile; safe to call twice."""
        self._stop.set()
        if not self._ready.done():
            self._starting.cancel()
        interrupted: asyncio.CancelledError | None = None
        while not self._owner.done():
            try:
                await asyncio.wait([self._owner])
            except asyncio.CancelledError as error:
                interrupted = error
        if not self._owner.cancelled():
            self._owner.exception()  # told by the call that met it, or of no more interest
        self._log.close()
        if interrupted is not None:
            raise interrupted

    async def _own(self) -> None:
        seconds = self._server.call_timeout
        with self._starting:
            async with Client(self._transport(), read_timeout_seconds=seconds) as client:
                self._ready.set_result(client)
                await self._stop.wait()

    def _transport(self) -> Any:
        server = self._server
        if server.url:
            return _http_transport(server)
        command, *arguments = server.command
        parameters = StdioServerParameters(
            command=command, args=arguments, env=dict(server.env), cwd=server.cwd
        )
        return stdio_client(parameters, errlog=self._log)  # pyright: ignore[reportArgumentType]

    async def _listed(self, client: Client) -> list[McpTool]:
        found: list[McpTool] = []
        cursor: str | None = None
        while True:
            try:
                page = await client.list_tools(cursor=cursor)
            except (MCPError, OSError, httpx2.HTTPError) as error:
                raise self._lost("gives no list of its tools") from error
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                break
        only = self._server.only
        return [entry for entry in found if only is None or entry.name in only]

    def _tool(self, entry: McpTool) -> Tool:
        return Tool(
            name=self._server.prefix + entry.name,
            description=entry.description or entry.title or entry.name,
            parameters=entry.input_schema,
            function=self._function(entry.name),
            result_limit=self._server.result_limit,
            closed=False,
        )

    def _function(self, name: str) -> Callable[..., Any]:
        async def call(**arguments: Any) -> str:
            return await self._call(name, arguments)

        return call

    async def _call(self, name: str, arguments: dict[str, Any]) -> str:
        assert self._client is not None, "tools are made by start()"
        if self._stop.is_set() or self._owner.done():
            raise self._lost("has ended")
        try:
            result = await self._client.call_tool(name, arguments)
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                raise self._lost("died") from error
            if error.code == REQUEST_TIMEOUT:
                seconds = f"{self._server.call_timeout:g} seconds"
                raise ToolError(f"timed out after {seconds}") from error
            raise ToolError(error.message) from error
        except (OSError, httpx2.HTTPError) as error:
            raise self._lost("can't be reached") from error
        text = _as_text(result)
        if result.is_error:
            raise ToolError(text or "the tool failed without a message")
        return text

    def _lost(self, what: str) -> ToolServerError:
        text = f"the MCP server {self._server.place!r} {what}"
        with suppress(OSError, ValueError):
            self._log.seek(0)
            said = last_lines(self._log.read().decode(errors="replace"), 5)
            text += f"; it said:\n{said}" if said else ""
        return ToolServerError(text)


@asynccontextmanager
async def _http_transport(server: McpServer) -> AsyncGenerator[Any]:
    # A stream of events may stay silent for longer than any call may take.
    timeout = httpx2.Timeout(server.start_timeout, read=server.call_timeout + 30)
    async with (
        httpx2.AsyncClient(headers=dict(server.headers), timeout=timeout) as http,
        streamable_http_client(server.url, http_client=http) as streams,
    ):
        yield streams


def _as_text(result: CallToolResult) -> str:
    parts: list[str] = []
    for block in result.content:
        match block.type:
            case "text":
                parts.append(block.text)
            case "image" | "audio":
                parts.append(f"[{block.type}: {block.mime_type}, {len(block.data)} characters]")
            case "resource":
                text = getattr(block.resource, "text", None)
                parts.append(str(block.resource.uri) if text is None else str(text))
            case "resource_link":
                parts.append(str(block.uri))
    if not parts and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(parts)
