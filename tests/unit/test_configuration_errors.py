"""What an `ossec.conf` says that isn't understood is an error, and what doesn't mean what it seems to a warning."""

import pytest

from manager.responses.configuration import examine
from tests.unit.a_conf import block, messages, refused

ERRORS = [
    (block("<timeout>soon</timeout>"), "1: <timeout>: 'soon' is not a duration"),
    (block("<timeout>-1</timeout>"), "1: <timeout>: '-1' is not a duration"),
    (block("<timeout>0.5</timeout>"), "1: a timeout is at least 1 s"),
    (block("<timeout></timeout>"), "1: <timeout> is empty"),
    (block("<timeout>1</timeout><timeout>2</timeout>"), "1: a second <timeout>"),
    (block("<timeout>5</timeout><repeated_offenders>10,,20</repeated_offenders>"), "1: <repeated_offenders>: ''"),
    (block("<timeout>5</timeout><repeated_offenders>0</repeated_offenders>"), "1: each entry is at least 1 s"),
    (block(command="fierwall-drop"), "1: there is no command `fierwall-drop`"),
    (block(location="everywhere"), "1: <location> is one of local, server, defined-agent, all"),
    (block(location="defined-agent"), "1: <location> defined-agent needs <agent_id>"),
    (block("<agent_id>000</agent_id>", location="defined-agent"), "1: 000 is Wazuh's manager"),
    (block("<agent_id>web.1</agent_id>", location="defined-agent"), "1: `web.1` is no agent's id"),
    (block("<exclude>db1</exclude>"), "1: <exclude> leaves agents out of <location> all"),
    (block(rules=""), "1: nothing fires this response"),
    (block(rules="sshd"), "1: a rule's id is a number, not `sshd`"),
    (block("<level>high</level>"), "1: <level> is a number from 0 to 16"),
    (block("<level>17</level>"), "1: <level> is a number from 0 to 16"),
    (block("<disabled>maybe</disabled>"), "1: <disabled> is yes or no"),
    (
        block("\n<repeated_offender>1</repeated_offender>"),
        "2: <active-response> has no option <repeated_offender>; was",
    ),
    (block("<ceiling>10</ceiling>"), "1: <active-response> has no option <ceiling>; known are"),
    (block("<group>web</group>"), "1: <active-response> has no option <group>"),
    (block("<level><b/>7</level>"), "1: <b> inside of <level>"),
    (block('<level a="b">7</level>'), "1: <level> takes no attribute"),
    ("<active-response><location>local</location></active-response>", "1: <active-response> has no <command>"),
    ("<active-response/>", "1: <active-response> has no <command>"),
    ("<active-response><command>pf</command></active-response>", "1: <active-response> has no <location>"),
    ("<active-responses/>", "1: <active-responses> is nothing that is known; was <active-response> meant?"),
    ("<command><name>x</name></command>", "1: <command> has no <executable>"),
    ("<command><executable>x</executable></command>", "1: <command> has no <name>"),
    ("<command><name>x</name><executable>/bin/sh</executable></command>", "1: '/bin/sh' is no action: name"),
    ("<command><name>x</name><executable>.x.sh</executable></command>", "1: '.x.sh' is no action: name"),
    ("<command><name>x</name><executable>..</executable></command>", "1: '..' is no action: name"),
    (
        "<command><name>x</name><executable>x</executable><extra_args>'a</extra_args></command>",
        "1: <extra_args> can't be split",
    ),
    (
        "<command><name>x</name><executable>x</executable></command>\n" * 2,
        "2: a second command `x`; the first is at ",
    ),
    ("<global><white_list>10.0.0.256</white_list></global>", "1: '10.0.0.256' is not an IP address or network"),
    ("<global><white_list>10.0.0.</white_list></global>", "1: '10.0.0.' is not an IP address or network"),
    ("<global><white_list>10.0.0.1, 10.0.0.2</white_list></global>", "1: '10.0.0.1, 10.0.0.2' is not an IP address"),
    ("<global><white_list>!web</white_list></global>", "1: `!web` would protect every host name"),
    ("<global><whitelist>10.0.0.1</whitelist></global>", "1: <whitelist> is nothing that is known; was <white_list>"),
    ("<global><white-list>10.0.0.1</white-list></global>", "1: <white-list> is nothing that is known; was"),
    ("<global><white_list/></global>", "1: <white_list> holds one address"),
    (block("<name>a</name>") + "\n" + block("<name>a</name>", rules="1"), "2: a second response is called `a`"),
    ('<group name="x"><rule id="1" level="1"/></group>', "1: <group> belongs to a file of rules"),
]


@pytest.mark.parametrize(("text", "expected"), ERRORS, ids=[expected[:60] for _, expected in ERRORS])
def test_what_is_not_understood_is_an_error_with_its_line(conf, text: str, expected: str):
    """Nothing inside of our sections is passed over in silence."""
    assert refused(conf(text)).startswith(expected)


def test_every_error_of_a_file_is_found_at_once(conf):
    """What is wrong with one section hides nothing of the others, and what is right is still read."""
    configuration, errors = examine(conf(f"<active-response/>\n{block()}\n<command/>\n{block(location='x')}\n"))
    assert [error.line for error in errors] == [1, 3, 4]
    assert len(configuration.responses) == 1


WARNINGS = [
    (block("<agent_id>web1</agent_id>"), "1: <agent_id> is ignored"),
    (block("<repeated_offenders>30</repeated_offenders>"), "1: without a <timeout> the first block has no end"),
    (
        block("<timeout>600</timeout>", "<repeated_offenders>5,30</repeated_offenders>"),
        "1: a later offence is blocked for a shorter time",
    ),
    (
        "<command><name>x</name><executable>pf</executable><timeout_allowed>no</timeout_allowed></command>"
        + block("<timeout>600</timeout>", command="x"),
        "1: <timeout> is ignored: command `x` has <timeout_allowed>no",
    ),
    (
        "<command><name>x</name><executable>firewall-drop.sh</executable></command>" + block(command="x"),
        "1: `firewall-drop.sh` is looked for in the agents' script folder",
    ),
    (block("<timeout>5</timeout>") + "\n" + block("<timeout>9</timeout>"), "2: does the same as the one at"),
    ("<global><white_list>0.0.0.0/0</white_list></global>", "1: 0.0.0.0/0 protects everything"),
    (
        "<global><white_list>^dns.example$</white_list></global>",
        "1: `^dns.example$`: protects a source that a log names",
    ),
    ("<active-response><disabled>yes</disabled></active-response>", "1: skipped: these are settings of Wazuh's agents"),
]


@pytest.mark.parametrize(("text", "expected"), WARNINGS, ids=[expected[:60] for _, expected in WARNINGS])
def test_what_does_not_mean_what_it_seems_to_is_a_warning(conf, text: str, expected: str):
    """A trap is pointed out, and the file is still honoured."""
    assert any(message.startswith(expected) for message in messages(conf(text)))


def test_of_two_that_just_happen_no_timeout_wins(conf):
    """Of two equal messages only one is sent, and nothing is said of a time that neither has."""
    text = block(command="wazuh-slack") + "\n" + block(command="wazuh-slack")
    (said,) = messages(conf(text))
    assert said.startswith("2: does the same as the one at ")
    assert "timeout" not in said
