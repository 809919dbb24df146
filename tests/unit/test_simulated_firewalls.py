"""Simulated firewalls refuse what the real tools refuse, with their words and exit codes, and change nothing then."""

from pathlib import Path

import pytest

from agent.actions.tools.tool import Tool, Tools
from shared.errors import ActionError
from tests.stage.simulators.host import KEPT_IN, State, load, save
from tests.stage.simulators.install import install

NPF_CONF = """\
table <bad> type ipset
table <nets> type lpm
group default {
    ruleset "some"
    block in final from <bad>
}
"""


PREPARED = (
    ("pfctl", "-t", "bad", "-T", "add", "203.0.113.9"),
    ("ipfw", "-q", "table", "bad", "add", "203.0.113.9", "0"),
    ("npfctl", "reload", "npf.conf"),
    ("npfctl", "table", "bad", "add", "203.0.113.9"),
    ("npfctl", "table", "nets", "add", "203.0.113.0/24"),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tools, State]:
    """Each firewall with a table that has an address in it."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "npf.conf").write_text(NPF_CONF)
    tools = install(folder, "pfctl", "ipfw", "sysctl", "npfctl")
    for program, *arguments in PREPARED:
        Tool(program, tools).run(*(each.replace("npf.conf", str(folder / "npf.conf")) for each in arguments))
    return tools, load(tools.environment[KEPT_IN])


@pytest.fixture
def host(prepared: tuple[Tools, State]) -> Tools:
    """As it was prepared."""
    tools, kept = prepared
    save(kept, tools.environment[KEPT_IN])
    return tools


@pytest.mark.parametrize(
    ("program", "line", "code", "words"),
    [
        ("pfctl", "", 1, "usage: pfctl"),
        ("pfctl", "-y", 1, "illegal option -- y"),
        ("pfctl", "-t bad", 1, "usage: pfctl"),
        ("pfctl", "-T show", 1, "usage: pfctl"),
        ("pfctl", "-t bad -T remove 203.0.113.9", 1, "Unknown table command 'remove'"),
        ("pfctl", "-t bad -T show 203.0.113.9", 1, "usage: pfctl"),
        ("pfctl", "-t none -T delete 203.0.113.9", 255, "Table does not exist."),
        ("pfctl", "-t bad -T add attacker.example", 255, "no IP address found for attacker.example"),
        ("pfctl", "-t bad -T add 203.0.113.9/33", 255, "no IP address found for 203.0.113.9/33"),
        ("pfctl", "-t bad -T add 203.0.113.7 -q", 255, "no IP address found for -q"),
        ("pfctl", "-t bad -T test 203.0.113.0/24", 255, "illegal test address"),
        ("pfctl", "-t bad -T test 203.0.113.90", 2, "0/1 addresses match"),
        ("pfctl", f"-t {'x' * 32} -T show", 1, "usage: pfctl"),
        ("pfctl", "-a x -k 203.0.113.9", 1, "anchors apply to -f, -F, -s, and -T only"),
        ("pfctl", "-a _x -F rules", 1, "anchor names beginning with '_' cannot be modified"),
        ("pfctl", "-k 1.1.1.1 -k 1.1.1.2 -k 1.1.1.3", 1, "can only specify -k twice"),
        ("pfctl", "-k attacker", 1, "getaddrinfo"),
        ("pfctl", "-s nothing", 1, "Unknown show modifier 'nothing'"),
        ("pfctl", "203.0.113.9", 1, "unknown command line argument: 203.0.113.9"),
        ("pfctl", "-e", 1, "pf already enabled"),
        ("ipfw", "", 64, "bad arguments"),
        ("ipfw", "block 203.0.113.9", 64, "bad command `block'"),
        ("ipfw", "table", 64, "table needs name"),
        ("ipfw", "table all add 203.0.113.7", 64, "table name required"),
        ("ipfw", "table bad add", 64, "address required"),
        ("ipfw", "table bad add 203.0.113.9 0", 71, "Adding record failed: record already exists"),
        ("ipfw", "table bad delete 203.0.113.90", 71, "Deleting record failed: record not found"),
        ("ipfw", "-q table none delete 203.0.113.9", 65, "Table none does not exist"),
        ("ipfw", "table none list", 71, "failed to request table info: No such process"),
        ("ipfw", "table bad create", 71, "Table creation failed: File exists"),
        ("ipfw", "table bad add 203.0.113.9/33 0", 65, "bad IPv4 mask width: 33"),
        ("ipfw", "table bad add attacker.example 0", 68, "hostname ``attacker.example'' unknown"),
        ("ipfw", "table bad add 203.0.113.7 x", 71, "Unable to parse value x"),
        ("ipfw", "table bad add ::203.0.113.7 0", 65, "Use IPv4 instead of v4-compatible"),
        ("ipfw", "add 1 deny ip from table(bad)", 64, "bad arguments"),
        ("ipfw", "add 1 stop ip from any to any", 64, "invalid action stop"),
        ("ipfw", "list 7", 69, "rule 7 does not exist"),
        ("sysctl", "-n net.inet.ip.fw.on", 1, "unknown oid 'net.inet.ip.fw.on'"),
        ("npfctl", "", 1, "Usage:"),
        ("npfctl", "table bad", 1, "Usage:"),
        ("npfctl", "table bad put 203.0.113.7", 1, "invalid command 'put'"),
        ("npfctl", "table none add 203.0.113.7", 1, "invalid address, mask or table ID"),
        ("npfctl", "table bad add 203.0.113.9", 1, "entry already exists or is conflicting"),
        ("npfctl", "table bad rem 203.0.113.7", 1, "not found"),
        ("npfctl", "table bad add 203.0.113.0/24", 1, "invalid address, mask or table ID"),
        ("npfctl", "table bad add 203.0.113.7/32", 1, "invalid address, mask or table ID"),
        ("npfctl", "table nets add 203.0.113.9", 1, "entry already exists or is conflicting"),
        ("npfctl", "table bad add attacker", 1, "invalid CIDR 'attacker'"),
        ("npfctl", "table none replace -", 1, "table 'none' not found in the active configuration"),
        ("npfctl", "rule none list", 1, 'ruleset "none" not found'),
        ("npfctl", "rule some add drop in from 203.0.113.9", 1, "could not parse the rule"),
        ("npfctl", "rule some rem-id 7", 1, "rule was not found"),
    ],
)
def test_it_is_refused(host: Tools, program: str, line: str, code: int, words: str) -> None:
    """By each in its own way."""
    before = load(host.environment[KEPT_IN])
    with pytest.raises(ActionError) as caught:
        Tool(program, host).run(*line.split())
    assert f"{program}: exit code {code}: " in str(caught.value)
    assert words in str(caught.value)
    assert load(host.environment[KEPT_IN]) == before


@pytest.mark.parametrize(
    ("program", "line", "said", "output"),
    [
        ("pfctl", "-t bad -T sh", "", "   203.0.113.9\n"),
        ("pfctl", "-tbad -Tadd -f -", "203.0.113.9 2001:db8::/32 # x\n203.0.113.7/24\n", ""),
        ("pfctl", "-a none -s rules", "", ""),
        ("pfctl", "-q -k 203.0.113.9", "", ""),
        ("ipfw", "table bad list", "", "203.0.113.9/32 0\n"),
        ("ipfw", "ta bad li", "", "203.0.113.9/32 0\n"),
        ("ipfw", "-q table bad add 203.0.113.9 7", "", ""),
        ("ipfw", "-q table bad delete 203.0.113.90", "", ""),
        ("ipfw", "add 1 drop all from table(bad) to any", "", "00001 deny ip from table(bad) to any\n"),
        ("sysctl", "-n net.inet.ip.fw.enable", "", "1\n"),
        ("npfctl", "table bad list", "", "203.0.113.9\n"),
        ("npfctl", "table nets list", "", "203.0.113.0/24\n"),
        ("npfctl", "table bad test 203.0.113.9", "", "npfctl: match\n"),
        ("npfctl", "table bad replace -", "203.0.113.7\n\n# x\n", ""),
        ("npfctl", "rule some add block in final from 203.0.113.0/24", "", "OK 1\n"),
    ],
)
def test_it_is_taken(host: Tools, program: str, line: str, said: str, output: str) -> None:
    """Short forms too, and what is no error though one might think so."""
    assert Tool(program, host).run(*line.split(), said=said) == output


@pytest.mark.parametrize(
    ("program", "line", "code", "words"),
    [
        ("netsh", "advfirewall firewall add rule name=all dir=in action=block", 1, "A specified value is not valid."),
        ("netsh", "advfirewall firewall add rule name=x dir=in action=block remoteip=203.0.113.9/33", 1, "not valid"),
        ("netsh", "advfirewall firewall add rule name=x dir=in action=block remoteipp=1.1.1.1", 1, "valid argument"),
        ("netsh", "advfirewall firewall set rule name=none new enable=no", 1, "No rules match"),
        ("netsh", "advfirewall firewall delete rule dir=in", 1, "The name parameter is required."),
        ("netsh", "interface ipv4 add route prefix=203.0.113.9 interface=1", 1, "The parameter is incorrect."),
        ("netsh", "interface ipv4 add route prefix=2001:db8::/32 interface=1", 1, "The parameter is incorrect."),
        ("netsh", "interface ipv4 delete route prefix=203.0.113.9/32 interface=1", 1, "Element not found."),
        ("net", "user nobody /active:no", 2, "The user name could not be found."),
        ("net", "user Guest /inactive", 1, "The option /inactive is unknown."),
        ("powershell", "Get-LocalUser", 64, "-File"),
        ("powershell", "-Command Get-Process", 1, "is not recognized as the name of a cmdlet"),
        ("taskkill", "/fi x", 1, "Invalid argument/option"),
        ("pwpolicy", "-u root -disableuser", 1, "unable to open node /Search"),
        ("pwpolicy", "-n /Local/Default -u x -disableuser", 1, "unable to find user record for x"),
        ("dscl", "/Search -readall /Users", 56, "Cannot open remote host"),
        ("dscl", "/Local/Default -readall /Groups", 185, "eDSUnknownNodeName"),
        ("pkill", "-u x", 2, "usage: pkill"),
        ("route", "-n change -host 203.0.113.9 127.0.0.1", 64, "bad keyword: change"),
        ("route", "-n add 2001:db8::9 ::1", 68, "bad address: 2001:db8::9"),
        ("route", "-n delete -host 203.0.113.9 127.0.0.1", 1, "No such process"),
        ("service", "none status", 1, "none does not exist in /etc/rc.d"),
        ("rcctl", "check none", 2, "service none does not exist"),
    ],
)
def test_so_do_other_tools(tmp_path: Path, program: str, line: str, code: int, words: str) -> None:
    """Those of accounts, routes and services, and Windows' firewall: each on a host of its own."""
    with pytest.raises(ActionError) as caught:
        Tool(program, install(tmp_path, program)).run(*line.split())
    assert f"{program}: exit code {code}: " in str(caught.value)
    assert words in str(caught.value)
