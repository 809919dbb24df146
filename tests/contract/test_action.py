"""The contract of every action, held against the fake and against nftables in a real kernel; each other backend has a
file of its own.
"""

import pytest

from agent.contract.action import CulpritContract, done, in_force, reverted
from agent.contract.addresses import NetworkContract
from agent.contract.ends import EndingContract
from tests.contract.subject import InKernel, Pretended


class TestFake(NetworkContract, EndingContract, CulpritContract):
    """What stands in for an action in other tests is one."""

    @pytest.fixture
    def subject(self) -> Pretended:
        """With nothing in force."""
        return Pretended()


@pytest.mark.root
class TestNftables(NetworkContract, EndingContract, CulpritContract):
    """firewall-drop, in the kernel of a host of the stage."""

    @pytest.fixture
    def subject(self, in_kernel: InKernel) -> InKernel:
        """With nothing in force."""
        return in_kernel

    def test_networks_of_every_length_at_once(self, subject: InKernel) -> None:
        """Each family's shortest to its longest, each in a set of its own."""
        keys = [subject.action.key(f"198.51.100.0/{length}", ()) for length in range(1, 33)]
        keys += [subject.action.key(f"2001:db8::/{length}", ()) for length in range(3, 129)]
        done(subject, dict.fromkeys(keys, 60.0))
        in_force(subject, dict.fromkeys(keys, 60.0))
        reverted(subject, keys[::2])
        in_force(subject, dict.fromkeys(keys[1::2], 60.0))
