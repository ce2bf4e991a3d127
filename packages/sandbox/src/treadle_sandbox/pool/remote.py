"""Links of a pool to its servers, over HTTP."""

from treadle_sandbox.config import PoolConfig
from treadle_sandbox.pool.link import Connect, Link
from treadle_sandbox.pool.owner import make_owner
from treadle_sandbox.pool.provider import ServerAddress
from treadle_sandbox.remote import RemoteBackend


def make_connect(config: PoolConfig) -> Connect:
    """Return what opens links as one driver: their leases have one owner label, and end when this
    process sends no heartbeat for `lease_lifetime` seconds.
    """
    owner = make_owner()

    async def connect(address: ServerAddress) -> Link:
        remote = RemoteBackend(
            address.url, token=address.token, owner=owner, heartbeat=config.lease_lifetime
        )
        return await remote.__aenter__()

    return connect
