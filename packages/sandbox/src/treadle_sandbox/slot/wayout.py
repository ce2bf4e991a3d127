"""The slot's end of its way out: a listening socket made here, served by the host.

The socket belongs to the network namespace it was made in, whoever holds it. Made and handed over
before any command runs, and not kept: no command can take the port or reach the socket.
"""

_ANCILLARY = "i"


def hand_over(channel: int, port: int) -> None:
    """Listen at the loopback of this network namespace and pass the socket through `channel`.

    Closes `channel`. The loopback must be up.
    """
    # The module `socket` would double the start-up time of a slot.
    import _socket
    import struct

    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    sender = _socket.socket(fileno=channel)
    rights = struct.pack(_ANCILLARY, listener.fileno())
    sender.sendmsg([b"L"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    sender.close()
    listener.close()
