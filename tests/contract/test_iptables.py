"""The contract for firewall-drop by ipset and by iptables alone, each with iptables-nft and with iptables-legacy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.actions.firewall_drop.ipset import Ipset
from agent.actions.firewall_drop.iptables import Iptables
from agent.contract.addresses import NetworkContract
from agent.contract.ends import EndingContract
from agent.contract.programs import ProgramContract
from tests.contract.in_filter import InFilter, programs_of, skip_without_legacy
from tests.stage.network import Host


@pytest.fixture(scope="module")
def nft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of iptables-nft."""
    return programs_of("nft", tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def legacy(web: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of iptables-legacy."""
    skip_without_legacy(web)
    return programs_of("legacy", tmp_path_factory.mktemp("programs"))


@pytest.mark.root
class TestIptablesNft(NetworkContract, ProgramContract):
    """A rule for each address."""

    @pytest.fixture
    def subject(self, web: Host, nft: Path) -> Iterator[InFilter]:
        """With nothing in force."""
        yield from prepared(web, Iptables, nft)


@pytest.mark.root
class TestIptablesLegacy(NetworkContract):
    """The same; how programs are run doesn't depend on the variant."""

    @pytest.fixture
    def subject(self, web: Host, legacy: Path) -> Iterator[InFilter]:
        """With nothing in force."""
        yield from prepared(web, Iptables, legacy)


@pytest.mark.root
class TestIpsetNft(NetworkContract, ProgramContract, EndingContract):
    """A set for each family, whose entries end by themselves."""

    @pytest.fixture
    def subject(self, web: Host, nft: Path) -> Iterator[InFilter]:
        """With nothing in force."""
        yield from prepared(web, Ipset, nft)


@pytest.mark.root
class TestIpsetLegacy(NetworkContract):
    """The same."""

    @pytest.fixture
    def subject(self, web: Host, legacy: Path) -> Iterator[InFilter]:
        """With nothing in force."""
        yield from prepared(web, Ipset, legacy)


def prepared(web: Host, make: type[Iptables | Ipset], programs: Path) -> Iterator[InFilter]:
    """With nothing in force."""
    one = InFilter(web, make, programs)
    yield one
    one.close()
