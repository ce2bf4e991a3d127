"""The sandbox server: any backend over HTTP. Needs the extra `server`."""

try:
    import fastapi as _fastapi
    import httptools as _httptools
    import prometheus_client as _prometheus_client
    import uvicorn as _uvicorn
except ImportError as error:
    raise ImportError(
        f"the sandbox server needs {error.name}: install treadle-sandbox[server]"
    ) from error

from treadle_sandbox.server.options import ServerOptions
from treadle_sandbox.server.run import Server, serve

del _fastapi, _httptools, _prometheus_client, _uvicorn

__all__ = ["Server", "ServerOptions", "serve"]
