"""The loose XML of Wazuh's files is read with true line numbers, and nothing in it reaches beyond the file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.xml import MAX_BYTES, parse_elements, read_elements
from shared.errors import ConfigurationError, RuleFileError

PATH = Path("ossec.conf")


def read(text: str) -> list:
    return parse_elements(text, PATH)


def wrong(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return str(caught.value)


def test_several_roots_are_read_in_order():
    """A file may have any number of roots, and text between them is ignored."""
    roots = read("<a>1</a>\n # a remark\n<b/>\n\n<a>2</a>\n")
    assert [(root.name, root.value, root.line) for root in roots] == [("a", "1", 1), ("b", "", 3), ("a", "2", 5)]


def test_an_empty_file_holds_nothing():
    """No elements is no error here."""
    assert read("") == read("\n<!-- nothing -->\n") == []


def test_lines_are_those_of_the_file():
    """What is made harmless beforehand moves nothing to another line."""
    text = '<?xml version="1.0"?>\n<!-- a -- b\n of two lines -->\n<a x="1"\n   y="2">\n  <b>&\\<</b>\n</a>\n<c/>'
    (first, last) = read(text)
    assert (first.children[0].line, last.line) == (6, 8)
    assert first.children[0].where() == "ossec.conf:6"
    assert first.attributes == {"x": "1", "y": "2"}


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path):
    """A file that went through a Windows editor reads the same."""
    path = tmp_path / "ossec.conf"
    path.write_bytes(b"\xef\xbb\xbf<a>\r\n<b>1</b>\r\n</a>\r\n")
    (root,) = read_elements(path)
    assert (root.named("b")[0].line, root.named("b")[0].value) == (2, "1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"<a>^\<script></a>", "^<script>"),
        (r"<a>\\\<b</a>", r"\\<b"),
        ("<a>a & b &amp; c &lt; &#65;</a>", "a & b & c < A"),
        ("<a>a &nosuch; b</a>", "a &nosuch; b"),
        ("<a>57<!-- not -- 58 -->12</a>", "5712"),
        ("<a><![CDATA[x < y]]></a>", "x < y"),
        ("<a>  spaces  </a>", "  spaces  "),
    ],
)
def test_loose_text_is_read_as_it_is_meant(text: str, expected: str):
    r"""`\<`, a bare `&`, an unknown entity and comments inside of text mean what their author meant."""
    assert read(text)[0].text == expected


def test_a_declaration_in_the_middle_is_ignored():
    """Files that were pasted together have several declarations."""
    assert [each.name for each in read('<a/>\n<?xml version="1.0" encoding="UTF-8"?>\n<b/>')] == ["a", "b"]


def test_text_after_a_child_is_not_the_elements_own():
    """Remarks between options are no part of any option."""
    (block,) = read("<a> # one\n<b>1</b> # two (a, b)\n<c>2</c> # three\n</a>")
    assert [(each.name, each.value) for each in block.children] == [("b", "1"), ("c", "2")]


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY a0 "ha"><!ENTITY a1 "&a0;&a0;&a0;&a0;&a0;&a0;&a0;&a0;">]>\n<a>&a1;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/evil.dtd">\n<a/>',
        "<!doctype a>\n<a/>",
        "<! DOCTYPE a>\n<a/>",
        '<a/>\n<!ENTITY x "y">',
    ],
)
def test_external_entities_and_billion_laughs_are_refused(doctype: str):
    """Whatever could make an entity ends before it is parsed, and the error names the line."""
    line = 2 if doctype.startswith("<a/>") else 1
    assert wrong("\n" + doctype).startswith(f"ossec.conf:{line + 1}: a DOCTYPE or ENTITY isn't allowed")


def test_a_doctype_in_a_comment_is_a_comment():
    """A commented-out DOCTYPE does nothing and is no error."""
    assert read("<!-- <!DOCTYPE a> -->\n<a/>")[0].line == 2


def test_an_entity_that_nothing_declares_stays_text():
    """The names of entities reach nobody: they are text."""
    assert read("<a>&xxe;</a>")[0].text == "&xxe;"


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("<r>\n<a>\n<b>1</b>\n<a>\n<a>\n<b>2</b>\n</a>\n</r>", 4, "was `</a>` meant?"),
        ("<a>\n<b>1\n</a>", 3, "`<b>` opens in line 2 and doesn't close"),
        ("<a>\n</a>\n</b>", 3, "`</b>` closes nothing that is open"),
        ("<a>\n<b>\n</b>\n", 1, "`<a>` opens here and never closes"),
        ("<a/>\n<!-- open\n<b/>", 2, "never closes"),
        ("<a>\n<b x=1/>\n</a>", 2, "isn't well-formed"),
    ],
)
def test_what_is_broken_is_named_with_its_line(text: str, where: int, hint: str):
    """An error says where and what was probably meant."""
    message = wrong(text)
    assert message.startswith(f"ossec.conf:{where}: ")
    assert hint in message


def test_an_error_never_shows_what_the_reader_put_around_the_file():
    """The synthetic root is nobody's business."""
    for text in ("</thwart-root>", "<a>", "<a", "<", "<a></b>"):
        assert "<thwart-root" not in wrong(text)


def test_a_file_of_text_alone_is_the_wrong_file(tmp_path):
    """A list of addresses given as a rule file is refused, and not read as no rules; remarks alone are no text."""
    path = tmp_path / "list.xml"
    path.write_text("<!-- nothing yet -->\n")
    assert read_elements(path) == []
    path.write_text("203.0.113.9\n")
    with pytest.raises(ConfigurationError, match="is it the right file"):
        read_elements(path)


def test_what_cannot_be_read_names_the_file(tmp_path):
    """A file that isn't there, too large or in another encoding is an error of the caller's kind."""
    with pytest.raises(RuleFileError, match="can't be read: No such file"):
        read_elements(tmp_path / "none.xml", RuleFileError)
    latin = tmp_path / "latin.xml"
    latin.write_bytes("<a>\né</a>".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"latin\.xml:2: is not UTF-8"):
        read_elements(latin)
    large = tmp_path / "large.xml"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ConfigurationError, match="is larger than 16 MiB"):
        read_elements(large)


@given(
    st.lists(
        st.sampled_from(
            [
                "<a>",
                "</a>",
                "<b x='1'>",
                "</b>",
                "<c/>",
                "&",
                "\\<",
                "<!--",
                "-->",
                "\n",
                "x",
                "\0",
                "<",
                "]]>",
                "<?",
                "?>",
                "é",
            ]
        )
    )
)
def test_whatever_is_in_a_file_it_is_read_or_refused(pieces: list[str]):
    """Nothing but elements or a ConfigurationError with a line of the file ever comes out."""
    text = "".join(pieces)
    try:
        lines = [each.line for each in read(text)]
    except ConfigurationError as refused:
        lines = [refused.line]
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
