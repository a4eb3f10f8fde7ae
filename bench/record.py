# SPDX-License-Identifier: MIT
"""The results that are kept with the source, bench/results.json: of each firmware its version,
QEMU's, and all columns' numbers by parts."""

import json
from pathlib import Path

PATH = Path(__file__).parent / "results.json"
# Worse than that, and by more than some instructions, is worse.
WORSE = 1.03
FEW = 2
# Parts that are not the same in each run: a disk of QEMU's works in real time even while
# instructions are counted, and `fair` and `wall` are measured in it. Of `handover`, which takes two
# harts, it is not known.
NOT_EXACT = ("handover", "disk", "fair", "wall")


def read():
    return json.loads(PATH.read_text()) if PATH.exists() else {}


def columns_of(columns):
    """What was measured in each column, by parts."""
    return {c.title: {part: found for part, found in c.parts.items()
                      if part not in NOT_EXACT and found} for c in columns}


def add(kept, firmware, tools, columns):
    """Puts what was measured in the place of what was kept. A part that was not measured stays, if
    it was measured with the same tools."""
    numbers = kept[firmware]["numbers"] if kept.get(firmware, {}).get("tools") == tools else {}
    for title, parts in columns_of(columns).items():
        numbers[title] = {**numbers.get(title, {}), **parts}
    kept[firmware] = {"tools": tools, "numbers": numbers}


def write(kept):
    PATH.write_text(json.dumps(kept, indent=1) + "\n")


def compare_part(title, before, now):
    """What is worse in a part of a column, in words."""
    for name, value in before.items():
        if name not in now:
            yield f"{title} {name}: {value:,} before, now not there"
        elif now[name] > value * WORSE and now[name] > value + FEW:
            yield f"{title} {name}: {value:,} before, now {now[name]:,}"


def changes(kept, firmware, tools, columns):
    """What is worse than what was kept, in words; and whether that can be told at all. Natively it is
    our work with our firmware alone."""
    if firmware not in kept or kept[firmware]["tools"] != tools:
        had = kept[firmware]["tools"] if firmware in kept else "nothing"
        return [], f"{firmware}: not compared with what is kept: that is of {had}, this of {tools}"
    worse, compared = [], 0
    for column in [c for c in columns if c.engine or firmware == "own"]:
        parts = kept[firmware]["numbers"].get(column.title, {})
        for part in [p for p in column.parts if p in parts]:
            compared += len(parts[part])
            worse += compare_part(column.title, parts[part], column.parts[part])
    return worse, (f"{firmware}: {compared} numbers compared with what is kept, {len(worse)} "
                   "worse")
