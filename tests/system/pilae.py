# SPDX-License-Identifier: MIT
"""What the system tests share: system files, and machines that boot them.

A test describes a system in Python, builds it, and boots it:

    system = System(tmp_path)
    system.image("linux", LINUX, type="kernel")
    system.vm("web", kernel="linux", bootargs="console=ttyS0", vcpus=2, memory=512 * MIB)
    with Machine(tmp_path, engine, system.build(), harts=2, limit=60) as machine:
        machine.expect("login:")
        assert machine.wait_exit() == 0
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pexpect

from qemu_monitor import CROSS, Monitor, where_harts_are

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

TOP = Path(__file__).resolve().parents[2]
BUILD = (TOP / os.environ.get("PILAE_BUILD", "build")).resolve()
PILAE_BIN = BUILD / "pilae.bin"
PILAE_ELF = BUILD / "pilae.elf"
LINUX = BUILD / "linux/Image"
INITRD = BUILD / "linux/initrd.gz"
EXT4_MODULES = BUILD / "linux/ext4.gz"
MINIKERNEL = BUILD / "guests/minikernel.bin"
SELFTEST = BUILD / "guests/selftest.elf"
UBOOT = Path("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin")
FIRMWARE = BUILD / "firmware.bin"
OPENSBI = Path("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin")
# Set for `make reach`: each machine writes down which code of these it reached, beside the program.
REACH = os.environ.get("PILAE_REACH")
TEXT_BASES = {"pilae.bin": 0xffffffffc0000000, "firmware.bin": 0x80000000}

# Instructions: the longest stretch with interrupts off.
INTERRUPTS_OFF_MAX = 20_000

# The engines, and the processor that the host is for each.
ENGINES = {
    "hext": {"cpu": "rv64,h=true"},
    "soft": {"cpu": "rv64,h=false"},
}
# Those that tests and benchmarks run on, unless others are asked for.
DEFAULT_ENGINES = ["hext", "soft"]

# The firmware of machines that name none: opensbi, QEMU's own, or own, Pilae's (--firmware).
firmware = os.environ.get("FIRMWARE") or "opensbi"

# The tests that are run on the soft engine, too, where no engine is named: the others take long.
SOFT_BY_DEFAULT = {
    "test_minikernel", "test_selftest", "test_load", "test_torture", "test_debug",
    "test_selftest_with_fast_csrs", "test_load_with_fast_csrs", "test_interrupts_off",
    "test_shadow_tables_are_bounded", "test_kept", "test_interrupts_off_in_storms_of_fences",
    "test_selftest_without_fp",
    "test_two_linuxes_of_two_engines", "test_load_on_harts_with_h",
    "test_shell_takes_input_and_reboots", "test_report", "test_registers_of_a_running_vm",
    "test_guests_gone_astray", "test_interrupts_off_in_reports", "test_nothing_leaks",
    "test_random_moments", "test_pause_keeps_everything", "test_shares_follow_weights",
    "test_reservation", "test_alone", "test_eight_linuxes", "test_ports", "test_flood",
    "test_disk_and_rng", "test_rtc_and_fw_cfg", "test_ends_at_work", "test_linux_with_devices",
    "test_interrupts_off_with_devices", "test_disks", "test_files",
    "test_transfer", "test_uplink", "test_interrupts_off_on_networks", "test_rng",
    "test_turns_are_not_lost", "test_no_memory_to_make_a_vm",
    "test_disturbed_interrupts", "test_lost_ipis", "test_chaos", "test_amok",
    "test_nothing_outside_ram",
    "test_interrupts_off_in_chaos", "test_interrupts_off_when_there_is_much_to_drop",
}


def host_cpu(engine, features=""):
    """The processor for an engine, with some of its features changed."""
    return ENGINES[engine]["cpu"] + (f",{features}" if features else "")


def qemu_binary():
    """QEMU as `make run` finds it."""
    cached = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pilae/qemu/bin"
    path = f"{cached}:{os.environ['PATH']}"
    return os.environ.get("QEMU") or shutil.which("qemu-system-riscv64", path=path)


def dts_value(value):
    """A property's value in device tree source."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bytes):
        return "[" + value.hex() + "]"
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, (list, tuple)):
        if all(isinstance(v, str) for v in value):
            return ", ".join(dts_value(v) for v in value)
        return "<" + " ".join(hex(v) for v in value) + ">"
    return f"<{value:#x}>"


class Raw:
    """A value given as device tree source."""

    def __init__(self, text):
        self.text = text


def u64(value):
    return Raw(f"/bits/ 64 <{value:#x}>")


def dts_node(name, properties, depth):
    """A node; a value that is a dict is a subnode, True an empty property, None left out."""
    tab = "\t" * depth
    lines = [f"{tab}{name} {{"]
    nodes = {k: v for k, v in properties.items() if isinstance(v, dict)}
    for key, value in properties.items():
        if key in nodes or value is None or value is False:
            continue
        lines.append(f"{tab}\t{key};" if value is True else f"{tab}\t{key} = {dts_value(value)};")
    for key, value in nodes.items():
        lines += dts_node(key, value, depth + 1)
    lines.append(f"{tab}}};")
    return lines


class System:
    """A system file in the making."""

    def __init__(self, folder, name="system"):
        self.path = Path(folder) / f"{name}.itb"
        self.images = {}
        self.vms = {}
        self.root = {}

    def image(self, name, data, hash=None, **properties):
        """An image node with a file's contents, or with bytes. `hash` is an algorithm, or a
        dict: the properties of hash-1."""
        if isinstance(data, bytes):
            data_path = self.path.with_suffix(f".{name}.img")
            data_path.write_bytes(data)
            data = data_path
        node = {
            "description": name,
            "data": Raw(f'/incbin/("{data}")'),
            "type": "kernel",
            "arch": "riscv",
            "os": "linux",
            "compression": "none",
        }
        node.update({key.replace("_", "-"): value for key, value in properties.items()})
        if hash:
            node["hash-1"] = hash if isinstance(hash, dict) else {"algo": hash}
        self.images[name] = node
        return self

    def vm(self, name, kernel, memory=64 * MIB, vcpus=1, bootargs=None, ramdisk=None, **others):
        """A VM; other properties by their names, in a dict given as `**{"pilae,weight": 3}`."""
        self.vms[name] = {
            "compatible": "pilae,vm",
            "kernel": kernel,
            "ramdisk": ramdisk,
            "bootargs": bootargs,
            "pilae,vcpus": vcpus,
            "pilae,memory": u64(memory),
            **others,
        }
        return self

    def linux(self, name="debian", test=None, bootargs="console=ttyS0 quiet", **others):
        """A VM with Debian's kernel that runs /tests/TEST,ARG,… or, without, a shell."""
        if "linux" not in self.images:
            self.image("linux", LINUX)
            self.image("initrd", INITRD, type="ramdisk")
        if test:
            bootargs += f" pilae.test={test}"
        others.setdefault("memory", 512 * MIB)
        return self.vm(name, kernel="linux", ramdisk="initrd", bootargs=bootargs, **others)

    def source(self):
        root = {
            "description": "a system under test",
            "#address-cells": 1,
            **self.root,
            "images": self.images,
            "configurations": self.vms,
        }
        return "/dts-v1/;\n\n" + "\n".join(dts_node("/", root, 0)) + "\n"

    def build(self, tool="mkimage", options=()):
        """Compiles the system by mkimage (which fills in hashes) or by plain dtc."""
        its = self.path.with_suffix(".its")
        its.write_text(self.source())
        if tool == "mkimage":
            command = ["mkimage", "-D", "-I dts -O dtb -p 500", *options, "-f", its, self.path]
        else:
            command = ["dtc", "-I", "dts", "-O", "dtb", *options, "-o", self.path, its]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return self.path


def assemble(folder, source, base=0, name=None, **defines):
    """Assembles and links a source file of this folder at `base`: a flat binary."""
    source = Path(__file__).parent / source
    elf = Path(folder) / f"{name or source.stem}.elf"
    binary = elf.with_suffix(".bin")
    subprocess.run(
        [CROSS + "gcc", "-march=rv64imac_zicsr_zifencei", "-mabi=lp64", "-nostdlib", "-static",
         "-mno-relax", "-Wl,--build-id=none", f"-Wl,-Ttext={base:#x}",
         *(f"-D{key}={value}" for key, value in defines.items()), "-o", elf, source],
        check=True)
    subprocess.run([CROSS + "objcopy", "-O", "binary", elf, binary], check=True)
    return binary


def qemu_can(machine="virt", cpu="rv64"):
    """Whether this QEMU knows such a machine. One that is new enough has to."""
    done = subprocess.run([qemu_binary(), "-M", f"{machine},dumpdtb=/dev/null", "-cpu", cpu,
                           "-display", "none"], capture_output=True, text=True)
    version = subprocess.run([qemu_binary(), "--version"], capture_output=True, text=True)
    new = int(re.search(r"version (\d+)", version.stdout)[1]) >= 10
    assert done.returncode == 0 or not new, done.stderr
    return done.returncode == 0


def build_variant(name, define):
    """Pilae built with something defined: its kernel."""
    build = BUILD / name
    command = ["make", "-s", f"B={build}", f"EXTRA_CFLAGS=-D{define}", f"{build}/pilae.bin"]
    with open(BUILD / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests' other process may be at it
        subprocess.run(command, cwd=TOP, check=True)
    return build / "pilae.bin"


def reach_arguments(*programs):
    """For QEMU: see tests/reach/plugin.c."""
    options = ""
    for program in map(Path, programs):
        if program.name in TEXT_BASES:
            options += (f",text={program},base={TEXT_BASES[program.name]:#x}"
                        f",map={program.with_suffix('.reach')}")
    return ["-plugin", REACH + options]


def host_tree(folder, engine, *changes):
    """The device tree of a machine with one hart and 1 GiB, changed by fdtput's arguments: for
    `-dtb`."""
    dtb = folder / "host.dtb"
    subprocess.run([qemu_binary(), "-M", f"virt,dumpdtb={dtb}", "-m", "1G", "-smp", "1",
                    "-cpu", host_cpu(engine), "-display", "none"], check=True, capture_output=True)
    for change in changes:
        subprocess.run(["fdtput", *change[:1], dtb, *change[1:]], check=True)
    return dtb


def boots_on(folder, hart):
    """For `extra` of a Machine: the hart that the firmware boots on, which else is any."""
    start = 0x80040000  # not the start of RAM
    boot = assemble(folder, "boothart.S", 0x80000000, HART=hart, START=start)
    return ["-bios", boot, "-device", f"loader,file={OPENSBI},addr={start:#x},force-raw=on"]


class Machine:
    """QEMU with a console. Everything must be done within `limit` seconds of its start."""

    def __init__(self, folder, engine, system, harts=1, memory="1G", cpu=None, limit=60,
                 append="", kernel=None, machine="virt", icount=False, extra=(), name="console",
                 firmware=None):
        """`engine` None boots `kernel` with `system` as its ramdisk natively. `firmware` opensbi
        or own instead of what was asked for."""
        binary = qemu_binary()
        assert binary, "there is no qemu-system-riscv64 (make deps)"
        kernel = kernel or PILAE_BIN
        assert Path(kernel).exists(), f"there is no {kernel}: make first"
        self.elf = Path(kernel).with_suffix(".elf")
        if engine:
            cpu = cpu or ENGINES[engine]["cpu"]
            append = f"pilae.engine={engine} {append}".strip()
        self.arguments = [
            "-M", machine, "-cpu", cpu or "rv64", "-smp", str(harts), "-m", str(memory),
            "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-user-config",
            "-kernel", str(kernel)]
        if system:
            self.arguments += ["-initrd", str(system)]
        if append:
            self.arguments += ["-append", append]
        if icount:
            self.arguments += ["-icount", "shift=0,sleep=off"]
        if (firmware or globals()["firmware"]) == "own" and "-bios" not in extra:
            self.arguments += ["-bios", str(FIRMWARE)]
        self.arguments += [str(e) for e in extra]
        if REACH:
            self.arguments += reach_arguments(kernel, FIRMWARE)
        # Not among the arguments, with which a test may run QEMU again when this machine is gone.
        self.monitor = Monitor()
        self.deadline = time.monotonic() + limit
        self.log_path = Path(folder) / f"{name}.log"
        self.log = open(self.log_path, "w", encoding="utf-8", errors="replace")
        self.log.write(" ".join([binary, *self.arguments]) + "\n")
        self.child = pexpect.spawn(binary, self.arguments + self.monitor.options(),
                                   encoding="utf-8", codec_errors="replace", echo=False,
                                   timeout=limit, dimensions=(24, 240))
        self.child.logfile_read = self.log
        # Nothing is typed faster than a person would.
        self.child.delaybeforesend = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.child.close(force=True)
        self.log.close()
        self.monitor.close()

    def allow(self, seconds):
        """So much time from now on: for what is to be found out after a limit."""
        self.deadline = time.monotonic() + seconds

    def left(self):
        """The time until the limit. A test that asks again and again ends there, too."""
        left = self.deadline - time.monotonic()
        assert left > 0, f"the time limit was reached; {self.state()}"
        return left

    def expect(self, pattern, unless=None):
        """Waits for a regular expression and returns its match. `unless` is another one that
        must not come before it."""
        patterns = [pattern, pexpect.EOF, pexpect.TIMEOUT] + ([unless] if unless else [])
        index = self.child.expect(patterns, timeout=self.left())
        if index == 0:
            return self.child.match
        what = {1: "QEMU ended", 2: "the time limit was reached"}.get(
            index, f"{self.child.after!r} came")
        raise AssertionError(f"{what} before {pattern!r}; {self.state()}")

    def send(self, text):
        self.child.send(text)

    def sendline(self, text):
        self.child.send(text + "\r")

    def wait_exit(self):
        """Reads all that still comes and returns QEMU's exit status."""
        if self.child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=self.left()) == 1:
            raise AssertionError(f"QEMU still runs at the time limit; {self.state()}")
        self.child.wait()
        assert self.child.signalstatus is None, f"QEMU died of signal {self.child.signalstatus}"
        return self.child.exitstatus

    def output(self):
        """All that has come so far, with plain newlines."""
        if not self.log.closed:
            self.log.flush()
        text = self.log_path.read_bytes().decode(errors="replace")
        return text.split("\n", 1)[1].replace("\r", "")

    def state(self):
        """For who has waited in vain: what was printed last, and where each hart is."""
        text = f"the end of the console:\n{self.tail()}"
        if self.child.isalive():
            text += f"\n{where_harts_are(self.monitor, self.elf)}"
        return text

    def tail(self, lines=40):
        return "\n".join(self.output().splitlines()[-lines:])


def native(folder, kernel, ramdisk=None, bootargs="", **options):
    """The same guest without Pilae."""
    return Machine(folder, None, ramdisk, kernel=kernel, append=bootargs, **options)


def check_interrupts_off(machine):
    """What the fixture `measuring` has printed at its end: no stretch was too long."""
    longest = re.search(r"longest stretch with interrupts off: (\d+)", machine.output())
    assert longest and int(longest[1]) <= INTERRUPTS_OFF_MAX


def kept_lines(output):
    """What Pilae logs of the VMs it starts: {name: (engine, vcpus, MiB, KiB kept)}."""
    pattern = r"^pilae: (\S+): (hext|soft), (\d+) vCPUs?, (\d+) MiB, (\d+) KiB kept$"
    return {m[1]: (m[2], int(m[3]), int(m[4]), int(m[5]))
            for m in re.finditer(pattern, output, re.MULTILINE)}
