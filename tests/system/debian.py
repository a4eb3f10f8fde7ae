# SPDX-License-Identifier: MIT
"""Debian on a disk, as tools/mkdebian makes it, in VMs and natively."""

import posixpath
import re
import subprocess

from pilae import BUILD, MIB, Machine, native

DEBIAN = BUILD / "debian"
# What tests make copies of.
ORIGINAL = DEBIAN / "disk.img"
BOOTARGS = "console=ttyS0 quiet root=/dev/vda"
MEMORY = 768 * MIB
PROMPT = r"root@pilae:[^\n]*# "
BROKEN = r"Kernel panic|Oops|emergency mode|EXT4-fs error|I/O error|rc=[1-9]"


def copy_disk(folder):
    """A test's own copy of the disk; the fixture `folder` takes it away."""
    assert ORIGINAL.exists(), f"there is no {ORIGINAL}: make debian"
    disk = folder / "disk.img"
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", ORIGINAL, disk],
                   check=True)
    return disk


def drive(disk):
    """The disk for QEMU: nobody ends the machine that runs the tests, so nothing is waited for."""
    return ("-drive", f"file={disk},format=raw,if=none,id=disk,cache=unsafe",
            "-device", "virtio-blk-device,drive=disk")


def add_debian(system, **devices):
    """The VM, with devices by their nodes."""
    system.image("linux", DEBIAN / "Image")
    system.image("initrd", DEBIAN / "initrd.gz", type="ramdisk")
    return system.vm("debian", kernel="linux", ramdisk="initrd", bootargs=BOOTARGS, vcpus=2,
                     memory=MEMORY, **devices)


def machine(folder, engine, system, extra, limit):
    """On two harts, in a VM; or natively, without an engine."""
    options = {"harts": 2, "memory": "2G", "extra": extra, "limit": limit}
    if engine:
        return Machine(folder, engine, system.build(), **options)
    return native(folder, DEBIAN / "Image", DEBIAN / "initrd.gz", BOOTARGS, **options)


def log_in(machine):
    machine.expect("pilae login: ", unless=BROKEN)
    machine.sendline("root")
    machine.expect(PROMPT)
    run(machine, "export TERM=dumb; stty cols 500")
    run(machine, "systemctl is-system-running --wait")


def run(machine, command):
    """Runs a command that has to succeed, and returns what it has printed."""
    machine.sendline(f"{command}; echo rc=$?")
    machine.expect(r"rc=0\r", unless=BROKEN)
    output = machine.child.before
    machine.expect(PROMPT)
    # Without the command itself, and what tells a terminal about pasting.
    return re.sub(r"\x1b\[\?2004[hl]|\r", "", output).split("\n", 1)[1]


def power_off(machine):
    machine.sendline("systemctl poweroff")
    machine.expect("reboot: Power down", unless=BROKEN)
    assert machine.wait_exit() == 0


def read_file(disk, path):
    """What a file on the disk contains, whose file system nobody has mounted."""
    return subprocess.run(["/usr/sbin/debugfs", "-R", f"cat {path}", disk], check=True,
                          capture_output=True).stdout


def follow(disk, path):
    """What a path leads to on the disk, if its last part is a symbolic link."""
    shown = subprocess.run(["/usr/sbin/debugfs", "-R", f"stat {path}", disk], check=True,
                           capture_output=True, text=True).stdout
    link = re.search(r'^Fast link dest: "(.*)"', shown, re.MULTILINE)
    return follow(disk, posixpath.join(posixpath.dirname(path), link[1])) if link else path


LIBRARIES = "/usr/lib/riscv64-linux-gnu"
LOADER = "ld-linux-riscv64-lp64d.so.1"


def take_program(disk, path, folder):
    """Has a program of the disk's in a folder, and all libraries that it needs: their names."""
    # The C library loads the last one by itself, when a thread ends.
    wanted, names = [path, f"{LIBRARIES}/{LOADER}", f"{LIBRARIES}/libgcc_s.so.1"], {}
    while wanted:
        path = wanted.pop()
        name = posixpath.basename(path)
        if name in names:
            continue
        (folder / name).write_bytes(read_file(disk, follow(disk, path)))
        names[name] = folder / name
        needed = subprocess.run(["riscv64-linux-gnu-readelf", "-d", folder / name], check=True,
                                capture_output=True, text=True).stdout
        wanted += [f"{LIBRARIES}/{n}" for n in re.findall(r"library: \[(.*)\]", needed)]
    return names


def check_file_system(disk):
    """That it was left in order, and is in order."""
    state = subprocess.run(["/usr/sbin/dumpe2fs", "-h", disk], check=True, capture_output=True,
                           text=True).stdout
    assert re.search(r"Filesystem state: +clean\n", state), state
    assert "needs_recovery" not in state
    done = subprocess.run(["/usr/sbin/e2fsck", "-fn", disk], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
