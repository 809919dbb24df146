"""Prints what this network namespace's kernel announces about Thwart's sets: `[instant, address]`, JSON, a line each.

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
NEWSETELEM = 10 << 8 | 12  # the subsystem nftables, and NFT_MSG_NEWSETELEM
MESSAGE, GENERIC, ATTRIBUTE = struct.Struct("=IHHII"), 4, struct.Struct("=HH")
TABLE, ELEMENTS, ELEMENT, KEY, VALUE, TIMEOUT = 1, 3, 1, 1, 1, 4
TYPE_MASK = 0x3FFF  # the two bits above say how an attribute is encoded
LARGEST = 1 << 18  # bytes of one datagram
SO_RCVBUFFORCE, ROOM = 33, 64 << 20  # bytes of announcements that may wait; what finds no room is an error (ENOBUFS)
KEEN = -10  # niceness


def listen() -> None:
    """Until killed. The first line, `[]`, says that nothing is missed from then on."""
    os.setpriority(os.PRIO_PROCESS, 0, KEEN)
    announced = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    announced.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    announced.bind((0, 0))
    announced.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
    print("[]", flush=True)
    while True:
        datagram = announced.recv(LARGEST)
        at = time.time()
        for address in timed(datagram):
            print(json.dumps([at, address]), flush=True)


def timed(datagram: bytes) -> Iterator[str]:
    """Addresses that came with a timeout: what is put in only to be taken out again has none."""
    while datagram:
        length, kind, *_ = MESSAGE.unpack_from(datagram)
        if kind == NEWSETELEM:
            told = dict(_attributes(datagram[MESSAGE.size + GENERIC : length]))
            if told[TABLE] == b"thwart\0":
                yield from _elements(told.get(ELEMENTS, b""))
        datagram = datagram[(length + 3) & ~3 :]


def _elements(encoded: bytes) -> Iterator[str]:
    for kind, element in _attributes(encoded):
        told = dict(_attributes(element))
        if kind == ELEMENT and TIMEOUT in told:
            yield str(ipaddress.ip_address(dict(_attributes(told[KEY]))[VALUE]))


def _attributes(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each netlink attribute, which are aligned to four bytes."""
    while encoded:
        length, kind = ATTRIBUTE.unpack_from(encoded)
        yield kind & TYPE_MASK, encoded[ATTRIBUTE.size : length]
        encoded = encoded[(length + 3) & ~3 :]


if __name__ == "__main__":
    listen()
