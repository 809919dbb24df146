"""Deterministic ids: the same parts give the same id, so that what is delivered twice can't become two things."""

import hashlib
from collections.abc import Iterable

Part = str | int | float | tuple[str, ...] | None


def digest(*parts: Part) -> str:
    """A 128-bit id over `parts` as 32 hexadecimal digits (BLAKE2b; unambiguous: ("a", "b") is not ("ab",))."""
    return Digest(*parts).of()


class Digest:
    """`digest` of many that begin with the same parts: `Digest(a, b).of(c)` is `digest(a, b, c)`."""

    __slots__ = ("_begun",)

    def __init__(self, *parts: Part) -> None:
        self._begun = hashlib.blake2b(_bytes(parts), digest_size=16)

    def of(self, *parts: Part) -> str:
        """The id with the parts that follow."""
        whole = self._begun.copy()
        whole.update(_bytes(parts))
        return whole.hexdigest()


def _bytes(parts: Iterable[Part]) -> bytes:
    texts = [repr(part).encode("utf-8", "backslashreplace") for part in parts]
    return b"".join([len(each).to_bytes(8, "big") + each for each in texts])


def fingerprint(ids: Iterable[str]) -> str:
    """XOR over the hashed `ids`, as 16 hexadecimal digits: equal sets give equal fingerprints, in any order."""
    value = 0
    for each in ids:
        value ^= int.from_bytes(hashlib.blake2b(each.encode(), digest_size=8).digest(), "big")
    return f"{value:016x}"
