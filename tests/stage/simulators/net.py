"""Windows' `net`, as far as it changes users: `net user [username [password | *] [/active:{no | yes}]]`.

A word behind the name that is no option is a password: it is set. What can't be done is an error with its number, and
exit code 2; the options are read without regard to case.
"""

from tests.stage.simulators import host
from tests.stage.simulators.windows_accounts import keep, users

USAGE = "The syntax of this command is:\n\nNET USER\n[username [password | *] [options]] [/DOMAIN]"


def main(arguments: list[str]) -> None:
    if not arguments or arguments[0].lower() != "user":
        host.fail(USAGE, 1)
    if len(arguments) < 3:
        host.fail(USAGE, 1)
    name, *rest = arguments[1:]
    some = users()
    if name.lower() not in some:
        host.fail("The user name could not be found.\n\nMore help is available by typing NET HELPMSG 2221.", 2)
    found = some[name.lower()]
    for each in rest:
        option, _, value = each.lower().partition(":")
        if option == "/active" and value in ("yes", "no"):
            found["enabled"] = value == "yes"
        elif each.startswith("/"):
            host.fail(f"The option {each} is unknown.\n\n{USAGE}", 1)
        else:
            found["password"] = each
    keep(some)
    print("The command completed successfully.\n")
