"""Every error that Thwart raises on purpose; nothing else in the project defines an exception.

ThwartError
├── MessageError             a message that can't be taken; dead-lettered with `reason`
│   ├── MalformedMessage         not msgpack, a key missing, a value of the wrong type
│   ├── UnsupportedVersion       `v` is newer than this program
│   ├── MessageTooLarge          a body over codec.MAX_BODY
│   ├── ForgedSender             it names another agent than its routing key, or its login, does
│   ├── IdTaken                  an order with the id of another one
│   └── ForeignPolicy            an allowlist that no manager here has sent
├── TargetError              what an order may not act on
│   ├── InvalidTarget            not an address, network or account
│   └── ProtectedTarget          overlaps the allowlist
├── BrokerError              what the broker said, or that it is gone
│   ├── Disconnected             not connected, or lost before the confirm: send again
│   ├── Unroutable               no queue took it
│   ├── Refused                  the broker said no (queue full): send again later
│   ├── LockHeld                 another connection holds this agent id
│   └── TopologyMismatch         a queue or exchange exists with other arguments
├── InvalidDuration          not a span of time such as 90, 10m or 2h
├── InvalidPattern           a rule's pattern can't be read in its dialect
├── SettingsError            the program's own settings (TOML, THWART_*)
├── ConfigurationError       the user's XML; names file and line
│   ├── RuleFileError            a rule or decoder file
│   └── CaseFileError            a file of cases for rules
├── StoreError               the database under a ledger or journal
│   ├── StoreDamaged             its file is not what was written; `path` names it
│   └── FolderInUse              another process has the state folder
├── RequestError             what a person asked for can't be done as asked
│   ├── UnknownAgent             nobody in the roster goes by that name
│   ├── UnknownAction            what neither an action nor a script can be called
│   ├── JustHappens              a time for an action that has no end
│   ├── AgentLiving              an agent that is to be removed is there
│   ├── AgentGone                an agent that an order is for has not been heard of for long
│   ├── NotOnAllowlist           a network that is to be taken off the allowlist wasn't put on it
│   ├── AllowlistFull            more networks than agents can be told of
│   ├── NotOnHold                an order that is to be approved or refused isn't on hold
│   ├── ManagerPaused            nothing is let through until the manager is resumed
│   ├── ReloadRefused            the files that were to be read anew are wrong
│   ├── UnknownRule              no rule, or no response, in force goes by that name
│   ├── Busy                     as much of it is being done as may be at once
│   └── UnreadableLog            a log file that was to be read offline
├── NamespaceInUse           another agent protects this network namespace
├── LeftBehind               nobody is in this network namespace any more: the agent has to be started again
├── PartEnded                a part of `thwart up` ended by itself, or never came to be of use
├── JournalUnreadable        the systemd journal can't be followed; tried again
├── ActionError              an action can't be carried out on this host
└── ApiError                 what the manager's API answered to the command line
    └── Unreachable              it did not answer at all, or the agent on this host did not
"""

from pathlib import Path


class ThwartError(Exception):
    """Base of everything raised on purpose. Its text is meant for the user and says what to do next."""


class MessageError(ThwartError):
    """A message that can't be taken. `reason` is the closed word that goes with it to the dead-letter queue."""

    reason = "malformed"


class MalformedMessage(MessageError):
    """Not msgpack, a key missing, or a value of the wrong type."""


class UnsupportedVersion(MessageError):
    """The message speaks a newer protocol than this program."""

    reason = "unsupported-version"


class MessageTooLarge(MessageError):
    """The body is over the limit."""

    reason = "too-large"


class ForgedSender(MessageError):
    """The message names another agent than its routing key does, or than the login that it was sent with."""

    reason = "forged-sender"


class IdTaken(MessageError):
    """An order has the id of another one, which was there first."""

    reason = "id-taken"


class ForeignPolicy(MessageError):
    """An allowlist came from somebody who is no manager here."""

    reason = "foreign-policy"


class TargetError(ThwartError):
    """What an order may not act on."""


class InvalidTarget(TargetError):
    """Not an address, network or account."""


class ProtectedTarget(TargetError):
    """Overlaps an entry of an allowlist."""


class BrokerError(ThwartError):
    """What the broker said, or that it is gone."""


class Disconnected(BrokerError):
    """Not connected, or the connection was lost before the confirm. The message may have arrived: send it again."""


class Unroutable(BrokerError):
    """No queue took the message."""


class Refused(BrokerError):
    """The broker answered with a nack, as a full queue does. Send it again later."""


class LockHeld(BrokerError):
    """Another connection holds the exclusive queue: a half-open link of our own, or another host with this id."""


class TopologyMismatch(BrokerError):
    """A queue or exchange exists with other arguments than ours."""


class InvalidDuration(ThwartError):
    """Not a span of time such as 90, 10m or 2h."""


class InvalidPattern(ThwartError):
    """A pattern can't be read in its dialect. Its reader adds file and line."""


class SettingsError(ThwartError):
    """A setting is missing or wrong. The text names the file, or the variable, and the key."""


class ConfigurationError(ThwartError):
    """The user's XML is wrong. `where()` is `file:line`."""

    def __init__(self, message: str, *, path: Path | str, line: int | None = None) -> None:
        self.path, self.line, self.message = Path(path), line, message
        super().__init__(f"{self.where()}: {message}")

    def where(self) -> str:
        """`file:line`, or the file alone where no line is known."""
        return f"{self.path}:{self.line}" if self.line else str(self.path)


class RuleFileError(ConfigurationError):
    """A rule or decoder file is wrong, or uses what isn't supported."""


class CaseFileError(ConfigurationError):
    """A file of cases for rules is wrong."""


class StoreError(ThwartError):
    """The database can't be opened, read or written."""


class StoreDamaged(StoreError):
    """The database's file is not what was written to it."""

    def __init__(self, message: str, *, path: Path | str) -> None:
        self.path = Path(path)
        super().__init__(message)


class FolderInUse(StoreError):
    """Another process has the state folder, and everything in it."""


class RequestError(ThwartError):
    """What a person asked for can't be done as asked."""


class UnknownAgent(RequestError):
    """Nobody in the roster goes by that name; the text lists who does."""


class UnknownAction(RequestError):
    """What neither a built-in action nor a file in the script folder can be called."""


class JustHappens(RequestError):
    """A time was given for an action that has no end."""


class AgentLiving(RequestError):
    """An agent that is to be removed is there; the text says what to do first."""


class AgentGone(RequestError):
    """An agent that an order is for has not been heard of for so long that nothing is expected of it."""


class NotOnAllowlist(RequestError):
    """A network that is to be taken off the allowlist isn't on it, or a file has put it there; the text says which."""


class AllowlistFull(RequestError):
    """More networks on the allowlist than agents can be told of in one message."""


class NotOnHold(RequestError):
    """The order isn't on hold, or there is no such order; the text says which."""


class ManagerPaused(RequestError):
    """Nothing is let through while the manager is paused; the text says who paused it."""


class ReloadRefused(RequestError):
    """The files that were to be read anew are wrong, and what was in force stays; the text has file and line."""


class UnknownRule(RequestError):
    """No rule, or no response, in force goes by that name; the text says where they are listed."""


class Busy(RequestError):
    """As much of it is being done as may be at once; the text says to try again."""


class UnreadableLog(RequestError):
    """A log file can't be opened or read; the text names it."""


class NamespaceInUse(ThwartError):
    """Another agent protects this network namespace; the text says who."""


class LeftBehind(ThwartError):
    """The container whose network the agent shares has another namespace now; a new start of the agent follows it."""


class PartEnded(ThwartError):
    """A part of `thwart up` ended by itself, or never came to be of use; the others have been stopped."""


class JournalUnreadable(ThwartError):
    """journalctl can't be started, or ended before it gave anything. It is tried again."""


class ActionError(ThwartError):
    """An action can't be carried out on this host."""


class FileChanged(ActionError):
    """A file that was to be replaced isn't any more what it was when it was read."""


class ToolHangs(ActionError):
    """A program of the host didn't end within its time, now or a moment ago."""


class ApiError(ThwartError):
    """What the manager's API answered, when that was no."""


class Unreachable(ApiError):
    """The manager's API did not answer, or on a host its agent."""
