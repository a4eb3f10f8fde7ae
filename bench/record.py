# SPDX-License-Identifier: MIT
"""The results that are kept with the source, bench/results.json: of each firmware its version,
QEMU's, and all columns' numbers."""

import json
from pathlib import Path

PATH = Path(__file__).parent / "results.json"
# Worse than that, and by more than some instructions, is worse.
WORSE = 1.03
FEW = 2


def is_exact(name):
    """Whether a number is the same in every run: not what real time is part of."""
    return not name.startswith(("fair-", "wall-"))


def columns_of(columns):
    """All columns by name, the native ones with their processor."""
    named = {f"native on {c.cpu}": c.native.numbers for c in columns}
    return {**named, **{c.name: c.numbers for c in columns}}


def read():
    return json.loads(PATH.read_text()) if PATH.exists() else {}


def write(key, tools, columns):
    """Puts what was measured in the place of what was kept; what was not stays, if it was
    measured with the same tools."""
    kept = read()
    numbers = kept[key]["numbers"] if kept.get(key, {}).get("tools") == tools else {}
    for name, found in columns_of(columns).items():
        exact = {n: value for n, value in found.items() if is_exact(n)}
        numbers[name] = {**numbers.get(name, {}), **exact}
    kept[key] = {"tools": tools, "numbers": numbers}
    PATH.write_text(json.dumps(kept, indent=1) + "\n")


def changes(key, tools, columns):
    """What is worse than what was kept, in words; and whether that can be told at all."""
    kept = read().get(key)
    if kept is None or kept["tools"] != tools:
        had = kept["tools"] if kept else "nothing"
        return [], f"not compared with what is kept: that is of {had}, this of {tools}"
    worse, compared = [], 0
    for column in columns:
        for name, before in kept["numbers"].get(column.name, {}).items():
            now = column.numbers.get(name)
            if now is None:
                continue
            compared += 1
            if now > before * WORSE and now > before + FEW:
                worse.append(f"{column.name} {name}: {before:,} before, now {now:,}")
    return worse, f"{compared} numbers compared with what is kept, {len(worse)} worse"
