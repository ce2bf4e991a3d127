"""How commands of a slot learn of the way out."""

PROXY_PORT = 3128
"""Port of the proxy at the slot's own loopback."""
_DIRECT = "localhost,127.0.0.1,::1"


def proxy_environment() -> dict[str, str]:
    """Return the variables that HTTP clients read."""
    url = f"http://127.0.0.1:{PROXY_PORT}"
    values = {"http_proxy": url, "https_proxy": url, "no_proxy": _DIRECT}
    # curl takes the first of these in lower case alone; others in capitals alone.
    return values | {name.upper(): value for name, value in values.items()}
