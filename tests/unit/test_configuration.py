"""An existing `ossec.conf` is read as it is; what isn't understood, or doesn't mean what it seems to, is said."""

import re

import pytest

from agent.actions import catalogue
from agent.actions.slow_actions import built_in, webhook
from manager.responses.configuration import load
from shared.actions import KINDS, LASTING
from shared.errors import ProtectedTarget
from shared.settings import ActionsSettings
from tests.unit.a_conf import block, messages, refused

OWNERS_EXAMPLE = """
<active-response>
  <command>firewall-drop</command>
  <location>defined-agent</location>
  <agent_id>agent-xxx</agent_id>
  <rules_id>5712</rules_id>
  <timeout>600</timeout>
  <repeated_offenders>30,60,90</repeated_offenders>
</active-response>
"""


def test_the_owners_example_works_as_written(conf):
    """The block that Thwart was asked for is read without a root, a declaration or a warning."""
    configuration = load(conf(OWNERS_EXAMPLE))
    (response,) = configuration.responses
    assert (response.command.action, response.location, response.agents) == ("firewall-drop", "agent", ("agent-xxx",))
    assert (response.rules, response.timeout, response.repeats) == (("5712",), 600.0, (1_800.0, 3_600.0, 5_400.0))
    assert configuration.warnings == ()


def test_remarks_and_comments_are_no_part_of_an_option(conf):
    """XML comments and trailing `#` remarks stand where the owner put them, and mean nothing."""
    (response,) = load(
        conf(
            "<!-- block -- one -->\n<active-response>   # what\n<command>firewall-drop</command> # (any)\n"
            "<location>local</location>    #location (local, server, defined-agent, all)\n"
            "<rules_id>5712<!-- , 5763 --></rules_id>\n</active-response> # the end\n"
        )
    ).responses
    assert (response.location, response.rules) == ("local", ("5712",))


def test_the_owners_broken_block_is_named_with_what_was_meant(conf):
    """A block that closes with `<active-response>` is an error in that line, with the closing tag that is missing."""
    broken = OWNERS_EXAMPLE.replace("</active-response>", "<active-response>")
    assert refused(conf(broken)).startswith("9: `<active-response>` opens inside the `<active-response>` of line 2")
    two = broken + OWNERS_EXAMPLE
    assert refused(conf(f"<ossec_config>{two}</ossec_config>")).endswith("was `</active-response>` meant?")


def test_a_whole_wazuh_file_is_read_and_the_rest_skipped(conf):
    """Several roots, other sections, and an agent's own block are no obstacle."""
    configuration = load(
        conf(f"""<!-- Wazuh - Manager -->
<ossec_config>
  <global><jsonout_output>yes</jsonout_output><white_list>127.0.0.1</white_list>
    <white_list>^localhost.localdomain$</white_list></global>
  <syscheck><directories>/etc</directories></syscheck>
  <localfile><log_format>command</log_format><command>df -P</command></localfile>
  <command><name>disable-account</name><executable>disable-account</executable>
    <timeout_allowed>yes</timeout_allowed></command>
  <ruleset><rule_dir>etc/rules</rule_dir></ruleset>
</ossec_config>
<ossec_config>
  {OWNERS_EXAMPLE}
  <active-response><disabled>no</disabled><ca_store>etc/wpk_root.pem</ca_store></active-response>
</ossec_config>
""")
    )
    assert len(configuration.responses) == 1
    assert [command.name for command in configuration.commands] == ["disable-account"]
    assert [str(network) for network, _ in configuration.allowlist] == ["127.0.0.1/32"]
    assert [warning.line for warning in configuration.warnings] == [22]


def test_a_response_may_come_before_its_command(conf):
    """The order of elements is free."""
    declared = "<command><name>mine</name><executable>mine.py</executable></command>"
    (response,) = load(conf(block(command="mine") + declared)).responses
    assert (response.command.action, response.command.kind) == ("mine.py", "script")


STOCK = (
    "disable-account firewall-drop firewalld-drop host-deny ip-customblock ipfw npf wazuh-slack pf restart-wazuh",
    "route-null netsh win_route-null netsh.exe route-null.exe restart-wazuh.exe",
)


@pytest.mark.parametrize("name", " ".join(STOCK).split())
def test_the_stock_commands_need_no_declaration(conf, name: str):
    """Every command that Wazuh ships is known, and is an action of Thwart's own."""
    (response,) = load(conf(block(command=name))).responses
    assert response.command.action in KINDS
    assert messages(conf(block(command=name))) == []


def test_the_table_of_actions_is_that_of_the_agents() -> None:
    """What agents hold until an end lasts for managers too, and what agents say just happens acts on nothing."""
    slow = built_in(ActionsSettings(), webhook(ActionsSettings()), "web1")
    assert {*catalogue.BUILT_IN, "ip-customblock"} == LASTING
    assert {each.name for each in slow if each.just_happens} == KINDS.keys() - LASTING


def test_arguments_are_split_as_a_shell_would(conf):
    """Quotes hold words together, and nothing else of a shell exists."""
    declared = (
        "<command><name>x</name><executable>x</executable><extra_args>-a 'b c' \"$HOME;d\"</extra_args></command>"
    )
    (command,) = load(conf(declared)).commands
    assert command.arguments == ("-a", "b c", "$HOME;d")


def test_an_empty_expect_of_old_files_is_ignored(conf):
    """`<expect/>` stands in every old file."""
    declared = "<command><name>x</name><executable>x</executable><expect/><extra_args></extra_args></command>"
    assert load(conf(declared)).commands[0].arguments == ()


def test_a_declaration_goes_before_the_stock_command(conf):
    """A user's own `firewall-drop` is the one that is meant."""
    declared = (
        "<command><name>firewall-drop</name><executable>firewall-drop</executable><extra_args>x</extra_args></command>"
    )
    (response,) = load(conf(declared + block())).responses
    assert response.command.arguments == ("x",)


@pytest.mark.parametrize(
    ("given", "expected"), [("local", "local"), ("Server", "server"), ("ALL", "all"), ("Defined-Agent", "agent")]
)
def test_locations_are_read_in_any_case(conf, given: str, expected: str):
    """Exactly four words, however they are spelt."""
    agents = "<agent_id>web1</agent_id>" if expected == "agent" else ""
    (response,) = load(conf(block(agents, location=given))).responses
    assert response.location == expected


def test_agents_may_be_a_list_in_either_way_and_numbers_have_one_spelling(conf):
    """Commas or repeated elements; Wazuh's 1, 01 and 001 are one agent."""
    agents = "<agent_id>web1, 1,12</agent_id><agent_id>001</agent_id><agent_id>web2</agent_id>"
    (response,) = load(conf(block(agents, location="defined-agent"))).responses
    assert response.agents == ("web1", "001", "012", "web2")


def test_what_selects_may_be_a_list(conf):
    """Rule ids by commas, groups by commas or bars, as Wazuh's documents have both."""
    (response,) = load(
        conf(block("<rules_group>sshd,|pam_auth</rules_group>", "<level>7</level>", rules="5712, 5763"))
    ).responses
    assert (response.rules, response.level, response.groups) == (("5712", "5763"), 7, ("sshd", "pam_auth"))


@pytest.mark.parametrize(
    ("text", "expected"), [("600", 600.0), ("10m", 600.0), ("2h", 7_200.0), ("1d", 86_400.0), ("0", None), (None, None)]
)
def test_a_timeout_is_in_seconds_or_has_a_unit(conf, text: str | None, expected: float | None):
    """0 and none at all are until lifted."""
    (response,) = load(conf(block(f"<timeout>{text}</timeout>" if text else ""))).responses
    assert response.timeout == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30,60,90", (1_800.0, 3_600.0, 5_400.0)),
        ("10s, 20s", (10.0, 20.0)),
        ("1,2,3,4,5,6,7", tuple(range(60, 421, 60))),
    ],
)
def test_repeated_offenders_are_minutes_unless_they_say_otherwise(conf, text: str, expected: tuple[float, ...]):
    """Bare numbers are minutes as in Wazuh, units are allowed, and there may be any number."""
    (response,) = load(
        conf(block("<timeout>5s</timeout>", f"<repeated_offenders>{text}</repeated_offenders>"))
    ).responses
    assert response.repeats == expected


def test_the_first_offence_is_the_timeout_and_the_last_entry_sticks(conf):
    """5 s, then 10 s, then 20 s for ever."""
    (response,) = load(
        conf(block("<timeout>5s</timeout>", "<repeated_offenders>10s,20s</repeated_offenders>"))
    ).responses
    assert [response.timeout_of(offence) for offence in (1, 2, 3, 4, 99)] == [5.0, 10.0, 20.0, 20.0, 20.0]


def test_our_own_options_are_read(conf):
    """`name`, `white_list_exempt`, `target`, `dry_run`, `exclude`."""
    options = (
        "<name>ssh</name><white_list_exempt>yes</white_list_exempt><target>data.dstip</target><dry_run>Yes</dry_run>"
        "<exclude>db1, 2</exclude>"
    )
    (response,) = load(conf(block(options, location="all"))).responses
    assert (response.identity, response.exempt, response.target) == ("ssh", True, "data.dstip")
    assert (response.dry_run, response.exclude) == (True, ("db1", "002"))


def test_disabled_switches_off_one_block_alone(conf):
    """The other one stays on."""
    configuration = load(conf(block("<disabled>yes</disabled>") + block(location="server")))
    assert [each.location for each in configuration.responses] == ["server"]
    assert [each.location for each in configuration.disabled] == ["local"]
    assert messages(conf(block("<disabled>yes</disabled>") + block())) == []


@pytest.mark.parametrize(
    "option", ["<timeout>60</timeout>", "<timeout>60</timeout><repeated_offenders>1</repeated_offenders>"]
)
@pytest.mark.parametrize("name", ["restart-wazuh", "wazuh-slack", "restart-wazuh.exe"])
def test_what_just_happens_has_no_timeout(conf, name: str, option: str):
    """A restart or a message is not held; a timeout in the file is a warning."""
    path = conf(block(option, command=name))
    (response,) = load(path).responses
    assert (response.one_shot, response.timeout, response.repeats) == (True, None, ())
    assert f"1: <timeout> is ignored: `{name}` just happens" in messages(path)


def test_a_command_that_allows_no_timeout_stays_until_lifted(conf):
    """As in Wazuh, where the timeout is dropped, but said."""
    declared = "<command><name>x</name><executable>pf</executable><timeout_allowed>no</timeout_allowed></command>"
    (response,) = load(conf(declared + block("<timeout>600</timeout>", command="x"))).responses
    assert (response.timeout, response.one_shot) == (None, False)


def test_a_script_is_held_only_when_it_has_an_end(conf):
    """A script without a timeout runs once for each alert."""
    declared = "<command><name>x</name><executable>x.py</executable></command>"
    once, held = load(
        conf(declared + block(command="x") + block("<timeout>60</timeout>", command="x", location="server"))
    ).responses
    assert (once.one_shot, held.one_shot) == (True, False)


def test_the_white_list_takes_addresses_networks_and_masks(conf):
    """IPv4, IPv6, CIDR of both, and a netmask as Wazuh takes it; the reason names the list."""
    entries = ("192.0.2.1", "10.1.2.3/8", "2001:db8::/32", "::1", "172.16.0.0/255.240.0.0", "::ffff:198.51.100.7")
    listed = "".join(f"<white_list> {entry} </white_list>" for entry in entries)
    allowlist = load(conf(f"<global>{listed}</global>")).allowlist
    assert [str(network) for network, _ in allowlist] == [
        "192.0.2.1/32",
        "10.0.0.0/8",
        "2001:db8::/32",
        "::1/128",
        "172.16.0.0/12",
        "198.51.100.7/32",
    ]
    with pytest.raises(ProtectedTarget, match=re.escape("10.9.9.9 is protected by 10.0.0.0/8 (white_list)")):
        allowlist.check("10.9.9.9")


def test_identity_is_not_of_timeouts_nor_of_the_place_in_the_file(conf):
    """A file that is put in order, or given other timeouts, loses no escalation."""
    first, second = block("<timeout>5</timeout>"), block(location="server")
    before = {each.location: each.identity for each in load(conf(first + second)).responses}
    later = second + "\n\n" + block("<timeout>9m</timeout>", "<repeated_offenders>20</repeated_offenders>")
    after = {each.location: each.identity for each in load(conf(later)).responses}
    assert before == after


@pytest.mark.parametrize(
    "other",
    [
        block(rules="5763"),
        block(location="all"),
        block("<level>7</level>"),
        block("<rules_group>sshd</rules_group>"),
        block("<target>data.dstip</target>"),
        block("<dry_run>yes</dry_run>"),
        block(command="pf"),
        block("<name>x</name>"),
    ],
)
def test_identity_is_of_what_is_done_when_and_where(conf, other: str):
    """Whatever makes it another response gives it another identity."""
    one, two = load(conf(block() + other)).responses
    assert one.identity != two.identity


def test_identity_does_not_depend_on_the_order_of_a_list(conf):
    """`web1,web2` and `web2,web1` are the same agents."""
    one, two = (
        load(conf(block(f"<agent_id>{agents}</agent_id>", location="defined-agent", rules=rules))).responses[0]
        for agents, rules in (("web1,web2", "1,2"), ("web2,web1", "2,1"))
    )
    assert one.identity == two.identity
