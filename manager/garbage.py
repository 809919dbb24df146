"""How the garbage collector is set for reading lines: what they leave is freed by count, and nothing of it has cycles.

At its defaults the collector looks through the open windows and the alerts of a batch again and again, which takes a
sixth of the time.
"""

import gc

_YOUNG = 50_000  # objects made before the youngest are looked through, 700 by default


def settle() -> None:
    """To be called once the rules are loaded: what is there now stays, and is not looked through again."""
    gc.unfreeze()  # what an earlier call kept and nobody has any more
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
