# SPDX-License-Identifier: MIT
"""Pilae's shell, from a test.

Lines of VMs and messages come above the prompt, which is then shown again, and so they may stand
anywhere in the echo of a command, between its lines, and even within one that is printed in
pieces. So a test waits for what only the command's output can be, and takes answers in JSON,
of which `ask` leaves the lines of others out.
"""

import json
import re

ESCAPE = "\x1d"
PROMPT = r"pilae> \x1b\[K"

# A line of another's, with the break before it if it came in the midst of a line.
OTHERS = re.compile(r"(\r+\n)?(\r\x1b\[K)?(\[[\w-]+\] |pilae: )[^\n]*\n")


def open_shell(machine):
    machine.send(ESCAPE + "s")
    machine.expect(PROMPT)


def run(machine, text, pattern):
    """Gives a command, and waits for what it, or what becomes of it, prints."""
    machine.sendline(text)
    return machine.expect(pattern)


def expect_all(machine, *patterns):
    """Waits for all of these, in whatever order they come."""
    missing = list(patterns)
    while missing:
        seen = machine.expect("|".join(f"({pattern})" for pattern in missing))
        missing.pop(next(i for i in range(len(missing)) if seen[i + 1] is not None))


def ask(machine, text):
    """What a command with --json answers: an array."""
    match = run(machine, text + " --json", r"(?s)(\[\{.*?\}\s*\]|\[\])\r+\n")
    return json.loads(OTHERS.sub("", match[1]).replace("\r", ""))


# What a line that comes while a command is typed puts into it: erases the row, and shows it again.
AGAIN = r"(?:\r\x1b\[K.*?\rpilae> [^\r\n]*\x1b\[K)*"


def command(machine, text):
    """What a command prints: only where nobody else prints anything meanwhile."""
    machine.sendline(text)
    machine.expect(AGAIN.join(re.escape(c) for c in text) + AGAIN + r"\r+\n")
    machine.expect(PROMPT)
    return machine.child.before.replace("\r", "")


def states(machine):
    """The VMs' states."""
    return {vm["name"]: vm["state"] for vm in ask(machine, "vm list")}


def wait_for(machine, name, *wanted):
    """Waits until a VM is in one of these states (None: it is not known), and returns which."""
    while (state := states(machine).get(name)) not in wanted:
        pass
    return state


def free_bytes(machine):
    return ask(machine, "mem")[0]["free_bytes"]
