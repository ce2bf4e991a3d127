"""The network allow-list of a slot: rules, and the proxy that is the slot's only way out."""

from treadle_sandbox.network.dial import SystemResolver
from treadle_sandbox.network.environment import PROXY_PORT, proxy_environment
from treadle_sandbox.network.policy import Policy
from treadle_sandbox.network.proxy import AllowListProxy, ProxyLimits, ProxyStatistics
from treadle_sandbox.network.refusal import Reason

__all__ = [
    "PROXY_PORT",
    "AllowListProxy",
    "Policy",
    "ProxyLimits",
    "ProxyStatistics",
    "Reason",
    "SystemResolver",
    "proxy_environment",
]
