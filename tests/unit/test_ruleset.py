"""Rule and decoder files: how several become one ruleset, and what is said about one that can't be read."""

import ast
import re
from pathlib import Path

import pytest

import manager
from manager.correlation import load, shipped
from shared.errors import RuleFileError
from tests.unit.a_ruleset import fired, ids, line, rules

RULE = '<rule id="100" level="5">{}<description>d</description></rule>'
COUNTING = '<rule id="100" level="5" frequency="3" timeframe="9">{}<description>d</description></rule>'
DECODER = '<decoder name="d">{}</decoder>'


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        (RULE.format("\n<list field='srcip'>etc/lists/x</list>"), 2, "<list> in a rule isn't supported"),
        (RULE.format("\n\n<match_all/>"), 3, "<match_all> in a rule isn't supported"),
        (RULE.format("<same_location />"), 1, "<same_location> in a rule isn't supported"),
        (
            RULE.format("\n<descripton>d</descripton>"),
            2,
            "<descripton> in a rule isn't supported; was `description` meant?",
        ),
        ('<rule id="100" level="5" frequncy="3"/>', 1, "`frequncy` of <rule> isn't supported; was `frequency` meant?"),
        ('<rule id="100" level="5" accuracy="0"/>', 1, "attribute `accuracy` of <rule> isn't supported"),
        ('<rule id="x" level="5"/>', 1, "a rule's id is a number, not `x`"),
        ('<rule id="100"/>', 1, "<rule> has no `level`"),
        ('<rule id="100" level="17"/>', 1, "`level` is a whole number from 0 to 16, not `17`"),
        ('<rule id="100" level="-1"/>', 1, "`level` is a whole number"),
        ('<rule id="100" level="5" noalert="maybe"/>', 1, "`noalert` is yes or no, not `maybe`"),
        ('<rule id="100" level="5" ignore_scope="host"/>', 1, "`ignore_scope` is key or rule, not `host`"),
        (RULE.format("\n<match></match>"), 2, "<match> is empty and would match everything"),
        (RULE.format("\n<match type='glob'>x</match>"), 2, "type `glob` isn't known"),
        (RULE.format("\n<regex>(a(b))</regex>"), 2, "<regex> `(a(b))`: parentheses must be balanced and not nested"),
        (RULE.format("\n<regex type='pcre2'>(a</regex>"), 2, "<regex> `(a`: isn't supported as PCRE2"),
        (RULE.format("<field>x</field>"), 1, "<field> has no `name`"),
        (RULE.format("<srcip>example.net</srcip>"), 1, "<srcip> holds addresses and networks, not `example.net`"),
        (RULE.format("<options>quiet</options>"), 1, "option `quiet` isn't supported"),
        (RULE.format("<if_level>x</if_level>"), 1, "<if_level> is a level from 1 to 16"),
        (
            RULE.format("<if_level>3</if_level>\n<if_level>4</if_level>"),
            2,
            "a second <if_level>; the first is in line 1",
        ),
        (RULE.format("<if_sid>99</if_sid>"), 1, "rule 100 refers to rule 99, which doesn't exist"),
        (RULE.format("<if_sid>100</if_sid>"), 1, "rule 100 is placed under itself"),
        (RULE.format("<if_matched_sid>100</if_matched_sid>"), 1, "counts other rules but has no `frequency`"),
        (RULE.format("<same_source_ip/>"), 1, "compares fields (same_, different_) but has no `frequency`"),
        (COUNTING.format(""), 1, "has a `frequency` but neither <if_matched_sid> nor <if_matched_group>"),
        (COUNTING.format("<if_matched_sid>99</if_matched_sid>"), 1, "refers to rule 99, which doesn't exist"),
        (
            COUNTING.format("<if_matched_sid>1</if_matched_sid><if_matched_group>g</if_matched_group>"),
            1,
            "has both <if_matched_sid> and <if_matched_group>",
        ),
        (COUNTING.replace(' timeframe="9"', "").format(""), 1, "has a `frequency` but no `timeframe`"),
        (COUNTING.format("<same_field/>"), 1, "<same_field> names no field"),
        (
            '<rule id="100" level="5" frequency="3" timeframe="9" overwrite="yes"/>',
            1,
            "overwrites nothing and names nothing to count",
        ),
        ("<group name='g'>\n<decoder name='d'/></group>", 2, "<decoder> in a group isn't supported"),
        ("\n<rules/>", 2, "<rules> isn't supported here"),
        ("<var>x</var>", 1, "<var> has no `name`"),
        ("<decoder><program_name>p</program_name></decoder>", 1, "<decoder> has no `name`"),
        (DECODER.format(""), 1, "needs <parent>, <program_name> or <prematch>"),
        (DECODER.format("\n<plugin_decoder>JSON_Decoder</plugin_decoder>"), 2, "<plugin_decoder> in a decoder isn't"),
        (DECODER.format("<parent>nobody</parent>"), 1, "parent decoder `nobody` doesn't exist"),
        (DECODER.format("<prematch>x</prematch><regex>(a)</regex>"), 1, "needs both <regex> and <order>, or neither"),
        (DECODER.format("<prematch>x</prematch><regex>a</regex><order>id</order>"), 1, "has no parentheses"),
        (DECODER.format("\n<prematch offset='after_regex'>x</prematch>"), 2, "offset `after_regex` of <prematch>"),
        ("<group name='g'>\n<rule id='1' level='1'>\n<group>", 3, "`<group>` opens"),
        ("<!DOCTYPE x [<!ENTITY y 'z'>]>", 1, "a DOCTYPE or ENTITY isn't allowed"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, where, says):
    """Whatever a file has that is wrong or isn't supported is said with file and line; nothing is skipped."""
    with pytest.raises(RuleFileError) as wrong:
        rules(tmp_path, text, shipped_too=False)
    assert wrong.value.where() == f"{tmp_path}/0.xml:{where}"
    assert says in wrong.value.message


def test_a_file_that_is_not_there_is_named(tmp_path):
    """A path that can't be read, and a folder without rules, are errors that name it."""
    with pytest.raises(RuleFileError, match=r"nowhere\.xml: can.t be read"):
        load([tmp_path / "nowhere.xml"])
    with pytest.raises(RuleFileError, match="holds no"):
        load([tmp_path])


def test_files_are_read_in_the_order_given_and_folders_by_name(tmp_path):
    """Later files override earlier ones; inside a folder the order is that of the names."""
    folder = tmp_path / "rules"
    folder.mkdir()
    text = '<rule id="100" level="{}" overwrite="yes"><match>x</match><description>d</description></rule>'
    (folder / "b.xml").write_text(text.format(3))
    (folder / "a.xml").write_text(text.format(2))
    (folder / "notes.txt").write_text("not a rule")
    last = tmp_path / "0.xml"
    last.write_text(text.format(4))
    assert load([folder]).rules["100"].level == 3
    assert load([folder, last]).rules["100"].level == 4
    assert load([last, folder]).rules["100"].level == 3


def test_variables_are_filled_in(tmp_path):
    """`<var>` holds for its file, the longer name first; `$(field)` is left to the description."""
    text = '<var name="BAD">worse</var><var name="BADDEST">worst</var>'
    text += RULE.replace("<description>d", "<description>$(srcip) $BAD").format("<match>$BAD|$BADDEST</match>")
    rule = rules(tmp_path, text, shipped_too=False).rules["100"]
    assert (rule.match.source, rule.description) == ("worse|worst", "$(srcip) worse")


def test_several_elements_of_one_name_are_one_pattern(tmp_path):
    """Two `<match>` are read one after the other, as one long one."""
    ruleset = rules(tmp_path, RULE.format("<match>one|</match><match>two</match>"), shipped_too=False)
    assert ids(fired(ruleset, [line("says two"), line("says one"), line("says three")])) == ["100", "100"]


def test_spaces_in_a_match_count(tmp_path):
    """A `<match>` is taken as it stands between its tags."""
    ruleset = rules(tmp_path, RULE.format("<match> a </match>"), shipped_too=False)
    assert ids(fired(ruleset, [line("an a here"), line("a")])) == ["100"]


def test_a_group_reaches_what_comes_before(tmp_path):
    """`if_group` and `if_level` place a rule under all rules of that group or level that come earlier in the files."""
    text = '<group name="first,">' + RULE.replace('"100"', '"99"').format("<match>x</match>") + "</group>"
    below = '<rule id="{}" level="{}"><{}>{}</{}><match>y</match><description>d</description></rule>'
    text += below.format(101, 7, "if_group", "first", "if_group") + below.format(102, 6, "if_level", "5", "if_level")
    assert rules(tmp_path, text, shipped_too=False).children == {"": ("99",), "99": ("101", "102"), "101": ("102",)}


def test_the_engine_knows_no_rule_and_no_program():
    """No rule's number and nothing that a program logs is in the code, but in what explains it: the files say all."""
    ruleset = load([shipped()])
    said = "sshd|pam_|failed password|invalid user|authentication failure|disconnected|accepted "
    known = re.compile(rf"\b(?:{'|'.join(ruleset.rules)})\b|\b(?:55|57|311)\d\d\b|{said}", re.IGNORECASE)
    for path in Path(manager.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        explaining = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node not in explaining:
                assert not known.search(str(node.value)), f"{path}:{node.lineno}: {node.value!r}"
