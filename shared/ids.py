"""Deterministic ids: the same parts give the same id, so that what is delivered twice can't become two things."""

import hashlib
from collections.abc import Iterable


def digest(*parts: str | int | float | tuple[str, ...] | None) -> str:
    """A 128-bit id over `parts` as 32 hexadecimal digits (BLAKE2b; unambiguous: ("a", "b") is not ("ab",))."""
    texts = [repr(part).encode("utf-8", "backslashreplace") for part in parts]
    return hashlib.blake2b(b"".join(len(each).to_bytes(8, "big") + each for each in texts), digest_size=16).hexdigest()


def fingerprint(ids: Iterable[str]) -> str:
    """XOR over the hashed `ids`, as 16 hexadecimal digits: equal sets give equal fingerprints, in any order."""
    value = 0
    for each in ids:
        value ^= int.from_bytes(hashlib.blake2b(each.encode(), digest_size=8).digest(), "big")
    return f"{value:016x}"
