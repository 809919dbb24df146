"""Settings come from a file and from variables, typed; what is wrong is named where a person can mend it."""

import traceback
from pathlib import Path
from typing import get_type_hints

import pytest

from shared.errors import SettingsError
from shared.settings import AgentSettings, FollowedLog, ManagerSettings, listen_address, load

AGENT = """
[broker]
urls = ["amqp://a:b@one/", "amqp://a:b@two/"]
queue_type = "quorum"

[agent]
id = "web1"
roles = ["server"]
allow = ["192.0.2.0/24"]
labels = { site = "a" }

[[agent.logs]]
path = "/var/log/auth.log"

[[agent.logs]]
path = "/var/log/nginx/access.log"
from_start = true

[metrics]
listen = ""
"""


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "agent.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_without_a_file_and_variables_there_are_defaults() -> None:
    """Both daemons start against a broker on this machine, with nothing set."""
    for kind in (AgentSettings, ManagerSettings):
        assert load(kind, None, {}).broker.urls == ("amqp://guest:guest@127.0.0.1:5672/",)


def test_a_file_is_read_into_types(file) -> None:
    """Lists, tables and flags are what the sections say."""
    settings = load(AgentSettings, file(AGENT), {})
    assert settings.broker.urls == ("amqp://a:b@one/", "amqp://a:b@two/")
    assert settings.broker.queue_type == "quorum"
    assert (settings.agent.id, settings.agent.roles, settings.agent.labels) == ("web1", ("server",), {"site": "a"})
    assert settings.agent.logs == (
        FollowedLog(path="/var/log/auth.log"),
        FollowedLog(path="/var/log/nginx/access.log", from_start=True),
    )
    assert settings.metrics.listen == ""


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("THWART_AGENT_ID", "web2", "agent", "id", "web2"),
        ("THWART_AGENT_ID", "007", "agent", "id", "007"),
        ("THWART_AGENT_STATE_DIR", "/x,y", "agent", "state_dir", "/x,y"),
        ("THWART_AGENT_ROLES", "", "agent", "roles", ()),
        ("THWART_AGENT_ALLOW", "10.0.0.1, 2001:db8::/32,", "agent", "allow", ("10.0.0.1", "2001:db8::/32")),
        ("THWART_AGENT_ALLOW", '["10.0.0.1"]', "agent", "allow", ("10.0.0.1",)),
        ("THWART_AGENT_LABELS", '{"site": "b"}', "agent", "labels", {"site": "b"}),
        ("THWART_AGENT_LABELS", '{"site": "b=c"}', "agent", "labels", {"site": "b=c"}),
        ("THWART_AGENT_LABELS", "site=b, role=web=1", "agent", "labels", {"site": "b", "role": "web=1"}),
        ("THWART_AGENT_LABELS", "service=agent,host=", "agent", "labels", {"service": "agent"}),
        ("THWART_AGENT_LABELS", "", "agent", "labels", {}),
        ("THWART_AGENT_LOGS", '[{"path": "/x"}]', "agent", "logs", (FollowedLog(path="/x"),)),
        ("THWART_BROKER_URLS", "amqp://one/,amqp://two/", "broker", "urls", ("amqp://one/", "amqp://two/")),
        ("THWART_LOG_LEVEL", "debug", "log", "level", "debug"),
    ],
)
def test_a_variable_overrides_the_file(file, variable: str, text: str, section: str, key: str, value: object) -> None:
    """Text is text, lists may be parted by commas, everything else is JSON."""
    settings = load(AgentSettings, file(AGENT), {variable: text})
    assert getattr(getattr(settings, section), key) == value
    assert settings.broker.queue_type == "quorum", "the rest of the file still holds"


def test_numbers_come_from_variables_too() -> None:
    """A number is JSON like any other value that is no text."""
    assert load(ManagerSettings, None, {"THWART_MANAGER_ANSWER_WITHIN": "2.5"}).manager.answer_within == 2.5
    assert load(ManagerSettings, None, {"THWART_MANAGER_RETENTION": "86400"}).manager.retention == 86_400


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[agent]\nidd = 'web1'\n", ["agent.toml", "agent", "`idd`"]),
        ("[agent]\nid = 5\n", ["agent.toml", "agent.id", "`int`"]),
        ("[agent]\nid = 'web.1'\n", ["agent.toml", "agent.id: an id has letters, digits, - and _, no dot"]),
        ("[log]\nlevel = 'loud'\n", ["agent.toml", "log.level: write debug, info, warning or error"]),
        ("[agent]\nlogs = ['/var/log/auth.log']\n", ["agent.toml", "agent.logs[0]", "`object`"]),
        ("[[agent.logs]]\npaths = 'x'\n", ["agent.toml", "agent.logs[0]", "`path"]),
        ("[[agent.logs]]\npath = ''\n", ["agent.toml", "agent.logs[0].path"]),
        ("[broker]\nurls = []\n", ["agent.toml", "broker.urls"]),
        ("[broker]\nqueue_type = 'stream'\n", ["agent.toml", "broker.queue_type", "stream", "write classic or quorum"]),
        ("[agent]\non_stop = 'stop'\n", ["agent.toml", "agent.on_stop", "'stop'", "write keep or lift"]),
        ("broker = 5\n", ["agent.toml", "broker"]),
        ("[brokr]\nurls = ['amqp://one/']\n", ["agent.toml", "`brokr`"]),
        ("[agent\n", ["agent.toml", "not TOML"]),
        (b"\xff", ["agent.toml", "not TOML"]),
    ],
    ids=repr,
)
def test_what_is_wrong_in_the_file_is_named_with_file_and_key(file, text: str | bytes, named: list[str]) -> None:
    """Unknown keys and sections, wrong types and values: the error says which file and which key."""
    for environment in ({}, {"THWART_BROKER_CA_FILE": "/ca.pem"}):
        with pytest.raises(SettingsError) as raised:
            load(AgentSettings, file(text), environment)
        assert all(word in str(raised.value) for word in named), str(raised.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("THWART_AGENT_ID", "web.1"),
        ("THWART_AGENT_ID", ""),
        ("THWART_AGENT_LABELS", "site"),
        ("THWART_AGENT_LABELS", "site=a,=b"),
        ("THWART_AGENT_LOGS", "path=/var/log/auth.log"),
        ("THWART_AGENT_LABELS", "[]"),
        ("THWART_AGENT_LOGS", '[{"path": 5}]'),
        ("THWART_AGENT_LOGS", "/var/log/auth.log"),
        ("THWART_BROKER_URLS", ""),
        ("THWART_BROKER_QUEUE_TYPE", "stream"),
        ("THWART_LOG_LEVEL", "5"),
    ],
)
def test_what_is_wrong_in_a_variable_is_named_with_the_variable(file, variable: str, text: str) -> None:
    """The error names the variable, not the file that it overrode."""
    with pytest.raises(SettingsError, match=variable) as raised:
        load(AgentSettings, file(AGENT), {variable: text})
    assert "agent.toml" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "urls"),
    [
        ("amqp://a:p@one/", ("amqp://a:p@one/",)),
        ("amqp://a:p@one/\n", ("amqp://a:p@one/",)),
        ("amqp://a:p@one/,amqp://a:p@two/\r\n", ("amqp://a:p@one/", "amqp://a:p@two/")),
        ("amqp://a:p@one/\r\namqp://a:p@two/\n\n", ("amqp://a:p@one/", "amqp://a:p@two/")),
    ],
)
def test_a_setting_may_be_in_a_file_that_a_variable_names(file, tmp_path, content: str, urls: tuple[str, ...]) -> None:
    """As orchestrators hand secrets over; over what the settings' own file says, and without the newline at its end."""
    secret = tmp_path / "urls"
    secret.write_text(content)
    assert load(AgentSettings, file(AGENT), {"THWART_BROKER_URLS_FILE": str(secret)}).broker.urls == urls


def test_of_a_file_one_newline_is_cut_and_nothing_else(tmp_path) -> None:
    """A text may begin or end with a blank, and with another newline, if somebody wants that."""
    (tmp_path / "dir").write_text(" x \n\n")
    found = load(AgentSettings, None, {"THWART_AGENT_STATE_DIR_FILE": str(tmp_path / "dir")})
    assert found.agent.state_dir == " x \n"
    (tmp_path / "dir").write_bytes(b"x\r\r\n")
    assert load(AgentSettings, None, {"THWART_AGENT_STATE_DIR_FILE": str(tmp_path / "dir")}).agent.state_dir == "x\r"


@pytest.mark.parametrize("kind", [AgentSettings, ManagerSettings])
def test_no_variable_means_two_things(kind) -> None:
    """A setting whose name is another's with `_file` behind it would be one."""
    for holder in get_type_hints(kind).values():
        names = set(holder.__struct_fields__)
        assert not {name for name in names if f"{name}_file" in names}


SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    ("variable", "content", "said"),
    [
        ("THWART_BROKER_QUEUE_TYPE", f'"{SECRET}"', "write classic or quorum"),
        ("THWART_MANAGER_ANSWER_WITHIN", SECRET, "neither text for this setting nor JSON"),
        ("THWART_MANAGER_ANSWER_WITHIN", f'"{SECRET}"', "Expected `float`"),
        ("THWART_BROKER_URLS", f'{{"{SECRET}": 1}}', "Expected `array`"),
        ("THWART_BROKER_URLS", "[]\n", "length >= 1"),
        ("THWART_BROKER_URLS", SECRET.encode() + b"\xff", "is not UTF-8 text"),
        ("THWART_BROKER_URLS", SECRET * 5_000, "is longer than 64 KiB; is it the right file?"),
    ],
    ids=range(7),
)
def test_what_is_in_a_file_is_in_no_error(tmp_path, variable: str, content: str | bytes, said: str) -> None:
    """The variable is named, and what is wrong; errors go to logs, and the file is there to keep a secret."""
    path = tmp_path / "secret"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError) as raised:
        load(ManagerSettings, None, {f"{variable}_FILE": str(path)})
    assert said in str(raised.value)
    assert f"{variable}_FILE: " in str(raised.value)
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "content",
    [
        f'[{{"path": "/x", "{SECRET}": 1}}]',
        f'[{{"path": "/x", "{SECRET}\\nand": 1}}]',
        f'[{{"path": "/x", "from_start": "{SECRET}"}}]',
    ],
)
def test_nor_is_a_key_of_it(tmp_path, content: str) -> None:
    """A structure's keys come out of the file too."""
    (tmp_path / "logs").write_text(content)
    with pytest.raises(SettingsError, match="THWART_AGENT_LOGS_FILE: ") as raised:
        load(AgentSettings, None, {"THWART_AGENT_LOGS_FILE": str(tmp_path / "logs")})
    assert "hunter2" not in str(raised.value)


def test_a_file_that_can_not_be_read_is_named_with_its_variable(tmp_path) -> None:
    """One that isn't there, a folder, a name that is none."""
    for name, why in ((tmp_path / "nowhere", "No such file"), (tmp_path, "Is a directory"), ("", "Is a directory")):
        with pytest.raises(SettingsError, match=rf"THWART_BROKER_URLS_FILE: .*{why}.*; who runs this must read it"):
            load(AgentSettings, None, {"THWART_BROKER_URLS_FILE": str(name)})


def test_a_setting_is_not_given_twice(tmp_path) -> None:
    """Which of the two was meant can't be known."""
    (tmp_path / "id").write_text("web1")
    both = {"THWART_AGENT_ID": "web2", "THWART_AGENT_ID_FILE": str(tmp_path / "id")}
    with pytest.raises(SettingsError, match="THWART_AGENT_ID and THWART_AGENT_ID_FILE are both set"):
        load(AgentSettings, None, both)


def test_variables_of_others_are_let_be() -> None:
    """An orchestrator may set what looks like ours: only names of settings are read."""
    load(AgentSettings, None, {"THWART_BROKER_SERVICE_HOST": "10.0.0.1", "THWART_AGENT": "x", "PATH": "/bin"})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And so is what to do about it."""
    with pytest.raises(SettingsError, match=r"nowhere\.toml: No such file or directory; name the file with --config"):
        load(AgentSettings, tmp_path / "nowhere.toml", {})


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9460", ("127.0.0.1", 9460)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65_535))],
)
def test_a_listen_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    """IPv6 is in brackets; port 0 takes any."""
    assert listen_address(text, "api.listen") == address


@pytest.mark.parametrize("text", ["", "9460", ":9460", "host:", "host:65536", "host:-1", "host:http", "host:९"])
def test_what_is_no_listen_address_is_named_with_its_key(text: str) -> None:
    """The error names the key and shows one that is right."""
    with pytest.raises(SettingsError, match=r"api\.listen: .* is not HOST:PORT, such as 127\.0\.0\.1:9460"):
        listen_address(text, "api.listen")
