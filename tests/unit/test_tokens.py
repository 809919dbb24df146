"""Tokens: made once, for their owner alone; who has one is known by name, and nobody else by anything."""

import stat

import pytest
from structlog.testing import capture_logs

from manager.api import tokens
from shared.errors import SettingsError

LONG = "0123456789abcdef"


def test_a_token_is_made_once_and_for_its_owner_alone(tmp_path):
    """The file can be read by its owner only, a second start keeps it, and nothing else is left in the folder."""
    file = tmp_path / "api.token"
    tokens.make(file)
    made = file.read_text()
    tokens.make(file)
    assert file.read_text() == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["api.token"]
    assert tokens.load(file).name_of(tokens.first(file)) == tokens.OWNER


def test_each_token_has_its_owners_name(tmp_path):
    """`name token` a line; comments and empty lines say nothing, a token alone is the operator's."""
    file = tmp_path / "tokens"
    file.write_text(f"# people\n\nann {LONG}-ann\nnight shift {LONG}-night\n{LONG}\n")
    file.chmod(0o600)
    known = tokens.load(file)
    named = {name: known.name_of(f"{LONG}{end}") for name, end in (("a", "-ann"), ("n", "-night"), ("", ""))}
    assert named == {"a": "ann", "n": "night shift", "": tokens.OWNER}
    for wrong in ("", LONG[:-1], f"{LONG}-", "ann", "ümlaut"):
        assert known.name_of(wrong) is None


def test_white_space_of_any_kind_parts_name_and_token(tmp_path):
    """A token after a tab is the same one to the manager and to its clients."""
    file = tmp_path / "tokens"
    file.write_text(f"ann\t{LONG}\n")
    assert tokens.load(file).name_of(tokens.first(file)) == "ann"


def test_a_file_that_others_can_read_is_warned_of(tmp_path):
    """It is used, and the log says what to do."""
    file = tmp_path / "tokens"
    file.write_text(f"ann {LONG}\n")
    file.chmod(0o644)
    with capture_logs() as logs:
        tokens.load(file)
    assert "chmod 600" in logs[0]["event"]


@pytest.mark.parametrize("text", ["", "# nobody\n", "ann short\n", "ann 0123456789abcdef\xc3\xa9\n", "\xff"])
def test_a_file_without_a_good_token_is_an_error_that_names_it(tmp_path, text):
    """No token, one that could be guessed, or no text at all."""
    file = tmp_path / "tokens"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=str(file)):
        tokens.load(file)
