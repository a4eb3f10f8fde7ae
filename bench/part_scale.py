# SPDX-License-Identifier: MIT
"""The part `scale`: what one more VM costs, from 1 to 64 of them, on one hart.

The guest is guests/scale. What is told for N VMs:

    vms-N-kept-kib     what Pilae keeps for one of them when it has started
    vms-N-start        from the first one's first instruction to the last one's, for each but the first
    vms-N-turn         from one of them to the next, when all want the hart: the mean of 0.2 s
    vms-N-turn-idle    the same, when two want it and the others sleep
"""

import re

import pilae
from machines import OUTPUT, TICK_NS, failures, run

SCALE = pilae.BUILD / "guests/scale.bin"
COUNTS = (1, 2, 4, 8, 16, 32, 64)
MEMORY = 8 * pilae.MIB
RUN_NS = 200_000_000  # guests/scale/main.c: from BEGIN to END
LINE = re.compile(r"^(?:\[vm\d+\] )?scale (started|turns|own) (\d+)$", re.MULTILINE)


def start_vms(column, what, count, running):
    """The numbers of all VMs by their names, of which the first `running` ones are never idle."""
    system = pilae.System(OUTPUT, column.file_name(f"scale {what}"))
    system.image("scale", SCALE)
    for number in range(count):
        role = "run" if number < running else "idle"
        system.vm(f"vm{number + 1}", kernel="scale", memory=MEMORY,
                  bootargs=f"number={number} role={role}", **column.properties)
    output = run(f"scale: {what}", column, system.build())
    if output is None:
        return None
    found = {"kept": [kib for *_, kib in pilae.kept_lines(output).values()]}
    for name, value in LINE.findall(output):
        found.setdefault(name, []).append(int(value))
    if any(len(found.get(name, [])) != count for name in ("kept", "started", "turns", "own")):
        failures.append(f"scale: {what} ({column.title}): not all of {count} VMs have told all")
        return None
    return found


def turn(found):
    """What it takes from one to the next."""
    return round((RUN_NS - sum(found["own"])) / sum(found["turns"]))


def scale(column):
    found, first = {}, None
    if not column.engine:
        return found
    for count in COUNTS:
        vms = start_vms(column, f"{count} VMs", count, count)
        if vms is None:
            continue
        found[f"vms-{count}-kept-kib"] = round(sum(vms["kept"]) / count)
        started = max(vms["started"]) * TICK_NS
        if count == 1:
            first = started
            continue
        if first is not None:
            found[f"vms-{count}-start"] = round((started - first) / (count - 1))
        found[f"vms-{count}-turn"] = turn(vms)
        if count > 2:
            idle = start_vms(column, f"{count} VMs, two busy", count, 2)
            if idle is not None:
                found[f"vms-{count}-turn-idle"] = turn(idle)
    return found
