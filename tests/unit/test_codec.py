"""Messages come out as they went in, and nothing that a sender can send raises anything but a MessageError."""

from contextlib import suppress
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import codec
from shared.errors import MalformedMessage, MessageError, MessageTooLarge, UnsupportedVersion
from shared.messages import (
    Acknowledgement,
    Cursor,
    Expiry,
    Heartbeat,
    Holds,
    LogBatch,
    LogLine,
    Message,
    Order,
    Policy,
    PolicyEntry,
)

NOW = 1_764_000_000.0
ORDER = Order(
    id="1",
    operation="add",
    action="firewall-drop",
    location="agent",
    agents=("web1", "web2"),
    target="203.0.113.9",
    timeout=600.0,
    issued_at=NOW,
    deadline=NOW + 600,
    expires_at=NOW + 600,
    alert={"data": {"srcip": "203.0.113.9"}, "rule": {"groups": ["sshd"], "level": 10}, "none": None},
)
MESSAGES: tuple[Message, ...] = (
    ORDER,
    Order(id="2", operation="delete", action="a", location="all", issued_at=NOW, deadline=NOW, lifts=("1",)),
    Acknowledgement(
        order_id="1", agent_id="web1", status="failed", received_at=NOW, settled_at=NOW, detail="é\n", exit_code=3
    ),
    Expiry(
        order_id="1", agent_id="web1", action="a", target="", cause="timeout", outcome="kept", at=NOW, detail="till 5"
    ),
    Heartbeat(
        agent_id="web1",
        at=NOW,
        started_at=NOW,
        journal="j",
        boot="b",
        version="1",
        hostname="web1.example",
        holds=Holds(count=2, xor="00ff"),
        labels={"site": "a"},
        unsupported={"pf": "no pfctl"},
        policy=3,
        queue="new",
    ),
    Policy(
        version=3,
        entries=(PolicyEntry(network="192.0.2.0/24", reason="the office"), PolicyEntry(network="2001:db8::7")),
        caught_up="j",
    ),
    LogBatch(
        agent_id="web1",
        source="/var/log/auth.log",
        lines=(LogLine(text="a\0b", at=NOW, offset=0), LogLine(text="", at=NOW, offset=4)),
        collected_at=NOW,
        cursor=Cursor(file="f", first=0, next=5),
    ),
)
KINDS = {type(each) for each in MESSAGES}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def fields_of(message: Message, **changed: Any) -> bytes:
    return msgpack.packb({**msgspec.to_builtins(message), **changed})


def test_every_kind_of_message_is_tried() -> None:
    """A kind that is added must be added here."""
    assert set(Message.__subclasses__()) == KINDS


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    """Encoded and decoded it is equal, with every field."""
    assert codec.decode(codec.encode(message), type(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_keys_that_are_unknown_are_ignored_and_missing_ones_refused(message: Message) -> None:
    """A newer sender may say more; who says less than is needed is refused, by the name of what is missing."""
    assert codec.decode(fields_of(message, later="x"), type(message)) == message
    for field in msgspec.structs.fields(type(message)):
        fields = msgspec.to_builtins(message)
        del fields[field.encode_name]
        if field.required or field.name == "v":
            with pytest.raises(MalformedMessage, match=f"`{field.encode_name}`"):
                codec.decode(msgpack.packb(fields), type(message))


@pytest.mark.parametrize("version", [None, "1", 1.0, True, 0, -1])
def test_a_version_that_is_none_is_malformed(version: object) -> None:
    """`v` is a positive integer and nothing like one."""
    with pytest.raises(MalformedMessage, match="`v`"):
        codec.decode(fields_of(ORDER, v=version), Order)


def test_a_version_that_is_too_new_is_refused_by_name() -> None:
    """The error says what it is and what to do, and has a reason of its own for the dead-letter queue."""
    with pytest.raises(UnsupportedVersion, match="version 2 is newer than 1; upgrade") as raised:
        codec.decode(fields_of(ORDER, v=2), Order)
    assert raised.value.reason == "unsupported-version"


@pytest.mark.parametrize(
    "wrong",
    [
        {"issued_at": float("nan")},
        {"deadline": float("inf")},
        {"expires_at": -1.0},
        {"deadline": 1e12},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": "600"},
        {"operation": "remove"},
        {"location": "everywhere"},
        {"agents": ["web.1"]},
        {"agents": ["web1\n"]},
        {"agents": ["-web1"]},
        {"agents": ["a" * 64]},
        {"id": ""},
        {"id": "x" * 256},
        {"id": b"1"},
        {"offence": 0},
        {"offence": 2**64 - 1},
        {"dry_run": 1},
        {"alert": []},
        {"lifts": "1"},
    ],
    ids=repr,
)
def test_values_of_the_wrong_kind_or_size_are_refused(wrong: dict[str, Any]) -> None:
    """NaN, infinities, other types and what no part of the program could hold don't get in."""
    with pytest.raises(MalformedMessage, match=next(iter(wrong))):
        codec.decode(fields_of(ORDER, **wrong), Order)


def test_what_is_over_the_limit_fails_where_it_is_made_and_where_it_is_read() -> None:
    """1 MiB is the limit, either way."""
    large = msgspec.structs.replace(ORDER, reason="x" * codec.MAX_BODY)
    with pytest.raises(MessageTooLarge, match="Order of "):
        codec.encode(large)
    with pytest.raises(MessageTooLarge):
        codec.decode(b"\x00" * (codec.MAX_BODY + 1), Order)
    most = msgspec.structs.replace(ORDER, reason="x" * (codec.MAX_BODY - 1_000))
    assert codec.decode(codec.encode(most), Order) == most


def test_text_that_is_no_unicode_is_escaped_on_its_way_out() -> None:
    """A lone surrogate that slipped in stops no queue."""
    odd = msgspec.structs.replace(ORDER, reason="a\ud800b")
    assert codec.decode(codec.encode(odd), Order).reason == "a\\ud800b"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"not a map",
        msgpack.packb([1, 2]),
        msgpack.packb("text"),
        msgpack.packb({1: 2}),
        msgpack.packb({b"v": 1}),
        msgpack.packb({"v": 1}) + b"more",
        b"\x81\xa1v\x01"[:3],
        b"\x91" * 5_000 + b"\x01",
        b"\x81\xa1a" * 3_000 + b"\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\xa1\xff",
        fields_of(ORDER, alert={"ext": msgpack.ExtType(5, b"x")}),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_map_of_plain_values_is_malformed(body: bytes) -> None:
    """Truncated, nested without end, of foreign types, with more behind it, or no MessagePack at all."""
    with pytest.raises(MalformedMessage):
        codec.decode(body, Order)


@given(st.binary())
def test_random_bytes_raise_nothing_but_message_errors(body: bytes) -> None:
    """Nothing that a sender controls can stop a consumer."""
    for kind in KINDS:
        with suppress(MessageError):
            codec.decode(body, kind)


@given(st.sampled_from(MESSAGES), st.data())
def test_messages_with_any_value_in_any_place_raise_nothing_but_message_errors(
    message: Message, data: st.DataObject
) -> None:
    """One field replaced by anything: refused in words, or taken and equal after another round trip."""
    name = data.draw(st.sampled_from([field.encode_name for field in msgspec.structs.fields(type(message))]))
    value = data.draw(PLAIN)
    try:
        taken = codec.decode(fields_of(message, **{name: value}), type(message))
    except MessageError:
        return
    again = codec.decode(codec.encode(taken), type(message))
    assert repr(again) == repr(taken)  # repr, because NaN in an alert is not equal to itself


@given(st.sampled_from(MESSAGES), st.data())
def test_messages_cut_or_changed_anywhere_raise_nothing_but_message_errors(
    message: Message, data: st.DataObject
) -> None:
    """Bytes that were lost or flipped on the way."""
    body = bytearray(codec.encode(message))
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(1, len(body))) :]
    with suppress(MessageError):
        codec.decode(bytes(body), type(message))


def test_bytes_in_an_alert_stay_bytes() -> None:
    """Written again, what a stranger's order carries is what it carried, and no other spelling of it."""
    carrying = msgspec.structs.replace(ORDER, alert={"raw": b"\xff"})
    assert codec.decode(codec.encode(carrying), Order).alert == {"raw": b"\xff"}
