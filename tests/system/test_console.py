# SPDX-License-Identifier: MIT
"""Consoles: the focus, what is kept, floods, and ports of the host's virtio console."""

import json
import re
import socket
import time

import pytest

from pilae import MIB, Machine, assemble, check_interrupts_off
from shell import ESCAPE, PROMPT, expect_all

KIND = ["virtserialport", "virtconsole"]


class Port:
    """The other end of a port: a client of QEMU's socket."""

    def __init__(self, path, limit=60):
        self.path, self.limit, self.data = str(path), limit, b""
        deadline = time.monotonic() + limit
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(self.path)
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        self.socket.settimeout(limit)

    def send(self, text):
        self.socket.sendall(text.encode())

    def expect(self, pattern):
        """Reads up to and with what matches; returns the match."""
        while not (match := re.search(pattern.encode(), self.data, re.DOTALL)):
            more = self.socket.recv(65536)
            assert more, f"closed before {pattern!r}: {self.data[-500:]!r}"
            self.data += more
        self.data = self.data[match.end():]
        return match

    def command(self, text):
        """What a command of the shell's prints, and how it ended."""
        self.send(text + "\n")
        match = self.expect(r"^(.*?)(ok|error[^\n]*)\n")
        return match[1].decode(), match[2].decode()

    def close(self):
        self.socket.close()


def ports(folder, names, kind="virtserialport", legacy=True, device=""):
    """QEMU's options for a port for each name, on sockets of that name."""
    options = [] if legacy else ["-global", "virtio-mmio.force-legacy=false"]
    options += ["-device", "virtio-serial-device" + device]
    for name in names:
        options += ["-chardev", f"socket,path={folder}/{name}.sock,server=on,wait=off,id={name}",
                    "-device", f"{kind},chardev={name},name={name}"]
    return options


@pytest.fixture
def keys(folder, system):
    """Two VMs that do what the keys sent to them say."""
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("web", kernel="keys", memory=4 * MIB)
    system.vm("db", kernel="keys", memory=4 * MIB)
    return system


def test_focus(folder, engine, keys):
    """Lines of others at first; none when a VM was focused, until they are asked for."""
    with Machine(folder, engine, keys.build(), limit=60) as m:
        m.expect(r"\[db\] keys: started")
        m.send(ESCAPE + "2")
        m.expect("pilae: console of db")
        # What it has printed before is shown again.
        m.expect("keys: started\r+\nkeys> ")
        m.send("x")
        m.expect("key x\r*\n")
        m.send(ESCAPE + "1")
        m.expect("pilae: console of web")
        m.expect("keys: started\r*\nkeys> ")
        m.send("y")
        m.expect("key y\r*\nkeys> ", unless=r"\[db\]")
        m.send(ESCAPE + "a")
        m.expect("lines of other VMs are shown")
        m.send(ESCAPE + "s")
        m.expect(PROMPT)
        m.send("vm reset db\r")
        # The line that it had not completed is put out.
        m.expect(r"\[db\] keys> \r+\n")
        m.expect(r"\[db\] keys: started")
        m.send(ESCAPE + "2")
        m.expect("pilae: console of db")
        m.expect("key x.*keys: started")
        m.send(ESCAPE + "9")
        m.expect("there is no VM 9")
        m.send(ESCAPE + "?")
        m.expect(r"Ctrl-\] a  lines of all other VMs")
        m.send("p")
        m.send(ESCAPE + "1p")
        assert m.wait_exit() == 0


def test_color(folder, engine, keys):
    with Machine(folder, engine, keys.build(), limit=60, append="pilae.color") as m:
        m.expect(r"\x1b\[1mpilae: db: [^\r]*\x1b\[0m\r+\n")
        m.expect(r"\x1b\[33m\[db\]\x1b\[0m keys: started\x1b\[0m\r+\n")


@pytest.mark.parametrize("color", [False, True])
def test_lines_are_plain(folder, engine, system, color):
    """One that does not have the terminal can do nothing to it."""
    text = r"\033]0;title\007\033[2J\033[1;1H\033[31mpilae\033[m\033P$qm\033\134: \033[5nhello\033c\n"
    system.image("keys", assemble(folder, "keys.S"))
    system.image("sly", assemble(folder, "hello.S", TEXT=f'"{text}"'))
    system.vm("web", kernel="keys", memory=4 * MIB)
    system.vm("sly", kernel="sly", memory=4 * MIB)
    with Machine(folder, engine, system.build(), limit=60,
                 append="pilae.color" if color else "") as m:
        if color:
            m.expect(r"\[sly\]\x1b\[0m \x1b\[31mpilae\x1b\[m: hello\x1b\[0m\r+\n")
        else:
            m.expect(r"\[sly\] pilae: hello\r+\n")
        # Who looks at it alone gets what it printed.
        m.send(ESCAPE + "2")
        m.expect(r"title\x07\x1b\[2J\x1b\[1;1H\x1b\[31mpilae")


def test_backlog(folder, engine, system):
    """The last 64 KiB are there on focus, in order, and then what comes."""
    system.image("burst", assemble(folder, "burst.S", LINES=6000))
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("web", kernel="keys", memory=4 * MIB)
    system.vm("log", kernel="burst", memory=4 * MIB)
    with Machine(folder, engine, system.build(), limit=90) as m:
        m.expect(r"\[log\] done")
        m.send(ESCAPE + "2")
        m.expect("pilae: console of log\r+\n")
        m.send("k")
        m.expect("done\r*\n")
        shown = [int(n) for n in re.findall(r"line (\d{8})\.\.", m.child.before)]
        assert shown == list(range(shown[0], 6000))
        assert 16 * len(shown) > 60 * 1024 and 16 * len(shown) <= 64 * 1024
        m.expect("key k")


def test_flood(folder, engine, system):
    """A VM that floods its console loses output, and is told how much; a quiet one nothing."""
    system.image("flood", assemble(folder, "burst.S", LINES=60000))
    system.image("quiet", assemble(folder, "burst.S", LINES=500, name="quiet"))
    system.vm("flood", kernel="flood", memory=4 * MIB)
    system.vm("quiet", kernel="quiet", memory=4 * MIB)
    with Machine(folder, engine, system.build(), limit=120) as m:
        m.expect(r"\[quiet\] line")
        # Nobody looks for a while, and the UART is soon full.
        time.sleep(10)
        for _ in range(2):
            m.expect(r"(?:\[quiet\] |\n)done\r*\n")
        output = m.output()
        quiet = [int(n) for n in re.findall(r"\[quiet\] line (\d{8})\.\.", output)]
        assert quiet == list(range(500))
        dropped = [int(n) for n in
                   re.findall(r"^pilae: flood: (\d+) bytes of output dropped$", output, re.M)]
        assert dropped and "quiet: " not in "".join(re.findall(r"pilae: .*dropped", output))
        flood = len(re.findall(r"^line \d{8}\.\.$", output, re.M))
        # Whole and cut lines, and what was dropped, are all that was printed.
        assert 60000 * 16 - 32 * (len(dropped) + 600) <= flood * 16 + sum(dropped) <= 60000 * 16
        # And input arrives.
        m.send("k")
        m.expect("key k")


def test_input_is_not_lost(folder, engine, keys):
    """Much more than the guest and Pilae have room for, at once."""
    text = "".join(chr(ord("A") + n % 5) for n in range(3000))
    with Machine(folder, engine, keys.build(), limit=120) as m:
        m.expect("keys> ")
        for at in range(0, len(text), 500):
            m.send(text[at:at + 500])
        m.send("Z")
        m.expect("key Z")
        got = "".join(re.findall(r"key ([A-E])", m.output()))
        assert got == text


@pytest.mark.parametrize("kind", KIND)
@pytest.mark.parametrize("legacy", [True, False])
def test_ports(folder, engine, keys, kind, legacy):
    """A VM's port carries its bytes; a VM without one stays on the UART."""
    extra = ports(folder, ["web", "pilae"], kind, legacy)
    # Whoever is there from the start sees all.
    with Machine(folder, engine, keys.build(), limit=60, extra=extra, append="") as m:
        web = Port(folder / "web.sock")
        shell = Port(folder / "pilae.sock")
        expect_all(m, "pilae: web: its console has a port of its own", r"\[db\] keys: started")
        if kind == "virtserialport":
            web.expect("^keys: started\nkeys> ")
        web.send("x")
        web.expect("key x\nkeys> ")
        # On the UART it can be focused all the same.
        m.send(ESCAPE + "1")
        m.expect("console of web")
        m.expect("key x")
        m.send("y")
        m.expect("key y")
        web.expect("key y\nkeys> $")
        output, end = shell.command("vm list --json")
        assert end == "ok"
        assert [vm["name"] for vm in json.loads(output)] == ["web", "db"]
        output, end = shell.command("help")
        assert "poweroff" in output and "pilae>" not in output
        output, end = shell.command("x" * 300)
        assert end == "error" and "too long" in output
        shell.send("vm kill db\r\nvm kill web\n")
        assert m.wait_exit() == 0


@pytest.mark.parametrize("legacy", [True, False])
def test_port_that_closes(folder, engine, keys, legacy):
    """In the middle of a line, which is forgotten; a VM's output meanwhile is kept."""
    extra = ports(folder, ["web", "pilae"], legacy=legacy)
    with Machine(folder, engine, keys.build(), limit=60, extra=extra) as m:
        m.expect(r"\[db\] keys: started")
        web = Port(folder / "web.sock")
        web.expect("keys: started\nkeys> $")
        web.close()
        shell = Port(folder / "pilae.sock")
        assert shell.command("version")[1] == "ok"
        shell.send("vm li")
        shell.close()
        time.sleep(0.5)
        m.send(ESCAPE + "1")
        m.send("q")
        m.expect("key q")
        # What was sent before the end counts, even if the other side does not wait.
        shell = Port(folder / "pilae.sock")
        assert "no such command" not in shell.command("vm list")[0]
        shell.send("vm kill db\nvm l")
        shell.close()
        m.expect("pilae: db: powered off")
        # Nothing is repeated, nothing is missing.
        web = Port(folder / "web.sock")
        web.expect("^key q\nkeys> ")
        web.send("p")
        assert m.wait_exit() == 0


def test_clients_in_quick_succession(folder, engine, keys):
    """Each is answered, even if its command comes while the last one's end is being told of."""
    with Machine(folder, engine, keys.build(), limit=60, extra=ports(folder, ["web", "pilae"])) as m:
        m.expect(r"\[db\] keys: started")
        for _ in range(50):
            Port(folder / "web.sock").close()
            shell = Port(folder / "pilae.sock")
            assert shell.command("version")[1] == "ok"
            shell.close()


def test_port_that_is_not_read(folder, engine, system):
    """It loses output, and is told how much; its VM and the others go on."""
    system.image("flood", assemble(folder, "burst.S", LINES=60000))
    system.image("keys", assemble(folder, "keys.S"))
    system.vm("web", kernel="keys", memory=4 * MIB)
    system.vm("flood", kernel="flood", memory=4 * MIB)
    with Machine(folder, engine, system.build(), limit=120,
                 extra=ports(folder, ["flood"])) as m:
        port = Port(folder / "flood.sock")
        m.expect("keys> ")
        m.send(ESCAPE + "2")
        m.expect("done\r*\n")
        match = port.expect(r"^(.*)done\n")
        dropped = [int(n) for n in re.findall(rb"pilae: (\d+) bytes of output dropped", match[1])]
        assert dropped
        text = re.sub(rb"\r\npilae: \d+ bytes of output dropped\r\n", b"", match[1])
        assert len(text) + sum(dropped) == 60000 * 16
        port.send("k")
        port.expect("key k")


def test_eight_vms_with_ports(folder, engine, system):
    names = [f"vm{n}" for n in range(1, 9)]
    system.image("burst", assemble(folder, "burst.S", LINES=1000))
    for name in names:
        system.vm(name, kernel="burst", memory=4 * MIB)
    with Machine(folder, engine, system.build(), harts=2, limit=120,
                 extra=ports(folder, names + ["pilae"])) as m:
        open_ports = [Port(folder / f"{name}.sock") for name in names]
        m.expect("pilae: vm8: its console has a port of its own")
        for port in open_ports:
            match = port.expect(r"^(.*)done\n")
            assert match[1] == b"".join(b"line %08d..\n" % n for n in range(1000))
        for n, port in enumerate(open_ports):
            port.send("abcdefgh"[n] * 100 + "Z")
        for n, port in enumerate(open_ports):
            match = port.expect("^(.*)key Z\n")
            assert match[1] == b"key %c\n" % b"abcdefgh"[n] * 100
        shell = Port(folder / "pilae.sock")
        for name in names:
            shell.send(f"vm kill {name}\n")
        assert m.wait_exit() == 0


def test_interrupts_off(folder, engine, system, measuring):
    """While what is kept is shown, ports are flooded, and one is not read."""
    system.image("burst", assemble(folder, "burst.S", LINES=6000))
    for name in "one", "two", "three", "four":
        system.vm(name, kernel="burst", memory=4 * MIB)
    with Machine(folder, engine, system.build(), icount=True, kernel=measuring,
                 limit=200, extra=ports(folder, ["two", "three", "pilae"])) as m:
        three = Port(folder / "three.sock")
        shell = Port(folder / "pilae.sock")
        m.expect(r"done\r*\n")
        for n in "1234":
            m.send(ESCAPE + n)
            m.expect("console of ")
            m.expect("done\r*\n")
        for text in "help", "vm list --json", "vm info one", "y" * 300:
            shell.command(text)
        three.send("k" * 300 + "Z")
        three.expect("key Z\n")
        two = Port(folder / "two.sock")
        two.expect("done\n")
        shell.send("poweroff\n")
        assert m.wait_exit() == 0
    check_interrupts_off(m)
