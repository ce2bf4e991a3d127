"""The allow-list: which hosts and ports a slot may reach.

A rule is `host:port`, `*.host:port` (every name below it, not the host itself), `address:port` or
`address/bits:port`; version 6 addresses stand in brackets: `[2001:db8::/32]:443`. A name allows the
public addresses it resolves to. Private, loopback, link-local and other special addresses, and
those where clouds serve credentials, are reached only when an address rule lists them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from treadle_sandbox.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAME_MOST = 253
_PORT_MOST = 65_535
_TRANSLATED = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
_SPECIAL = tuple(
    ip_network(text)
    for text in (
        *("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
"""What counts as global in some version of Python and isn't: the host agent of Azure, the protocol
registry (Oracle's metadata is in it), tunnels, documentation. See the IANA special-purpose
registries.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    port: int
    name: str = ""
    """The host; with a leading dot every name below it."""
    network: Network | None = None


class Policy:
    """Rules, parsed."""

    def __init__(self, rules: Iterable[str]) -> None:
        """Parse rules.

        Raises:
            ConfigError: a rule has none of the forms.
        """
        self.rules = tuple(rules)
        self._parsed = tuple(_parse_rule(rule) for rule in self.rules)

    def allows_name(self, name: str, port: int) -> bool:
        """Return whether a rule names a host, in the form of `parse_host`."""
        return any(
            rule.port == port
            and (name == rule.name or (rule.name.startswith(".") and name.endswith(rule.name)))
            for rule in self._parsed
        )

    def lists_address(self, address: Address, port: int) -> bool:
        """Return whether an address rule covers an address."""
        return any(
            rule.port == port
            and rule.network is not None
            and rule.network.version == address.version
            and address in rule.network
            for rule in self._parsed
        )


def parse_host(text: str) -> str | Address | None:
    """Return a host as a plain lower-case name or an address; `None` for anything else.

    Numbers that only some resolvers take for addresses (`127.1`, `0x7f000001`) are nothing.
    """
    if text.startswith("[") and text.endswith("]"):
        return _parse_address(text[1:-1]) if ":" in text else None
    name = text.lower().removesuffix(".")
    if not name.isascii() or not 0 < len(name) <= _NAME_MOST:
        return None
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _parse_address(name) if name == text else None
    return name if all(_LABEL.fullmatch(label) for label in labels) else None


def parse_authority(text: str, default_port: int | None = None) -> tuple[str | Address, int] | None:
    """Return host and port of `host:port`; `None` when it isn't that."""
    host, colon, port = text.rpartition(":")
    if not colon or host.count("[") != host.count("]"):
        host, port = text, str(default_port or "")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= len("65535") else 0
    parsed = parse_host(host)
    return None if parsed is None or not 0 < number <= _PORT_MOST else (parsed, number)


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet, also when it is wrapped."""
    if isinstance(address, IPv6Address) and address in _TRANSLATED:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    plain = unwrap(address)
    if isinstance(plain, IPv6Address) and plain not in _UNICAST:
        return False
    special = any(plain in part for part in _SPECIAL if part.version == plain.version)
    return plain.is_global and not plain.is_multicast and not special


def unwrap(address: Address) -> Address:
    """Return the version 4 address that a mapped version 6 one stands for."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _parse_address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return None
    return unwrap(address)


def _parse_rule(rule: str) -> _Rule:
    host, _, port = rule.rpartition(":")
    below = host.startswith("*.")
    authority = parse_authority(f"{host.removeprefix('*.')}:{port}")
    if authority is not None and isinstance(authority[0], str):
        return _Rule(port=authority[1], name=f".{authority[0]}" if below else authority[0])
    number = parse_authority(f"localhost:{port}")
    plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if number is None or below or (":" in plain) != (plain != host):
        raise _unknown(rule)
    try:
        network = ip_network(plain)
    except ValueError:
        raise _unknown(rule) from None
    if isinstance(network, IPv6Network) and network.network_address.scope_id is not None:
        raise _unknown(rule)
    return _Rule(port=number[1], network=network)


def _unknown(rule: str) -> ConfigError:
    return ConfigError(
        f"{rule!r} is no network rule: give 'host:port', '*.host:port', '192.0.2.0/24:port' or "
        "'[2001:db8::1]:port', names in ASCII and without a scheme"
    )
