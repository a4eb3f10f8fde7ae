# SPDX-License-Identifier: MIT
"""System files with something wrong: each is told of by node and remedy, the other VMs start,
the exit status is 1, and nothing hangs."""

import random
import re
import struct
import subprocess

import pytest

from pilae import GIB, MIB, Machine, assemble, host_cpu, host_tree, kept_lines, u64

HELLO = "hello from a guest"


@pytest.fixture
def hello(folder, system):
    """A system with one VM, `good`, that says hello and ends."""
    system.image("hello", assemble(folder, "hello.S"))
    system.vm("good", kernel="hello", memory=4 * MIB)
    return system


def boot(folder, engine, built, limit=30, **options):
    """Boots a system that ends by itself: QEMU's status and all output."""
    with Machine(folder, engine, built, limit=limit, **options) as m:
        status = m.wait_exit()
        return status, m.output()


def test_good(folder, engine, hello):
    status, output = boot(folder, engine, hello.build())
    assert status == 0 and output.count(HELLO) == 1


@pytest.mark.parametrize("options", [["-E"], ["-E", "-B", "0x1000"]], ids=["external", "aligned"])
def test_external_data(folder, engine, hello, options):
    hello.images["hello"]["hash-1"] = {"algo": "sha256"}
    status, output = boot(folder, engine, hello.build(options=options))
    assert status == 0 and output.count(HELLO) == 1


def test_compiled_by_dtc(folder, engine, hello):
    """Plain dtc leaves hashes without values: they are not checked."""
    hello.images["hello"]["hash-1"] = {"algo": "crc32"}
    status, output = boot(folder, engine, hello.build(tool="dtc"))
    assert status == 0 and output.count(HELLO) == 1


@pytest.mark.parametrize("algorithm", ["crc32", "sha1", "sha256"])
def test_right_hash(folder, engine, hello, algorithm):
    hello.images["hello"]["hash-1"] = {"algo": algorithm}
    status, output = boot(folder, engine, hello.build())
    assert status == 0 and output.count(HELLO) == 1


# What is wrong with the VM `web`: its properties, and what the message must say. The message
# starts with `pilae: ` and the path of a node.
WRONG_VM = {
    "missing image": (
        {"kernel": "linuz"},
        r'/configurations/web: kernel = "linuz": no such image; have: hello'),
    "missing ramdisk": (
        {"ramdisk": "initrd"},
        r'/configurations/web: ramdisk = "initrd": no such image; have: hello'),
    "missing fdt": (
        {"fdt": "tree"}, r'/configurations/web: fdt = "tree": no such image; have: hello'),
    "fdt is none": (
        {"fdt": "hello"}, r'/(configurations/web|images/hello): .*(fdt|device tree)'),
    "no kernel": ({"kernel": None}, r"/configurations/web: .*kernel"),
    "unknown property": (
        {"pilae,colour": "red"}, r"/configurations/web: pilae,colour.*unknown"),
    "no memory": ({"pilae,memory": None}, r"/configurations/web: pilae,memory"),
    "odd memory": ({"pilae,memory": u64(3 * MIB)}, r"/configurations/web: pilae,memory.*0x200000"),
    "memory of 32 bits": ({"pilae,memory": 4 * MIB}, r"/configurations/web: pilae,memory.*64"),
    "memory 0": ({"pilae,memory": u64(0)}, r"/configurations/web: pilae,memory"),
    "too large for the host": (
        {"pilae,memory": u64(64 * GIB)}, r"/configurations/web: pilae,memory"),
    "memory that wraps": (
        {"pilae,memory": u64((1 << 64) - 2 * MIB)}, r"/configurations/web: pilae,memory"),
    "odd base": (
        {"pilae,ram-base": u64(0x80001000)}, r"/configurations/web: pilae,ram-base.*0x200000"),
    "base on devices": (
        {"pilae,ram-base": u64(0x10000000)}, r"/configurations/web: .*pilae,ram-base"),
    "base that wraps": (
        {"pilae,ram-base": u64((1 << 64) - 2 * MIB)}, r"/configurations/web: pilae,ram-base"),
    "no vCPU": ({"pilae,vcpus": 0}, r"/configurations/web: pilae,vcpus.*512"),
    "too many vCPUs": ({"pilae,vcpus": 513}, r"/configurations/web: pilae,vcpus.*512"),
    "vCPUs as text": ({"pilae,vcpus": "two"}, r"/configurations/web: pilae,vcpus"),
    "unknown engine": (
        {"pilae,engine": "steam"}, r'/configurations/web: pilae,engine = "steam".*hext'),
    "unknown device": (
        {"disk": {"compatible": "pilae,floppy"}}, r"/configurations/web/disk: .*pilae,floppy"),
    "device without compatible": ({"disk": {}}, r"/configurations/web/disk: compatible"),
}


@pytest.mark.parametrize("what", WRONG_VM)
def test_wrong_vm(folder, engine, hello, what):
    changes, message = WRONG_VM[what]
    hello.vm("web", kernel="hello", memory=4 * MIB)
    hello.vms["web"].update(changes)
    status, output = boot(folder, engine, hello.build())
    assert re.search("^pilae: " + message, output, re.MULTILINE)
    assert status == 1
    assert output.count(HELLO) == 1 and kept_lines(output).keys() == {"good"}


# The same for an image node, of which only `web` makes use.
WRONG_IMAGE = {
    "wrong crc32": ({"hash-1": {"algo": "crc32", "value": 0x12345678}},
                    r"/images/web: .*do not match hash-1"),
    "wrong sha1": ({"hash-1": {"algo": "sha1", "value": b"\1" * 20}},
                   r"/images/web: .*do not match hash-1"),
    "wrong sha256": ({"hash-1": {"algo": "sha256", "value": b"\1" * 32}},
                     r"/images/web: .*do not match hash-1"),
    "short hash": ({"hash-1": {"algo": "sha256", "value": b"\1" * 3}}, r"/images/web.*hash-1"),
    "unknown hash": ({"hash-1": {"algo": "md4", "value": b"\1" * 16}}, r"/images/web.*md4"),
    "hash without algorithm": ({"hash-1": {"value": b"\1" * 4}}, r"/images/web/hash-1"),
    "compressed": ({"compression": "gzip"}, r"/images/web: compression.*gzip"),
    "no data": ({"data": None}, r"/images/web: .*data"),
    "load outside": ({"load": 0x1000, "entry": 0x1000}, r"/(images|configurations)/web"),
    "odd load": ({"load": [0, 0, 1]}, r"/images/web: load"),
    "data outside": ({"data": None, "data-offset": 0x7fffff00, "data-size": 0x100},
                     r"/images/web: .*damaged"),
    "data that wraps": ({"data": None, "data-position": 0xfffffff0, "data-size": 0xffffffff},
                        r"/images/web: .*damaged"),
}


@pytest.mark.parametrize("what", WRONG_IMAGE)
def test_wrong_image(folder, engine, hello, what):
    changes, message = WRONG_IMAGE[what]
    hello.image("web", assemble(folder, "hello.S", name="web"))
    hello.images["web"].update(changes)
    hello.vm("web", kernel="web", memory=4 * MIB)
    status, output = boot(folder, engine, hello.build(tool="dtc"))
    assert re.search("^pilae: " + message, output, re.MULTILINE)
    assert status == 1
    assert output.count(HELLO) == 1 and "good" in kept_lines(output)


def linux_header(text_offset=0, image_size=0x1000, magic=b"RSC\x05", flags=0):
    """The header of a Linux Image (Documentation/arch/riscv/boot-image-header.rst)."""
    return struct.pack("<IIQQQIIQ8s4sI", 0x6f, 0, text_offset, image_size, flags, 2, 0, 0,
                       b"RISCV\0\0\0", magic, 0)


def elf(entry=0x80000000, address=0x80000000, file_size=64, memory_size=64, offset=0,
        machine=243, phnum=1, phoff=64, elf_class=2):
    """An ELF with one loadable segment."""
    ident = b"\x7fELF" + bytes([elf_class, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, phoff, 0, 0, 64, 56,
                                 phnum, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 7, offset, address, address, file_size,
                                memory_size, 4096)


TOP = (1 << 64) - 4096

# Kernels that cannot be loaded into a VM of 4 MiB.
WRONG_KERNEL = {
    "flat, larger than the VM": bytes(6 * MIB),
    "linux, larger than the VM": linux_header(image_size=64 * MIB),
    "linux, size wraps": linux_header(text_offset=0x200000, image_size=TOP),
    "linux, offset wraps": linux_header(text_offset=TOP),
    "linux, big-endian": linux_header(flags=1),
    "empty": b"",
    "elf cut off": elf()[:40],
    "elf of 32 bits": elf(elf_class=1),
    "elf for x86": elf(machine=62),
    "elf outside the VM": elf(address=0x40000000),
    "elf on devices": elf(address=0x10000000),
    "elf segment too large": elf(memory_size=8 * MIB),
    "elf segment wraps": elf(memory_size=TOP),
    "elf address wraps": elf(address=TOP, memory_size=8192),
    "elf file part wraps": elf(offset=TOP, file_size=8192, memory_size=8192),
    "elf file part larger than memory": elf(file_size=120, memory_size=64),
    "elf headers outside": elf(phoff=TOP),
    "elf with too many headers": elf(phnum=0xffff),
    "elf without segments": elf(phnum=0),
}


@pytest.mark.parametrize("what", WRONG_KERNEL)
def test_wrong_kernel(folder, engine, hello, what):
    hello.image("web", WRONG_KERNEL[what])
    hello.vm("web", kernel="web", memory=4 * MIB)
    status, output = boot(folder, engine, hello.build(tool="dtc"))
    assert re.search("^pilae: /(images|configurations)/web: ", output, re.MULTILINE)
    assert status == 1
    assert output.count(HELLO) == 1 and "good" in kept_lines(output)


def test_ramdisk_larger_than_the_vm(folder, engine, hello):
    hello.image("disk", bytes(8 * MIB), type="ramdisk")
    hello.vm("web", kernel="hello", ramdisk="disk", memory=4 * MIB)
    status, output = boot(folder, engine, hello.build())
    assert re.search(r"^pilae: /(images/disk|configurations/web): ", output, re.MULTILINE)
    assert status == 1
    assert output.count(HELLO) == 1


def test_all_vms_together_too_large(folder, engine, hello):
    """Each would fit into the host, both do not; one that came first starts."""
    for name in ("a", "b"):
        hello.vm(name, kernel="hello", memory=700 * MIB, **{"pilae,populate": "eager"})
    status, output = boot(folder, engine, hello.build(), memory="1G", limit=120)
    assert re.search(r"^pilae: /configurations/b: pilae,memory", output, re.MULTILINE)
    assert status == 1
    assert {"good", "a"} == kept_lines(output).keys()


@pytest.mark.engines("hext")
def test_no_host_hext(folder, engine, hello):
    """A VM that names an engine is refused where the harts do not have it."""
    hello.vm("web", kernel="hello", memory=4 * MIB, **{"pilae,engine": "hext"})
    del hello.vms["good"]
    status, output = boot(folder, engine, hello.build(), cpu=host_cpu("soft"))
    assert re.search(r"^pilae: /configurations/web: .*engine.*hext.*H extension", output,
                     re.MULTILINE)
    assert status == 1
    assert HELLO not in output


@pytest.mark.engines("soft")
@pytest.mark.parametrize("host", ["hext", "soft"])
@pytest.mark.parametrize("asked", ["auto", "soft"])
def test_choice_of_engine(folder, engine, hello, host, asked):
    """By the command line for those that say nothing or auto, by the VM for itself; and hext for
    auto where the harts have it."""
    chosen = host if asked == "auto" else "soft"
    hello.vm("auto", kernel="hello", memory=4 * MIB, **{"pilae,engine": "auto"})
    hello.vm("soft", kernel="hello", memory=4 * MIB, **{"pilae,engine": "soft"})
    if host == "hext":
        hello.vm("hext", kernel="hello", memory=4 * MIB, **{"pilae,engine": "hext"})
    status, output = boot(folder, asked, hello.build(), cpu=host_cpu(host))
    assert status == 0
    engines = {name: line[0] for name, line in kept_lines(output).items()}
    assert engines.pop("good") == chosen and engines.pop("auto") == chosen
    assert engines == {name: name for name in engines} and "soft" in engines
    assert len(engines) == (2 if host == "hext" else 1)


def test_no_system(folder, engine):
    status, output = boot(folder, engine, None)
    assert status == 1
    assert re.search(r"^pilae: .*(system|initrd)", output, re.MULTILINE)


@pytest.mark.parametrize("missing", ["configurations", "images", "vms"])
def test_incomplete(folder, engine, hello, missing):
    built = hello.build(tool="dtc")
    source = built.with_suffix(".its")
    if missing == "vms":
        hello.vms["good"]["compatible"] = "something,else"
        text = hello.source()
    else:
        text = re.sub(r"^\t%s \{.*?^\t\};\n" % missing, "", source.read_text(),
                      flags=re.DOTALL | re.MULTILINE)
    source.write_text(text)
    subprocess.run(["dtc", "-q", "-O", "dtb", "-o", built, source], check=True)
    status, output = boot(folder, engine, built)
    assert status == 1
    assert re.search(r"^pilae: .*(configurations|images|VM)", output, re.MULTILINE)


def refused(folder, engine, data, name="console"):
    """A file that is no system at all."""
    path = folder / "system.itb"
    path.write_bytes(data)
    status, output = boot(folder, engine, path, name=name)
    assert status == 1
    assert re.search(r"^pilae: ", output, re.MULTILINE)
    assert HELLO not in output
    return output


@pytest.mark.parametrize("keep", [1, 39, 40, 100, 0.5, -1])
def test_truncated(folder, engine, hello, keep):
    data = hello.build().read_bytes()
    keep = int(len(data) * keep) if isinstance(keep, float) else keep
    refused(folder, engine, data[:keep])


NONSENSE = {
    "zeroes": bytes(65536),
    "ones": b"\xff" * 65536,
    "text": b"This is not a system.\n" * 1000,
    "random": random.Random(1).randbytes(65536),
    "huge totalsize": struct.pack(">10I", 0xd00dfeed, 0xffffffff, 56, 40, 40, 17, 16, 0, 0, 0),
    "empty tree": struct.pack(">10I", 0xd00dfeed, 72, 56, 72, 40, 17, 16, 0, 0, 16)
                  + bytes(16) + struct.pack(">4I", 1, 0, 2, 9),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense(folder, engine, what):
    refused(folder, engine, NONSENSE[what])


def spoiled(data, seed):
    """The tree with some bytes changed, in its header or its structure."""
    dice = random.Random(seed)
    data = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 8])):
        data[dice.randrange(min(len(data), 2000))] = dice.choice([0, 1, 0x7f, 0xff,
                                                                  dice.randrange(256)])
    return bytes(data)


def boot_spoiled(folder, engine, data, seed):
    """Whatever is left of the system: it ends, with a status that fits."""
    path = folder / "system.itb"
    path.write_bytes(spoiled(data, seed))
    status, output = boot(folder, engine, path, name=f"console-{seed}")
    assert status == (0 if kept_lines(output) and HELLO in output else 1), f"seed {seed}"
    assert "panic" not in output, f"seed {seed}"


def test_spoiled(folder, engine, hello):
    hello.images["hello"]["hash-1"] = {"algo": "crc32"}
    data = hello.build().read_bytes()
    for seed in range(10):
        boot_spoiled(folder, engine, data, seed)


@pytest.mark.soak
def test_spoiled_often(folder, engine, hello, seeds):
    hello.images["hello"]["hash-1"] = {"algo": "crc32"}
    data = hello.build().read_bytes()
    for seed in range(seeds.start, seeds.start + 10 * len(seeds)):
        boot_spoiled(folder, engine, data, seed)


def boot_at(folder, engine, built, start):
    """Boots with the system at any address, as a bootloader may put it."""
    dtb = host_tree(
        folder, engine,
        ["-tx", "/chosen", "linux,initrd-start", "0", f"{start:x}"],
        ["-tx", "/chosen", "linux,initrd-end", "0", f"{start + built.stat().st_size:x}"])
    return boot(folder, engine, None, extra=[
        "-dtb", dtb, "-device", f"loader,file={built},addr={start:#x},force-raw=on"])


@pytest.mark.parametrize("start", [0x88000000, 0x90000008, 0xb0000ff8])
def test_aligned(folder, engine, hello, start):
    status, output = boot_at(folder, engine, hello.build(), start)
    assert status == 0 and output.count(HELLO) == 1


@pytest.mark.parametrize("offset", [1, 4, 0x123])
def test_misaligned(folder, engine, hello, offset):
    """A tree has to lie at a multiple of 8 bytes (Devicetree Specification 0.4, 5.2)."""
    status, output = boot_at(folder, engine, hello.build(), 0x90000000 + offset)
    assert re.search(r"^pilae: .*multiple of 8", output, re.MULTILINE)
    assert status == 1


@pytest.mark.parametrize("start,end", [
    (0x90000000, 0x90000000), (0x90000000, 0x80000000), (0x1000, 0x2000),
    (0xf0000000, 0xf0100000), (0xbffff000, 0xc0001000), (1 << 63, (1 << 64) - 1),
])
def test_system_outside_ram(folder, engine, start, end):
    def cells(x):
        return [f"{x >> 32:x}", f"{x & 0xffffffff:x}"]

    dtb = host_tree(folder, engine, ["-tx", "/chosen", "linux,initrd-start", *cells(start)],
                    ["-tx", "/chosen", "linux,initrd-end", *cells(end)])
    status, output = boot(folder, engine, None, extra=["-dtb", dtb])
    assert status == 1
    assert re.search(r"^pilae: .*(system|initrd)", output, re.MULTILINE)
