"""What the kernel's firewall says of itself, asked over netlink: its generation, and a table's sets, rules, members.

The rule it keeps: it only asks. What changes something goes through libnftables. What is read doesn't, because nft
1.0.6 makes a structure of every member first, also for `list` without members: of 100,000 its text takes 1.1 s and
80 MB, which stay with the process, its JSON 1.5 s and 195 MB; in here they take 0.4 s, half of it the kernel's, and
no memory but what is returned.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator

import tenacity
from msgspec import Struct

from shared.errors import ActionError

# From <linux/netlink.h>, <linux/netfilter/nfnetlink.h> and <linux/netfilter/nf_tables.h>.
NETLINK_NETFILTER, NFPROTO_INET = 12, 1
NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, DUMP, INTERRUPTED = 0x01, 0x300, 0x10
SUBSYSTEM = 10 << 8
GET_TABLES, GET_RULES, GET_SETS, GET_MEMBERS, GET_GENERATION = (SUBSYSTEM | number for number in (1, 7, 10, 13, 16))
GENERATION, TABLE_FLAGS, DORMANT = 1, 2, 1
TABLE, SET_NAME, CHAIN, EXPRESSIONS = 1, 2, 2, 4
EXPRESSION_NAME, EXPRESSION_DATA, LOOKUP_SET, IMMEDIATE_DATA, VERDICT, VERDICT_CODE = 1, 2, 1, 2, 2, 1
MEMBERS_SET, MEMBERS, MEMBER, KEY, DATA_VALUE, MEMBER_FLAGS, TIMEOUT, LEFT = 2, 3, 1, 1, 1, 3, 4, 5
DROP, NO_TIMEOUT = bytes(4), bytes(8)
BEHIND = (1).to_bytes(4, "big")  # of a set of intervals: not a member but the first address after one
TYPE_MASK = 0x3FFF  # the two bits above say how an attribute is encoded

HEADER, FAMILY = struct.Struct("=IHHII"), struct.Struct("=BBH")
ATTRIBUTE, NUMBER = struct.Struct("=HH"), struct.Struct("=i")
BODY = HEADER.size + FAMILY.size
ATTEMPTS = 4  # on large sets the kernel says EBUSY or ENOENT now and then, and takes the same thing a moment later
JITTER = (0.001, 0.005)  # s between two
# EINTR: somebody changed what was being read.
PASSING = tuple(os.strerror(number) for number in (errno.EBUSY, errno.ENOENT, errno.EINTR))
LARGEST = 1 << 16  # bytes of one datagram; the kernel makes them half of that at most
PATIENCE = 5.0  # s; the kernel answers in the same call

_Told = dict[int, bytes]  # attributes by their type


def attempts(pause: Callable[[float], None] = time.sleep) -> tenacity.Retrying:
    """Calls again what the kernel's firewall refused in a passing mood; `pause` waits between two."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random(*JITTER),
        sleep=pause,
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ActionError) and any(words in str(error) for words in PASSING)


class Member(Struct, frozen=True):
    """What is in a set, as the bytes of its address, and the seconds that it has left; None: until it is taken out.

    No bytes stand for every address (nft: `*`).
    """

    address: bytes
    left: float | None


class Netlink:
    """Every method raises ActionError with the system's words.

    The one socket that stays open belongs to the network namespace of the thread that first asked.
    """

    def __init__(self) -> None:
        self._open: socket.socket | None = None

    def generation(self) -> int:
        """A number that each change of the ruleset moves on by one, whoever made it; what ends by itself doesn't.

        Takes 8 µs.
        """
        try:
            self._open = self._open or _socket()
            _ask(self._open, GET_GENERATION, REQUEST)
            return next(int.from_bytes(told[GENERATION], "big") for _, told in _messages(self._open.recv(LARGEST)))
        except OSError as error:
            self._open = None
            raise _failure(error) from error

    def is_dormant(self, table: str) -> bool:
        """True when somebody has put the table to sleep: it has everything and does nothing."""
        flags = (told.get(TABLE_FLAGS, b"") for told in _dump(GET_TABLES) if _name(told[TABLE]) == table)
        return any(int.from_bytes(each, "big") & DORMANT for each in flags)

    def sets(self, table: str) -> list[str]:
        """The names of the table's sets."""
        return [_name(told[SET_NAME]) for told in _dump(GET_SETS, (TABLE, table))]

    def rules(self, table: str) -> dict[str, list[str]]:
        """The rules of each chain of the table, in order: of which set they drop the members; empty for any other."""
        rules: dict[str, list[str]] = {}
        for told in _dump(GET_RULES, (TABLE, table)):
            rules.setdefault(_name(told[CHAIN]), []).append(_dropped(told.get(EXPRESSIONS, b"")))
        return rules

    def members(self, table: str, name: str) -> Iterator[Member]:
        """What is in a set; nothing when there is no such set. A change to it meanwhile is seen in whole or in part."""
        for told in _dump(GET_MEMBERS, (TABLE, table), (MEMBERS_SET, name)):
            yield from _members(told)

    def has(self, table: str, name: str, address: bytes) -> bool:
        """Whether it is in a set, however many are; in one of intervals, whether one begins there. Takes 30 µs."""
        wanted = _attribute(MEMBER, _attribute(KEY, _attribute(DATA_VALUE, address)))
        try:
            with _socket() as asked:
                _ask(asked, GET_MEMBERS, REQUEST, (TABLE, table), (MEMBERS_SET, name), (MEMBERS, wanted))
                answers = list(_messages(asked.recv(LARGEST)))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise _failure(error) from error
            return False
        return any(each.address == address for _, told in answers for each in _members(told))

    def is_empty(self, table: str, name: str) -> bool:
        """True when nothing is in a set; reads no more of it than the first few hundred."""
        return next(self.members(table, name), None) is None


def _dump(kind: int, *names: tuple[int, str]) -> Iterator[_Told]:
    """All that the kernel has of a kind; nothing when what is asked for isn't there.

    On a socket of its own, so that what nobody wants to read any more goes with it.
    """
    try:
        with _socket() as asked:
            _ask(asked, kind, REQUEST | DUMP, *names)
            while True:
                for answer, told in _messages(asked.recv(LARGEST)):
                    if answer == NLMSG_DONE:
                        return
                    yield told
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise _failure(error) from error


def _socket() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    opened.settimeout(PATIENCE)
    return opened


def _ask(asked: socket.socket, kind: int, flags: int, *attributes: tuple[int, str | bytes]) -> None:
    body = FAMILY.pack(NFPROTO_INET, 0, 0) + b"".join(_attribute(number, value) for number, value in attributes)
    asked.send(HEADER.pack(HEADER.size + len(body), kind, flags, 0, 0) + body)


def _messages(datagram: bytes) -> Iterator[tuple[int, _Told]]:
    """Type and attributes of each message. Raises OSError for what the kernel says went wrong."""
    start = 0
    while start < len(datagram):
        length, kind, flags, _, _ = HEADER.unpack_from(datagram, start)
        if flags & INTERRUPTED:  # somebody changed what was being read
            raise OSError(errno.EINTR, os.strerror(errno.EINTR))
        if kind in (NLMSG_ERROR, NLMSG_DONE):
            (code,) = NUMBER.unpack_from(datagram, start + HEADER.size)
            if code:
                raise OSError(-code, os.strerror(-code))
            yield kind, {}
        else:
            yield kind, _told(datagram[start + BODY : start + length])
        start += _aligned(length)


def _told(encoded: bytes) -> _Told:
    told, start, end = {}, 0, len(encoded)
    while start < end:  # written out: for 100,000 members it is called 100,000 times
        length, kind = ATTRIBUTE.unpack_from(encoded, start)
        told[kind & TYPE_MASK] = encoded[start + ATTRIBUTE.size : start + length]
        start += (length + 3) & ~3
    return told


def _attributes(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    start, end = 0, len(encoded)
    while start < end:
        length, kind = ATTRIBUTE.unpack_from(encoded, start)
        yield kind & TYPE_MASK, encoded[start + ATTRIBUTE.size : start + length]
        start += _aligned(length)


def _attribute(kind: int, value: str | bytes) -> bytes:
    value = value.encode() + b"\0" if isinstance(value, str) else value
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value.ljust(_aligned(len(value)), b"\0")


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _name(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _dropped(expressions: bytes) -> str:
    """The set in which a packet's address is looked up, when the rule ends in `drop`."""
    looked_up, verdict = "", b""
    for _, encoded in _attributes(expressions):
        expression = _told(encoded)
        data = _told(expression.get(EXPRESSION_DATA, b""))
        if _name(expression[EXPRESSION_NAME]) == "lookup":
            looked_up = _name(data[LOOKUP_SET])
        elif _name(expression[EXPRESSION_NAME]) == "immediate":
            verdict = _told(_told(data[IMMEDIATE_DATA]).get(VERDICT, b"")).get(VERDICT_CODE, b"")
    return looked_up if verdict == DROP else ""


def _members(told: _Told) -> Iterator[Member]:
    members = (_told(each) for _, each in _attributes(told.get(MEMBERS, b"")))
    return (_member(each) for each in members if each.get(MEMBER_FLAGS) != BEHIND)


def _member(told: _Told) -> Member:
    timed = told.get(TIMEOUT, NO_TIMEOUT) != NO_TIMEOUT
    left = int.from_bytes(told.get(LEFT, b""), "big") / 1_000 if timed else None
    return Member(told.get(KEY, b"")[ATTRIBUTE.size :], left)


def _failure(error: OSError) -> ActionError:
    return ActionError(f"the kernel's firewall can't be read: {error.strerror or error}")
