"""libnftables in this process, by ctypes: the packaged binding can't be seen from a virtual environment.

The rule it keeps: one thread owns the context. Its netlink socket belongs to the network namespace which that thread
was in when it was made.
"""

import ctypes
import threading
import weakref

from shared.errors import ActionError

LIBRARY = "libnftables.so.1"
LONGEST = 300  # characters of nft's words that are passed on


class Libnftables:
    """A context of libnftables(3). `nft -f` does the same for 2 to 3 ms a process; a commit in here takes 0.06 ms."""

    def __init__(self) -> None:
        """Raises ActionError when the library is missing."""
        self._library = _load()
        self._owner = threading.get_ident()
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise ActionError(f"{LIBRARY} made no context: out of memory, or netlink sockets are forbidden here")
        weakref.finalize(self, self._library.nft_ctx_free, self._context)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Carries out `commands`, in nft's language, as one transaction; what they print.

        Raises ActionError with nft's words; nothing was changed then.
        """
        if threading.get_ident() != self._owner:
            raise ActionError(
                "libnftables is used from a thread that didn't make its context: this is a bug, report it"
            )
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        # Both are emptied by the next run, so they are read after each.
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        errors = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise ActionError(_words(errors.decode(errors="replace")))
        return str(output, errors="replace")


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise ActionError(f"{LIBRARY}: not found; install nftables") from error
    context, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("nft_ctx_new", context, [ctypes.c_uint32]),
        ("nft_ctx_free", None, [context]),
        ("nft_ctx_buffer_output", ctypes.c_int, [context]),
        ("nft_ctx_buffer_error", ctypes.c_int, [context]),
        ("nft_ctx_get_output_buffer", text, [context]),
        ("nft_ctx_get_error_buffer", text, [context]),
        ("nft_run_cmd_from_buffer", ctypes.c_int, [context, text]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _words(errors: str) -> str:
    """What nft complains of first, without the command that it quotes, which may be a thousand elements long."""
    complaint = next((line for line in errors.splitlines() if "Error: " in line), errors)
    return complaint.partition("Error: ")[2][:LONGEST] or complaint[:LONGEST] or "nft failed without a word"
