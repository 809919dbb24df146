"""Prints what this network namespace's kernel announces about Thwart's sets: what each transaction came to, JSON.

`[instant, set, member, seconds left]`, a line each: null seconds are until lifted, 0 that it is taken out, and then no
member means all of them. What expires is not announced. A transaction that takes a member out and puts it in again is
one line: it was there without a break.

A script that runs alone, so that no busy process reads the clock late. (`nft monitor` 1.0.6 prints no element any more
once a set that it knows is declared a second time.)
"""

import ipaddress
import json
import os
import socket
import struct
import time
from collections.abc import Iterator

# From <linux/netlink.h> and <linux/netfilter/nf_tables.h>.
NETLINK_NETFILTER, NFNLGRP_NFTABLES = 12, 7
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
SUBSYSTEM = 10 << 8  # nftables
DELSET, NEWSETELEM, DELSETELEM, NEWGEN = (SUBSYSTEM | message for message in (11, 12, 14, 15))
MESSAGE, GENERIC, ATTRIBUTE = struct.Struct("=IHHII"), 4, struct.Struct("=HH")
TABLE, SET_OF_ELEMENTS, ELEMENTS, ELEMENT, KEY, VALUE, TIMEOUT, LEFT = 1, 2, 3, 1, 1, 1, 4, 5
NAME_OF_SET = 2
TYPE_MASK = 0x3FFF  # the two bits above say how an attribute is encoded
LARGEST = 1 << 18  # bytes of one datagram
SO_RCVBUFFORCE, ROOM = 33, 64 << 20  # bytes of announcements that may wait; what finds no room is an error (ENOBUFS)
KEEN = -10  # niceness

Change = tuple[str, str, float | None]  # set, member, seconds left


def listen() -> None:
    """Until killed. The first line, `[]`, says that nothing is missed from then on."""
    os.setpriority(os.PRIO_PROCESS, 0, KEEN)
    announced = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    announced.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    announced.bind((0, 0))
    announced.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
    print("[]", flush=True)
    came_to: dict[tuple[str, str], float | None] = {}
    while True:
        datagram = announced.recv(LARGEST)
        at = time.time()
        for change in changes(datagram):
            if change is not None:
                came_to.pop(change[:2], None)  # its last word counts, in its place
                came_to[change[:2]] = change[2]
            elif came_to:
                told = (json.dumps([at, *what, left]) for what, left in came_to.items())
                print("\n".join(told), flush=True)
                came_to.clear()


def changes(datagram: bytes) -> Iterator[Change | None]:
    """What was done to the sets of our table, in order; None where a transaction ends."""
    while datagram:
        length, kind, *_ = MESSAGE.unpack_from(datagram)
        told = dict(_attributes(datagram[MESSAGE.size + GENERIC : length]))
        if kind == NEWGEN:
            yield None
        elif told.get(TABLE) == b"thwart\0":
            yield from _of_sets(kind, told)
        datagram = datagram[(length + 3) & ~3 :]


def _of_sets(kind: int, told: dict[int, bytes]) -> Iterator[Change]:
    if kind == DELSET:
        yield _text(told[NAME_OF_SET]), "", 0.0
    elif kind in (NEWSETELEM, DELSETELEM):
        name = _text(told[SET_OF_ELEMENTS])
        for each, encoded in _attributes(told.get(ELEMENTS, b"")):
            if each == ELEMENT:
                element = dict(_attributes(encoded))
                yield name, _member(name, element[KEY]), _left(element) if kind == NEWSETELEM else 0.0


def _member(name: str, key: bytes) -> str:
    """An address, or a network in a set that is named for its prefix: `nets4_24`."""
    address = str(ipaddress.ip_address(dict(_attributes(key))[VALUE]))
    _, cut, length = name.partition("_")
    return address + (f"/{length}" if cut else "")


def _left(element: dict[int, bytes]) -> float | None:
    milliseconds = element.get(LEFT) or element.get(TIMEOUT)
    return None if milliseconds is None else int.from_bytes(milliseconds, "big") / 1_000


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode()


def _attributes(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each netlink attribute, which are aligned to four bytes."""
    while encoded:
        length, kind = ATTRIBUTE.unpack_from(encoded)
        yield kind & TYPE_MASK, encoded[ATTRIBUTE.size : length]
        encoded = encoded[(length + 3) & ~3 :]


if __name__ == "__main__":
    listen()
