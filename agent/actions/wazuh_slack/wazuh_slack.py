"""wazuh-slack: tells a channel of alerts, through an incoming webhook of Slack's or of whoever takes the same.

The rule it keeps: a burst is one message, and what was told once isn't told again. It just happens: nothing is held,
so nothing is told anew when an agent starts or a block is restored.
"""

from collections import defaultdict
from collections.abc import Sequence

from agent.actions.action import Call, Result
from agent.actions.wazuh_slack import slack_message
from agent.actions.wazuh_slack.webhook import Webhook, checked
from shared.errors import ActionError, InvalidTarget

AT_ONCE = 500  # alerts in one message: it names rules and how often, and 20 addresses of each
LONGEST = 255  # characters of a target
SCHEMES = ("https://", "http://")


class WazuhSlack:
    """Posts to the URL that a command's `<extra_args>` has, as Wazuh's script takes it, else to the webhook's own."""

    name = "wazuh-slack"
    backend = "webhook"
    at_once = AT_ONCE
    just_happens = True

    def __init__(self, webhook: Webhook, *, host: str) -> None:
        """`host` is what this one is called in the channel."""
        self._webhook, self._host = webhook, host

    def key(self, target: str, arguments: Sequence[str], order_id: str) -> str:
        """The order's: each tells of an alert of its own."""
        if len(target) > LONGEST or not target.isprintable():
            raise InvalidTarget(f"what is told of is one line of at most {LONGEST} characters")
        return order_id

    def prepare(self, arguments: Sequence[str]) -> None:
        """Raises ActionError when there is nowhere to post."""
        self._url(arguments)

    def apply(self, calls: Sequence[Call]) -> list[Result]:
        """One message for all; one for each URL, if there are several."""
        by_arguments: dict[tuple[str, ...], list[Call]] = defaultdict(list)
        for call in calls:
            by_arguments[call.arguments].append(call)
        problems = {arguments: self._told(arguments, some) for arguments, some in by_arguments.items()}
        return [Result(key=call.key, problem=problems[call.arguments], happened=True) for call in calls]

    def revert(self, calls: Sequence[Call]) -> list[Result]:
        """Nothing is in force."""
        return [Result(key=call.key) for call in calls]

    def resumed(self, call: Call) -> None:
        """Nobody knows whether the server had taken it."""

    def stop(self) -> None:
        """Whoever waits for another try gives up."""
        self._webhook.stop()

    def _told(self, arguments: Sequence[str], calls: Sequence[Call]) -> str:
        """Why not, if not."""
        some = [slack_message.telling(call.alert, call.target) for call in calls]
        try:
            self._webhook.post(slack_message.of_alerts(some, self._host), self._url(arguments))
        except ActionError as error:
            return str(error)
        return ""

    def _url(self, arguments: Sequence[str]) -> str:
        named = next((each for each in arguments if each.startswith(SCHEMES)), "")
        return checked(named, "extra_args") if named else self._webhook.url()
