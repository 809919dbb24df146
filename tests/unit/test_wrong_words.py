"""What can't be meant is wrong usage, before any manager is asked: the sentence says what to do, the exit code is 2."""

import pytest
from click.testing import CliRunner

from manager.cli import main

WRONG = (
    (("agents", "remove", ""), "'' is no id; `thwart agents` lists them"),
    (("orders", "show", "a/b"), "'a/b' is no id; `thwart orders` lists them"),
    (("blocks", "show", "203.0.113.999"), "is not an IP address"),
    (("blocks", "--target", "two\nlines"), "one line of at most 255"),
    (("allow", "add", "nowhere"), "'nowhere' is not an IP address or network"),
    (("allow", "add", "192.0.2.1", "--for", "soon"), "write 90, 90s, 10m"),
    (("block", "192.0.2.1", "--for", "soon"), "write forever for a block that stays"),
    (("block",), "give one ADDRESS, or --file FILE"),
    (("block", "192.0.2.1", "--file", "-"), "give one ADDRESS, or --file FILE"),
    (("block", "--file", "/nowhere"), "No such file"),
    (("block", "192.0.2.1", "--request-id", "x"), "8 to 64 letters"),
    (("block", "192.0.2.1", "--skip-bad"), "--skip-bad is for --file FILE"),
    (("unblock", "192.0.2.1", "--skip-bad"), "--skip-bad is for --file FILE"),
    (("unblock", "--everything", "--skip-bad"), "--skip-bad is for --file FILE"),
    (("unblock", "--everything", "--request-id", "list-of-today"), "--request-id is for one TARGET or --file"),
    (("unblock", "192.0.2.1", "--keep", "0"), "0 is no time"),
    (("unblock", "--everything", "--keep", "1h"), "--keep is for one address"),
    (("unblock", "alice", "--keep", "1h"), "'alice' is not an IP address or network"),
    (("unblock", "203.0.113"), "'203.0.113' is not an IP address or network"),
    (("unblock", "--everything", "--file", "/dev/null"), "give one TARGET"),
    (("unblock",), "give one TARGET, or --file FILE, or --everything"),
    (("block", "alice"), "names aren't looked up"),
    (("order", "host-deny", "192.0.2.1"), "say where: --agent ID, --server or --all"),
    (("order", "host-deny", "192.0.2.1", "--all", "--server"), "give one place"),
    (("order", "host-deny", "--all"), "host-deny acts on an address or network: name one"),
    (("order", "host-deny", "web1.example.com", "--all"), "names aren't looked up"),
    (("order", "host-deny", "192.0.2.1", "--all", "--for", "soon"), "write 90, 90s, 10m"),
    (("order", "disable-account", "--all"), "disable-account acts on an account: name one"),
    (("order", "disable-account", "; rm -rf /", "--all"), "'; rm -rf /' is not an account's name"),
    (("order", "restart-wazuh", "web1", "--all"), "restart-wazuh acts on nothing: leave 'web1' out"),
    (("order", "restart-wazuh", "--all", "--for", "1h"), "just happens and has no end"),
    (("order", "../deny.sh", "--all"), "'../deny.sh' is no action"),
    (("order", "deny.sh", "x", "--all", "--argument", "two\nlines"), "is more than a line"),
    (("blok", "192.0.2.1"), "Did you mean block"),
    (("offenders", "shw", "192.0.2.1"), "Did you mean 'show'?"),
)


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_words_are_answered_with_what_to_do(words, sentence):
    """A wrong id, address, flag, file or command, each with its own sentence on standard error."""
    done = CliRunner().invoke(main, list(words), prog_name="thwart", standalone_mode=True)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr


@pytest.mark.parametrize("noun", ["agents", "allow", "blocks", "offenders", "orders"])
@pytest.mark.parametrize("words", [[], ["-o", "json"]])
def test_a_noun_alone_means_its_list(noun, words):
    """With options or without: what everybody types. Here nobody answers, which only `list` finds out."""
    nobody = {"THWART_API_URL": "http://127.0.0.1:1", "THWART_API_TOKEN_FILE": "/nowhere"}
    done = CliRunner().invoke(main, [noun, *words], prog_name="thwart", env=nobody)
    assert done.exit_code == 2
    assert "the API's token can't be read from /nowhere" in done.stderr
