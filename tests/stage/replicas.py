"""Services as a container engine shows them: a name server that tells the addresses of each one's replicas, and pages.

All of it is on one host of the stage, on loopback: 127.0.0.11 answers for names, as Docker's does.
"""

import struct
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from socketserver import BaseRequestHandler, ThreadingUDPServer

from tests.stage.network import Host

NAME_SERVER = "127.0.0.11"
# RFC 1035, 4.1.1: a response, recursion desired and available; and no error, or 3
ANSWER, NO_SUCH_NAME = 0x8180, 0x8183
A = b"\x00\x01\x00\x01"  # type and class


class Replicas:
    """`addresses` may be changed at any time; a name without any isn't known."""

    def __init__(
        self, host: Host, addresses: Mapping[str, list[str]], pages: Mapping[int, Mapping[str, bytes]]
    ) -> None:
        """`pages` are those of every address, by port and path; queries don't matter."""
        self.addresses = dict(addresses)
        servers = [host.call(lambda: ThreadingUDPServer((NAME_SERVER, 53), self._names()))]
        servers += [host.call(lambda each=port: ThreadingHTTPServer(("", each), _web(pages[each]))) for port in pages]
        self._servers = servers
        for each in servers:
            each.daemon_threads = True
            threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        for each in self._servers:
            each.shutdown()
            each.server_close()

    def _names(self) -> type[BaseRequestHandler]:
        replicas = self

        class Names(BaseRequestHandler):
            def handle(self) -> None:
                question, socket = self.request
                socket.sendto(answer(question, replicas.addresses), self.client_address)

        return Names


def answer(query: bytes, addresses: Mapping[str, list[str]]) -> bytes:
    """What a name server says to one question for the addresses of a name."""
    end = query.index(b"\x00", 12) + 1
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    found = addresses.get(".".join(labels), []) if query[end : end + 4] == A else []
    flags = ANSWER if ".".join(labels) in addresses else NO_SUCH_NAME
    head = query[:2] + struct.pack("!5H", flags, 1, len(found), 0, 0) + query[12 : end + 4]
    return head + b"".join(b"\xc0\x0c" + A + struct.pack("!IH", 0, 4) + IPv4Address(each).packed for each in found)


def _web(pages: Mapping[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Web
