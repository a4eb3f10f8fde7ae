# SPDX-License-Identifier: MIT
"""Columns of the table, which are the machines to run work on, and how it is run there."""

import re
import sys

import pilae

OUTPUT = pilae.BUILD / "bench"
TICK_NS = 100  # of `time` on QEMU's virt
# The same random numbers in every run: addresses and hash tables of the guest depend on them.
SEED = 1


class Column:
    """A machine to run the work on: an engine, or native, with its numbers."""

    def __init__(self, name, engine, cpu, **properties):
        self.name = name
        self.engine = engine
        self.cpu = cpu
        self.properties = properties  # of the VM
        self.numbers = {}
        self.native = None  # the column to compare with

    def file_name(self, what):
        text = f"{what} {self.name} {'' if self.engine else self.cpu}"
        return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def engine_column(name):
    engine = name.removesuffix("-fast")
    properties = {"pilae,fast-csr": True} if name.endswith("-fast") else {}
    return Column(name, engine, pilae.host_cpu(engine), **properties)


ENGINES = [*pilae.ENGINES, "soft-fast"]

failures = []
firmware = "unknown firmware"


def measure(what, column, system, pattern, native=None, harts=1, limit=600, seed=SEED,
            icount=True, extra=()):
    """Boots and returns what `pattern` (with two groups: name, number) found."""
    global firmware
    print(f"  {what} ({column.name} on {column.cpu})", file=sys.stderr, flush=True)
    options = {
        "harts": harts, "limit": limit, "icount": icount, "memory": "1G", "cpu": column.cpu,
        "extra": ["-seed", seed, *extra], "name": column.file_name(what),
    }
    if not column.engine:
        options.update(native)
    try:
        with pilae.Machine(OUTPUT, column.engine, system, **options) as machine:
            status = machine.wait_exit()
            output = machine.output()
    except AssertionError as problem:
        failures.append(f"{what} ({column.name}): {problem}")
        return {}
    version = re.search(r"OpenSBI v\S+|^Pilae firmware", output, re.MULTILINE)
    firmware = version[0] if version else firmware
    found = {m[1]: int(m[2]) for m in re.finditer(pattern, output, re.MULTILINE)}
    if status != 0 or not found:
        failures.append(f"{what} ({column.name}): exit status {status}, {len(found)} numbers; see "
                        f"{machine.log_path}")
    return found


def one_vm(column, name, **vm):
    """A system file without hashes, with images by path; None for native."""
    if not column.engine:
        return None
    system = pilae.System(OUTPUT, f"{name}-{column.name}")
    for key in ("kernel", "ramdisk"):
        if key in vm:
            system.image(key, vm[key], type=key)
            vm[key] = key
    system.vm("bench", **vm, **column.properties)
    return system.build()


def is_accepted(column):
    """Whether this build knows the properties of the column's VM."""
    if not column.properties:
        return True
    hello = pilae.assemble(OUTPUT, "hello.S")
    system = one_vm(column, "hello", kernel=hello, memory=4 * pilae.MIB)
    with pilae.Machine(OUTPUT, column.engine, system, cpu=column.cpu,
                       name=column.file_name("hello")) as machine:
        machine.wait_exit()
        return not any(name in machine.output() for name in column.properties)


def measure_linux(what, column, pattern, bootargs, kernel=pilae.LINUX, vcpus=1, seed=SEED,
                  **options):
    bootargs = f"console=ttyS0 quiet {bootargs}"
    system = one_vm(column, "linux", kernel=kernel, ramdisk=pilae.INITRD, bootargs=bootargs,
                    vcpus=vcpus, memory=512 * pilae.MIB)
    native = {"kernel": kernel, "append": bootargs, "memory": "512M",
              "extra": ["-seed", seed, "-initrd", pilae.INITRD]}
    return measure(what, column, system, pattern, native, harts=vcpus, seed=seed, **options)


def make_columns(names):
    """The engines' columns, each with the native one of its processor."""
    columns = []
    for column in map(engine_column, names):
        if is_accepted(column):
            columns.append(column)
        else:
            print(f"bench: {column.name} left out: this build does not know "
                  f"{', '.join(column.properties)}", file=sys.stderr)
    natives = {c.cpu: Column("native", None, c.cpu) for c in columns}
    for column in columns:
        column.native = natives[column.cpu]
    return columns
