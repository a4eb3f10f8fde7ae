# SPDX-License-Identifier: MIT
"""What is measured: each part takes a column and returns numbers by their names."""

from pathlib import Path

import pilae
from machines import OUTPUT, SEED, TICK_NS, measure, measure_linux, one_vm
from part_disk import disk
from part_fair import fair
from part_net import net
from part_scale import scale

BENCH = pilae.BUILD / "guests/bench.elf"
STRESS = pilae.BUILD / "linux/bench.gz"
ENTRY_SIZE = 2 * pilae.MIB
BOOT_SEEDS = (1, 2, 3)
HANDOVER_SEEDS = (1, 2, 3)
WALL_RUNS = 3
LBENCH = r"^lbench (?!end)(\S+) (\d+)"


def micro(column):
    """The guest that times single operations."""
    pattern = r"^bench (\S+) (\d+)\s*$"
    system = one_vm(column, "micro", kernel=BENCH, memory=128 * pilae.MIB)
    found = measure("micro-benchmarks", column, system, pattern, {"kernel": BENCH})
    if column.engine:
        system = one_vm(column, "switch", kernel=BENCH, memory=128 * pilae.MIB, vcpus=2,
                        bootargs="part=switch")
        found.update(measure("switch between vCPUs", column, system, pattern))
    return found


def least(found, more):
    for name, value in more.items():
        found[name] = min(value, found.get(name, value))


def timed_kernel(column):
    """Debian's kernel behind what tells when it is entered."""
    size = ENTRY_SIZE + pilae.LINUX.stat().st_size
    entry = pilae.assemble(OUTPUT, Path(__file__).parent / "entry.S",
                           name=column.file_name("entry"), IMAGE_SIZE=size)
    kernel = OUTPUT / f"{column.file_name('timed')}-Image"
    kernel.write_bytes(entry.read_bytes() + pilae.LINUX.read_bytes())
    return kernel


def boot_once(column, kernel, prefix, bootargs="", seed=SEED):
    found = measure_linux(f"Linux {prefix}, seed {seed}", column, r"^(entry|boottime) (\d+)",
                          f"rdinit=/tests/boottime {bootargs}", kernel, seed=seed)
    if len(found) != 2:
        return {}
    return {"boot-to-entry": found["entry"] * TICK_NS,
            f"{prefix}-from-entry": (found["boottime"] - found["entry"]) * TICK_NS,
            f"{prefix}-from-reset": found["boottime"] * TICK_NS}


def boot(column):
    """Linux up to the first instruction of init: since reset, and since its own first one.

    The kernel tests its cryptography in threads, and nobody waits for these: how many have ended by
    then is up to 100 million instructions more or less, natively too, by seed and by the least
    change of what came before. So this is the best of several seeds. Without these tests a boot
    takes the same with each: `boot-untested`.
    """
    kernel, found = timed_kernel(column), {}
    for seed in BOOT_SEEDS:
        least(found, boot_once(column, kernel, "boot", seed=seed))
    least(found, boot_once(column, kernel, "boot-untested", "cryptomgr.notests"))
    kernel.unlink()
    return found


def linux(column):
    """Operations of Linux."""
    return measure_linux("Linux operations", column, LBENCH, "pilae.test=lbench")


def handover(column):
    """Hand-overs between two CPUs as the best of several seeds."""
    found = {}
    for seed in HANDOVER_SEEDS:
        least(found, measure_linux(f"hand-over between CPUs, seed {seed}", column, LBENCH,
                                   "pilae.test=lbench,handover-futex,handover-pipe", vcpus=2,
                                   seed=seed))
    return found


def stress(column):
    """Debian's hackbench and stress-ng."""
    assert STRESS.exists(), f"there is no {STRESS}: make {STRESS.relative_to(pilae.TOP)} first"
    ramdisk = OUTPUT / f"{column.file_name('stress')}-initrd.gz"
    ramdisk.write_bytes(pilae.INITRD.read_bytes() + STRESS.read_bytes())
    found = measure_linux("hackbench and stress-ng", column, LBENCH, "pilae.test=stress",
                          ramdisk=ramdisk)
    ramdisk.unlink()
    return found


def wall(column):
    """Real time, the best of several: Linux boot, and memory in no order."""
    found = {}
    for n in range(WALL_RUNS):
        least(found, measure_linux(f"Linux boot, real time, run {n + 1}", column,
                                   r"^(boottime) (\d+)", "rdinit=/tests/boottime", icount=False))
        least(found, measure_linux(f"pointer chase, real time, run {n + 1}", column,
                                   r"^lbench (chase) (\d+)", "pilae.test=lbench,chase",
                                   icount=False))
    names = {"boottime": ("wall-boot-us", TICK_NS / 1000), "chase": ("wall-chase-1000-ns", 1)}
    return {names[k][0]: round(v * names[k][1]) for k, v in found.items()}


PARTS = {"micro": micro, "boot": boot, "linux": linux, "handover": handover,
         "stress": stress, "disk": disk, "net": net, "scale": scale, "fair": fair, "wall": wall}
