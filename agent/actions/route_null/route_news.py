"""Whether somebody has changed routes or rules of this host, as the kernel tells over rtnetlink(7).

The rule it keeps: on any doubt somebody has; where nothing can be heard, nobody has.
"""

import errno
import socket

# From <linux/rtnetlink.h>: the multicast groups of routes and rules.
GROUPS = 0x40 | 0x80 | 0x400 | 1 << (19 - 1)  # IPv4 routes and rules, IPv6 routes and rules
NETLINK_ROUTE = 0
LARGEST = 1 << 16  # bytes of one datagram


class RouteNews:
    """Listens from the first question on, in the network namespace of the thread that asks it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def heard(self) -> bool:
        """Whether there was anything since the last question. The first answer is yes; without netlink every one is no.

        The kernel drops news when it has more than a few hundred for us, and says so: that is news, too.
        """
        try:
            if self._socket is None:
                self._socket = _listening()
                return True
            return self._drained(self._socket)
        except OSError:
            self._socket = None
            return False

    def _drained(self, listening: socket.socket) -> bool:
        heard = False
        while True:
            try:
                listening.recv(LARGEST)
            except BlockingIOError:
                return heard
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
            heard = True


def _listening() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    opened.setblocking(False)
    opened.bind((0, GROUPS))
    return opened
