"""A bundle for whoever helps holds what it says, for its owner alone, and no secret."""

import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.schema import SCHEMA as JOURNAL
from manager.ledger.schema import SCHEMA as LEDGER
from shared.redaction import Redactor
from shared.store import Store

HERE = Path(sys.executable).parent
PLANTED = [f"Pl4nted{number}Zq" for number in range(20)]

MANAGER = f"""
# password: {PLANTED[4]}
[broker]
urls = [
  "amqp://thwart:{PLANTED[0]}@broker:5672/",
  "amqps://thwart:{PLANTED[1]},x/@broker2:5671/v?token={PLANTED[5]}",
]
[manager]
state_dir = "{{state}}"
ossec_conf = "{{folder}}/ossec.conf"
"""
AGENT = f"""
[broker]
urls = ["amqp://web1:{PLANTED[0]}@broker:5672/"]
[agent]
state_dir = "{{state}}"
scripts = "{{folder}}/scripts"
[agent.labels]
site = "berlin"
api_key = "{PLANTED[6]}"
"""
OSSEC_CONF = f"""
<ossec_config>
  <!-- the old password was {PLANTED[7]}
       on two lines -->
  <command>
    <name>notify</name><executable>notify</executable>
    <extra_args>--to ops --token {PLANTED[8]}
      -k {PLANTED[9]} https://u:{PLANTED[2]}@hook.example/</extra_args>
  </command>
  <integration><hook_url>https://u:{PLANTED[3]}@x/</hook_url><api_key>{PLANTED[10]}</api_key></integration>
  <auth use_password="yes" password="{PLANTED[11]}"/>
  <active-response><command>notify</command><location>server</location><rules_id>5712</rules_id></active-response>
</ossec_config>
"""
ENVIRONMENT = {
    "THWART_BROKER_PASSWORD": PLANTED[12],
    "THWART_API_TOKEN": PLANTED[13],
    "THWART_HOOK": f"https://u:{PLANTED[14]}@x/",
    "AMQP_PASSWORD": PLANTED[15],
    "THWART_API_URL": "http://127.0.0.1:1",
}


def bundle_of(folder: Path, program: str, toml: str) -> tuple[str, dict[str, str], subprocess.CompletedProcess[str]]:
    """The mode, the parts and what was said; on the way it was unpacked as whoever helps would."""
    (folder / "scripts").mkdir()
    (folder / "scripts" / "notify").write_text(f"#!/bin/sh\ncurl -H 'Authorization: Bearer {PLANTED[16]}'\n")
    (folder / "ossec.conf").write_text(OSSEC_CONF)
    (folder / "settings.toml").write_text(toml.format(folder=folder, state=folder / "state"))
    (folder / "token").write_text(f"ann {PLANTED[17]}\n")
    done = subprocess.run(
        [str(HERE / program), "support", "--config", str(folder / "settings.toml"), "--to", str(folder)],
        env={**os.environ, **ENVIRONMENT, "THWART_API_TOKEN_FILE": str(folder / "token")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    with tarfile.open(path) as archive:
        parts = {each.name.partition("/")[2]: archive.extractfile(each).read().decode() for each in archive}
    return stat.filemode(path.stat().st_mode), parts, done


@pytest.mark.parametrize(
    ("program", "toml", "store", "schema", "wanted"),
    [
        ("thwart", MANAGER, "ledger.db", LEDGER, {"ledger.json", "ossec.conf"}),
        ("thwart-agent", AGENT, "journal.db", JOURNAL, {"journal.json", "scripts.txt"}),
    ],
)
def test_no_planted_secret_is_in_a_bundle(tmp_path, program, toml, store, schema, wanted):
    """With the daemon down it takes what is in files, says what it couldn't take, and nothing secret gets in: not from
    TOML, the environment, ossec.conf, its comments, arguments of commands, scripts or the token's file."""
    (tmp_path / "state").mkdir()
    Store(tmp_path / "state" / store, schema).close()
    mode, parts, done = bundle_of(tmp_path, program, toml)
    everything = "\n".join([*parts.values(), done.stdout, done.stderr])
    assert [secret for secret in PLANTED if secret in everything] == []
    assert mode == "-rw-------"
    assert parts.keys() >= wanted | {"versions.json", "environment.json", "settings.json", "CONTENTS.txt"}
    assert '"ok"' in parts[Path(store).stem + ".json"]
    assert "could not take" in done.stderr
    assert "broker:5672" in parts["settings.json"], "what is no secret is there"


def test_a_bundle_is_written_when_nothing_is_there(tmp_path):
    """No settings, no ledger, no manager: it says so, and what the host tells is there."""
    done = subprocess.run(
        [str(HERE / "thwart"), "support", "--to", str(tmp_path), "--api", "http://127.0.0.1:1"],
        env={**os.environ, "THWART_MANAGER_STATE_DIR": str(tmp_path / "nowhere")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "took versions.json" in done.stderr
    assert "could not take ledger.json" in done.stderr
    assert "could not take api/v1/health.txt" in done.stderr


SECRETS = st.from_regex(r"[A-Za-z0-9%!,;/?#&+=:*~-]{8,30}", fullmatch=True).filter(lambda text: "***" not in text)


@given(SECRETS)
def test_a_password_in_a_url_is_taken_out_whatever_is_in_it(secret):
    """Also one with characters that a URL should have escaped; and wherever it occurs again."""
    redactor = Redactor()
    cleaned = redactor.text(f'urls = ["amqp://thwart:{secret}@broker:5672/"]')
    assert secret not in cleaned
    assert "broker:5672" in cleaned
    assert secret not in redactor.once_more(f"can't log in with {secret} there")


@pytest.mark.parametrize(
    "line",
    [
        "started: curl --password {} https://hook.example/",
        "header 'Authorization: Bearer {}' was refused",
        "authorization: Basic {}",
        '"Authorization": "Basic {}"',
        "ERROR token={}, giving up",
        'api-key: "{}"',
    ],
)
def test_a_secret_in_a_log_is_taken_out(line):
    """As an option, a header, an assignment: what a library or a script printed goes into a bundle with the log."""
    assert "Pl4nted" not in Redactor().text(line.format("Pl4nted0Zq"))


def test_what_is_named_like_a_secret_is_taken_out_whole():
    """A list or a table of them too, and each of them wherever else it occurs."""
    redactor = Redactor()
    cleaned = redactor.document({"passwords": PLANTED[:2], "hook": {"tokens": {"one": PLANTED[2]}}})
    assert cleaned == {"passwords": "***", "hook": {"tokens": "***"}}
    assert redactor.once_more(" ".join(PLANTED[:3])) == "*** *** ***"


def test_names_of_places_are_no_secrets():
    """`token_file` says where a secret is, and that is worth knowing."""
    redactor = Redactor()
    assert redactor.document({"token_file": "/etc/thwart/token"}) == {"token_file": "/etc/thwart/token"}
    assert redactor.text("token_file = /etc/thwart/token") == "token_file = /etc/thwart/token"
    assert redactor.text("following /var/log/auth.log, key 5712") == "following /var/log/auth.log, key 5712"
