"""The broker's own view of its queues and connections, and what an operator or a broken network may do to them."""

from collections.abc import Sequence
from contextlib import suppress

from tests.stage.broker import Broker
from tests.waiting import wait_for

# what is told of a quorum queue is counted every few seconds; its leader knows
HELD = """
case amqqueue:get_type(Q) of
    rabbit_quorum_queue ->
        {ok, {_, N}, _} = ra:leader_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1), N;
    _ ->
        [{messages, N}] = rabbit_amqqueue:info(Q, [messages]), N
end"""


class Queues:
    """Of one virtual host, asked inside the node: 30 ms a question."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._host = _binary(broker.login.name)

    def messages(self, queue: str) -> int:
        """How many it holds, those that were delivered and not acked included; 0 for a queue that there isn't."""
        return int(self._ask(f"case {self._look_up(queue)} of {{ok, Q}} -> {HELD}; _ -> 0 end"))

    def consumers(self, queue: str) -> int:
        """How many there are, as far as the broker knows; 0 for a queue that there isn't."""
        found = f"case {self._look_up(queue)} of {{ok, Q}} -> length(rabbit_amqqueue:consumers(Q)); _ -> 0 end"
        return int(self._ask(found))

    def hang(self, queue: str) -> None:
        """A quorum queue loses its leader, as when too few of its nodes are there: it confirms and gives nothing."""
        self._ask(f"{{ok, Q}} = {self._look_up(queue)}, ok = ra:stop_server(quorum_queues, amqqueue:get_pid(Q))")

    def mend(self, queue: str) -> None:
        """It has one again."""
        self._ask(f"{{ok, Q}} = {self._look_up(queue)}, ok = ra:restart_server(quorum_queues, amqqueue:get_pid(Q))")

    def delete(self, queue: str) -> None:
        """With everything in it."""
        self._ask(f"{{ok, Q}} = {self._look_up(queue)}, rabbit_amqqueue:delete(Q, false, false, <<116>>), 0")

    def cut(self) -> None:
        """Ends every connection."""
        living = "rabbit_networking:connection_info_all([pid, vhost])"
        self._ask(
            f"[rabbit_networking:close_connection(P, <<116>>) || [{{pid, P}}, {{vhost, V}}] <- {living},"
            f" V =:= {self._host}], 0"
        )

    def empty(self, *queues: str) -> None:
        """Returns when these hold nothing: what was taken was acked too, and doesn't come for ever."""
        with suppress(AssertionError):
            wait_for(lambda: not self._held(queues))
        assert self._held(queues) == {}

    def _held(self, queues: Sequence[str]) -> dict[str, int]:
        return {queue: held for queue in queues if (held := self.messages(queue))}

    def _look_up(self, queue: str) -> str:
        return f"rabbit_amqqueue:lookup(rabbit_misc:r({self._host}, queue, {_binary(queue)}))"

    def _ask(self, expressions: str) -> str:
        return self._broker.node.evaluate(expressions)


def _binary(text: str) -> str:
    return "<<" + ",".join(str(byte) for byte in text.encode()) + ">>"
