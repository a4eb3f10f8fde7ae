# SPDX-License-Identifier: MIT
"""QEMU's monitor (QMP), and what it tells of a machine that does not come to its end."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

CROSS = os.environ.get("CROSS", "riscv64-unknown-elf-")
REGISTERS = ["pc", "x1/ra", "V", "mstatus", "mip", "mie", "sepc", "scause", "x10/a0", "x17/a7"]
STACK_WORDS = 192
CALLERS_MAX = 12


class Monitor:
    """The socket of one QEMU, in a folder of its own, as its path may not be long."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pilae-")
        self.path = f"{self.folder}/qmp"

    def options(self):
        return ["-qmp", f"unix:{self.path},server=on,wait=off"]

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, command, **arguments):
        """What a command of QMP returns."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(self.path)
            stream = client.makefile("rw")
            for name, values in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                stream.flush()
                answer = {}
                while "return" not in answer:
                    answer = json.loads(stream.readline())
                    assert "error" not in answer, answer
        return answer["return"]

    def type(self, line, hart=0):
        """What the monitor for people says to a line."""
        return self.ask("human-monitor-command", **{"command-line": line, "cpu-index": hart})


def addresses_in(text):
    return [int(word, 16) for word in re.findall(r"\b(?:0x)?([0-9a-f]{16})\b", text)]


def names_of(elf, addresses):
    """The functions that these addresses are in, those of no function left out."""
    if not elf.exists():
        return []
    done = subprocess.run([f"{CROSS}addr2line", "-f", "-s", "-e", str(elf)],
                          input="".join(f"{a:#x}\n" for a in addresses), capture_output=True,
                          text=True, check=True)
    lines = done.stdout.splitlines()
    return [f"{name} ({at})" for name, at in zip(lines[::2], lines[1::2]) if name != "??"]


def where_hart_is(monitor, hart, elf):
    """Registers of a hart, and functions whose addresses are on its stack, the latest first."""
    text = monitor.type("info registers", hart)
    found = dict(re.findall(r"(\S+)\s+=?\s*([0-9a-f]{1,16})\b", text))
    shown = " ".join(f"{name}={found[name]}" for name in REGISTERS if name in found)
    words = monitor.type(f"x/{STACK_WORDS}gx 0x{found['x2/sp']}", hart)
    addresses = [int(found["pc"], 16), int(found["x1/ra"], 16)]
    addresses += [int(word, 16) for word in re.findall(r"0x([0-9a-f]{16})\b", words)]
    return f"hart {hart}: {shown}\n  " + "\n  ".join(names_of(elf, addresses)[:CALLERS_MAX])


def where_harts_are(monitor, elf):
    """The same of all harts, twice: what is not the same goes on."""
    try:
        harts = len(monitor.ask("query-cpus-fast"))
        return "\n".join(where_hart_is(monitor, hart, elf)
                         for _ in range(2) for hart in range(harts))
    except OSError as error:
        return f"QEMU does not tell where harts are: {error}"
