# SPDX-License-Identifier: MIT
"""The boot image itself, and what is promised of it in numbers."""

import re
import struct
import subprocess

import pytest

from pilae import CROSS, KIB, MIB, MINIKERNEL, PILAE_BIN, PILAE_ELF, Machine, assemble, kept_lines

# In all; and without what operates VMs and brings them disks and networks.
IMAGE_MOST = 384 * KIB
CORE_MOST = 256 * KIB
NOT_CORE = ("shell/", "driver/", "device/virtio/", "vmm/net", "vmm/checksum")
KEPT_MOST_KIB = 256
# Functions that may touch FP and vector registers: those that save and restore them.
FP_FUNCTIONS = ("fp_", "vector_")


def test_header():
    """The header of a Linux Image, which bootloaders go by."""
    data = PILAE_BIN.read_bytes()[:64]
    _, _, _, size, flags = struct.unpack_from("<IIQQQ", data)
    assert data[48:56] == b"RISCV\0\0\0" and data[56:60] == b"RSC\x05"
    assert size >= PILAE_BIN.stat().st_size
    assert flags & 1 == 0


def test_size(record_property):
    sizes = subprocess.run([CROSS + "size", PILAE_ELF], capture_output=True, text=True, check=True)
    text, data, bss = (int(x) for x in sizes.stdout.splitlines()[1].split()[:3])
    print(f"text {text}, data {data}, bss {bss}, image {PILAE_BIN.stat().st_size}")
    record_property("bss", bss)
    assert 0 < PILAE_BIN.stat().st_size <= IMAGE_MOST


def sizes_by_object():
    """From the linker's map: bytes in the image of each object file."""
    sizes = {}
    layout = PILAE_ELF.with_suffix(".map").read_text().split("Linker script and memory map")[1]
    for section, size, name in re.findall(
            r"^ (\.[\w.$]+)\s+0xffff[0-9a-f]{12}\s+0x([0-9a-f]+) (\S+)$", layout, re.MULTILINE):
        if not section.startswith(".bss"):
            name = name.removeprefix(f"{PILAE_ELF.parent.name}/")
            sizes[name] = sizes.get(name, 0) + int(size, 16)
    return sizes


def test_core_size():
    sizes = sizes_by_object()
    core = sum(size for name, size in sizes.items() if not name.startswith(NOT_CORE))
    print(f"core {core} of {sum(sizes.values())}")
    # All of the image is in the map but what fills pages, and common strings are counted once.
    assert 0.9 * PILAE_BIN.stat().st_size <= sum(sizes.values()) <= PILAE_BIN.stat().st_size
    assert {"shell/main.o", "driver/disk.o", "device/virtio/blk.o"} <= sizes.keys()
    assert core <= CORE_MOST


def instructions(elf):
    """Pairs of function and instruction."""
    listing = subprocess.run(
        [CROSS + "objdump", "-d", "--no-show-raw-insn", elf], capture_output=True, text=True,
        check=True).stdout
    function = "?"
    for line in listing.splitlines():
        label = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        words = line.split("\t")
        if label:
            function = label[1]
        elif len(words) > 1:
            yield function, " ".join(w.strip() for w in words[1:])


def fp_instructions(elf):
    """Those that name an FP or vector register or CSR."""
    return [found for found in instructions(elf)
            if re.match(r"(f(?!ence)|c\.f|v[a-z0-9])", found[1])]


def test_reservations_are_dropped():
    """QEMU does so at each trap, as no hart has to: nothing that runs there would miss it."""
    first = {}
    for function, instruction in instructions(PILAE_ELF):
        first.setdefault(function, instruction)
    for enter in "hext_enter", "soft_enter":
        assert first[enter] == "sc.d zero,zero,(a0)"


def test_no_floating_point():
    found = fp_instructions(PILAE_ELF)
    assert [f for f in found if not f[0].startswith(FP_FUNCTIONS)] == []
    # There is such code, and the search finds it.
    assert any(i.startswith(("fsd", "fld")) for _, i in found)


def test_no_writable_code():
    """No segment can be written and executed."""
    headers = subprocess.run([CROSS + "readelf", "-lW", PILAE_ELF], capture_output=True, text=True,
                             check=True).stdout
    flags = re.findall(r"^\s+LOAD\s+(?:0x[0-9a-f]+\s+){5}([RWE ]{3})", headers, re.MULTILINE)
    assert flags
    assert not [f for f in flags if "W" in f and "E" in f]


@pytest.fixture
def short(system):
    system.image("mk", MINIKERNEL)
    return system.vm("mk", kernel="mk", vcpus=2, bootargs='script="selfcheck; poweroff"')


@pytest.mark.parametrize("address", [0x80400000, 0x84600000, 0xa0000000, 0xbc200000])
def test_any_load_address(folder, engine, short, address):
    """The firmware jumps to a small program at the usual place, and that one to the image."""
    jump = assemble(folder, "jump.S", 0x80200000, TARGET=address)
    with Machine(folder, engine, short.build(), harts=2, kernel=jump, limit=60, extra=[
            "-device", f"loader,file={PILAE_BIN},addr={address:#x},force-raw=on"]) as m:
        m.expect("minikernel: 2 harts")
        m.expect("minikernel: all checks passed", unless="not ok")
        assert m.wait_exit() == 0


@pytest.mark.parametrize("vcpus,memory", [(1, 512), (2, 512), (8, 2048)])
def test_kept(folder, engine, system, vcpus, memory):
    """What a VM costs besides its RAM is told, and small."""
    system.image("hello", assemble(folder, "hello.S"))
    system.vm("debian", kernel="hello", vcpus=vcpus, memory=memory * MIB)
    with Machine(folder, engine, system.build(), harts=2, memory="4G", limit=30) as m:
        assert m.wait_exit() == 0
        kept = kept_lines(m.output())["debian"]
    assert kept[:3] == (engine, vcpus, memory)
    assert 0 < kept[3] <= (KEPT_MOST_KIB if vcpus > 4 else 128)
