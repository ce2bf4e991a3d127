"""Connecting outwards: a name is resolved once, here, and the address that was checked is the one
that is connected to.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from treadle_sandbox.network.policy import Address, Policy, is_public, unwrap
from treadle_sandbox.network.refusal import Reason, Refusal

Resolve = Callable[[str, int], Awaitable[tuple[Address, ...]]]
"""Returns the addresses of a name. Raises OSError when there are none."""
Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]

BUFFER = 1 << 16
_THREADS = 4
_TRIES = 3


class SystemResolver:
    """The resolver of this machine, in few threads of its own so that slots can't use up others."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="treadle-resolve")

    async def __call__(self, name: str, port: int) -> tuple[Address, ...]:
        """Return the addresses of a name."""
        loop = asyncio.get_running_loop()
        # With the dot no search domain is tried; `localhost` stands in files that don't know it.
        absolute = name if "." not in name else f"{name}."
        rows = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(absolute, port, type=socket.SOCK_STREAM)
        )
        found = (str(row[4][0]).partition("%")[0] for row in rows)
        return tuple(dict.fromkeys(unwrap(ip_address(text)) for text in found))

    def close(self) -> None:
        """Let the threads end; may be called again."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def dial(
    policy: Policy, resolve: Resolve, host: str | Address, port: int, *, timeout: float
) -> Link | Refusal:
    """Connect to what the policy allows; say why not otherwise."""
    named = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    if not isinstance(host, str):
        if not policy.lists_address(host, port):
            return Refusal(reason=Reason.HOST, line=f"{named} isn't on the list")
        return await _connect((host,), port, named, timeout)
    if not policy.allows_name(host, port):
        return Refusal(reason=Reason.HOST, line=f"{named} isn't on the list")
    try:
        async with asyncio.timeout(timeout):
            addresses = await resolve(host, port)
    except OSError as error:
        return Refusal(reason=Reason.UNREACHABLE, line=f"{named} doesn't resolve: {error}")
    allowed = tuple(address for address in addresses if _may(policy, address, port))
    if not allowed:
        line = f"{named} leads to {', '.join(map(str, addresses[:4]))}: not a public address"
        return Refusal(reason=Reason.ADDRESS, line=line)
    return await _connect(allowed, port, named, timeout)


def _may(policy: Policy, address: Address, port: int) -> bool:
    if policy.lists_address(unwrap(address), port):
        return True
    return is_public(address) and not _is_own(address)


def _is_own(address: Address) -> bool:
    """Return whether an address is one of this machine's: then it is its own way out."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False
        return ip_address(probe.getsockname()[0]) == address


async def _connect(
    addresses: tuple[Address, ...], port: int, named: str, timeout: float
) -> Link | Refusal:
    reason = "no address"
    for address in addresses[:_TRIES]:
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.open_connection(str(address), port, limit=BUFFER)
        except OSError as error:
            reason = str(error) or type(error).__name__
    return Refusal(reason=Reason.UNREACHABLE, line=f"{named} doesn't answer: {reason}")
