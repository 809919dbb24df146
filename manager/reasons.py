"""The closed words for why something was turned away: metrics count by them and people filter by them.

It imports nothing, so that a command's `--help` may name them.
"""

OTHER = "other"  # what isn't among the words below
# Why a message was dead-lettered: by us, by an agent, or by the broker itself.
DEAD = (
    *("malformed", "unsupported-version", "too-large", "forged-sender", "id-taken", "foreign-policy"),
    *("unroutable", "expired", "maxlen", "rejected", "delivery_limit", OTHER),
)
# Why a response did not act, on purpose.
REFUSALS = ("protected", "invalid-target", "unroutable", "own-event", OTHER)
