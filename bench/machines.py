# SPDX-License-Identifier: MIT
"""Columns of the table, which are the machines to run work on, and how it is run there."""

import re
import sys

import pilae

OUTPUT = pilae.BUILD / "bench"
FIRMWARES = ("opensbi", "own")
TICK_NS = 100  # of `time` on QEMU's virt
# The same random numbers in every run: addresses and hash tables of the guest depend on them.
SEED = 1
# And the same date.
DATE = "2026-01-01T00:00:00"
# What work prints that did not succeed.
FAILED = r"^.*(?:FAILED|: failed, status ).*$"


class Column:
    """A machine to run the work on: an engine, or native, with its numbers by parts."""

    def __init__(self, name, engine, cpu, firmware, **properties):
        self.name = name
        self.engine = engine
        self.cpu = cpu
        self.firmware = firmware
        self.properties = properties  # of the VM
        self.parts = {}
        self.native = None  # the column to compare with

    @property
    def numbers(self):
        """All by their names."""
        return {name: value for found in self.parts.values() for name, value in found.items()}

    @property
    def title(self):
        """What it is called among all of one firmware."""
        return self.name if self.engine else f"{self.name} on {self.cpu}"

    def file_name(self, what):
        text = f"{what} {self.name} {'' if self.engine else self.cpu} {self.firmware}"
        return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def engine_column(name, firmware):
    engine = name.removesuffix("-fast")
    properties = {"pilae,fast-csr": True} if name.endswith("-fast") else {}
    return Column(name, engine, pilae.host_cpu(engine), firmware, **properties)


ENGINES = [*pilae.ENGINES, "soft-fast"]

failures = []
versions = {}  # of the firmwares


def run(what, column, system, native=None, harts=1, limit=1200, seed=SEED, icount=True, extra=()):
    """Boots, waits for the end, and returns what was printed, or None after a failure."""
    print(f"  {what} ({column.name} on {column.cpu}, {column.firmware})", file=sys.stderr,
          flush=True)
    options = {
        "harts": harts, "limit": limit, "icount": icount, "memory": "1G", "cpu": column.cpu,
        "extra": ["-seed", seed, *(["-rtc", f"base={DATE},clock=vm"] if icount else []), *extra],
        "name": column.file_name(what), "firmware": column.firmware,
    }
    if not column.engine:
        options["extra"] += native.get("extra", [])
        options.update({key: value for key, value in native.items() if key != "extra"})
    try:
        with pilae.Machine(OUTPUT, column.engine, system, **options) as machine:
            status = machine.wait_exit()
            output = machine.output()
    except AssertionError as problem:
        failures.append(f"{what} ({column.title}): {problem}")
        return None
    version = re.search(r"OpenSBI v\S+|^Pilae firmware", output, re.MULTILINE)
    if version:
        versions[column.firmware] = version[0]
    failed = re.search(FAILED, output, re.MULTILINE)
    if status != 0 or failed:
        failures.append(f"{what} ({column.title}): {failed[0] if failed else 'failed'}, exit "
                        f"status {status}; see {machine.log_path}")
        return None
    return output


def measure(what, column, system, pattern, *arguments, **options):
    """Runs it, and returns what `pattern` (with two groups: name, number) found; of what is there
    several times, the mean."""
    output = run(what, column, system, *arguments, **options)
    if output is None:
        return {}
    found = {}
    for name, number in re.findall(pattern, output, re.MULTILINE):
        found.setdefault(name, []).append(int(number))
    if not found:
        failures.append(f"{what} ({column.title}): no numbers; see {OUTPUT}/"
                        f"{column.file_name(what)}.log")
    return {name: sum(numbers) // len(numbers) for name, numbers in found.items()}


def one_vm(column, name, **vm):
    """A system file without hashes, with images by path; None for native."""
    if not column.engine:
        return None
    system = pilae.System(OUTPUT, column.file_name(name))
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


def measure_linux(what, column, pattern, bootargs, kernel=pilae.LINUX, ramdisk=pilae.INITRD,
                  vcpus=1, **options):
    bootargs = f"console=ttyS0 quiet {bootargs}"
    system = one_vm(column, what, kernel=kernel, ramdisk=ramdisk, bootargs=bootargs, vcpus=vcpus,
                    memory=512 * pilae.MIB)
    native = {"kernel": kernel, "append": bootargs, "memory": "512M",
              "extra": ["-initrd", ramdisk]}
    return measure(what, column, system, pattern, native, harts=vcpus, **options)


def accepted_engines(names):
    """Those engines that this build has."""
    accepted = []
    for name in names:
        column = engine_column(name, FIRMWARES[0])
        if is_accepted(column):
            accepted.append(name)
        else:
            print(f"bench: {name} left out: this build does not know "
                  f"{', '.join(column.properties)}", file=sys.stderr)
    return accepted


def make_columns(names, firmware):
    """The engines' columns, each with the native one of its processor."""
    columns = [engine_column(name, firmware) for name in names]
    natives = {c.cpu: Column("native", None, c.cpu, firmware) for c in columns}
    for column in columns:
        column.native = natives[column.cpu]
    return columns


def with_natives(columns):
    return list(dict.fromkeys(c.native for c in columns)) + columns
