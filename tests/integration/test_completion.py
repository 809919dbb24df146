"""What bash completes after `thwart`: the script that `thwart completion bash` prints, in a real bash."""

import os
import shutil
import subprocess

import pytest

from tests.integration.a_manager_daemon import ATTACKER, THWART, RunningManager, state_of

pytestmark = pytest.mark.broker

ASK = """
eval "$(thwart completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_thwart_completion thwart
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(manager: RunningManager, *words: str) -> set[str]:
    """What bash offers for the last of `words`."""
    here = {
        "THWART_API_URL": manager.url,
        "THWART_API_TOKEN_FILE": str(manager.folder / "state" / "api.token"),
        "PATH": f"{THWART.parent}:{os.environ['PATH']}",
    }
    bash = [shutil.which("bash") or "bash", "-c", ASK, "bash", "thwart", *words]
    done = subprocess.run(bash, env={**os.environ, **here}, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


async def test_bash_completes_commands_options_and_values(manager, web1):
    """Nouns and verbs, options and their words, and from the API ids of orders, agents and addresses in force."""
    manager.thwart("block", ATTACKER, "--no-wait")
    order = await web1.order("web1")
    await web1.answer(order, "web1")
    await state_of(manager, order, {"web1": "applied"})
    assert completed(manager, "or") == {"order", "orders"}
    assert completed(manager, "orders", "") >= {"list", "show", "watch"}
    assert completed(manager, "orders", "--on") == {"--on-hold"}
    assert completed(manager, "orders", "list", "--state", "over") == {"overdue"}
    assert completed(manager, "events", "--ag") == {"--agent"}
    assert completed(manager, "orders", "show", order.id[:2]) == {order.id}
    assert completed(manager, "events", "--agent", "w") == {"web1"}
    assert completed(manager, "unblock", ATTACKER[:5]) == {ATTACKER}
    assert completed(manager, "unblock", "198.51") == set(), "nothing that begins otherwise"
    manager.stop()
    assert completed(manager, "orders", "show", "") == set(), "a manager that is away is nothing to talk about"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(shell):
    """Printed, whether that shell is installed or not."""
    done = subprocess.run([str(THWART), "completion", shell], capture_output=True, text=True, check=True)
    assert f"_THWART_COMPLETE={shell}_complete" in done.stdout
