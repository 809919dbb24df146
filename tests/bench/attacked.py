"""What the benches attack: web1, followed by a real agent, with a real broker and a real manager behind it."""

from pathlib import Path

from manager.app import LEDGER
from tests.stage.fleet import Fleet
from tests.stage.guard import Guard
from tests.stage.kernel import KernelWatch

OSSEC_CONF = """\
<ossec_config>
  <active-response>
    <command>firewall-drop</command>
    <location>local</location>
    <rules_id>5712</rules_id>
    <timeout>600</timeout>
  </active-response>
</ossec_config>
"""


class Attacked:
    """A fleet of which web1 alone has an agent; its other hosts are for what Thwart is compared with."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self._guard, self._folder = guard, folder
        conf = folder / "ossec.conf"
        conf.write_text(OSSEC_CONF)
        self._fleet = Fleet(guard, folder / "fleet", ossec_conf=conf)
        self._daemons = (self._fleet.manager, self._fleet.agents["web1"])
        self.host, self.log = self._fleet.hosts["web1"], self._fleet.web1_log
        self.ledger = self._fleet.manager.folder / "state" / LEDGER
        self.beside, self.elsewhere = self._fleet.hosts["web2"], self._fleet.attacker  # with firewalls nobody uses

    def start(self) -> KernelWatch:
        """Returns when the log is followed and the manager knows the agent."""
        self.log.parent.mkdir()
        self.log.touch()
        self._fleet.broker.start()
        for daemon in self._daemons:
            daemon.start()
        self._fleet.wait_until_known("web1")
        return KernelWatch(self._guard, self.host)

    def stop(self) -> None:
        """Ends broker and daemons; files stay until the guard closes."""
        for daemon in self._daemons:
            daemon.stop()
        self._fleet.close()
