# SPDX-License-Identifier: MIT
"""Plots of results, as they are kept in bench/results.json: bench-micro.svg, bench-linux.svg and
bench-scale.svg, drawn by gnuplot from bench/NAME.gnuplot."""

import subprocess
from pathlib import Path

BENCH = Path(__file__).parent
NATIVE = "native on rv64,h=true"
# The columns of bench-micro: a firmware, and what runs on it.
MICRO = (("opensbi", NATIVE), ("own", NATIVE), ("opensbi", "hext"), ("opensbi", "soft"))
RATIOS = (("hext", NATIVE), ("soft", "native on rv64,h=false"))
RATIO_PARTS = ("boot", "linux", "stress", "net")
SCALE = ("hext", "soft")
# gnuplot's word for what is not there.
NAN = "NaN"
SCALE_VALUES = ("kept-kib", "start", "turn", "turn-idle")


def part_of(results, firmware, column, part):
    return results.get(firmware, {}).get("numbers", {}).get(column, {}).get(part, {})


def cell(value):
    return NAN if value is None else f"{value:g}"


def rows_text(rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def micro_rows(results):
    """A name, and the instructions in each column."""
    found = [part_of(results, firmware, column, "micro") for firmware, column in MICRO]
    names = dict.fromkeys(name for numbers in found for name in numbers)
    return [[name, *(cell(numbers.get(name)) for numbers in found)] for name in names]


def ratio(results, engine, native, part, name):
    value = part_of(results, "opensbi", engine, part).get(name)
    base = part_of(results, "opensbi", native, part).get(name)
    return value / base if value is not None and base else None


def ratio_rows(results):
    """A name, and each engine's ratio to native."""
    rows = []
    for part in RATIO_PARTS:
        names = dict.fromkeys(n for _, native in RATIOS
                              for n in part_of(results, "opensbi", native, part))
        for name in names:
            ratios = [ratio(results, *columns, part, name) for columns in RATIOS]
            if any(ratios):
                rows.append([name, *map(cell, ratios)])
    return rows


def scale_rows(results):
    """A number of VMs, and of each engine what is kept, a start, a turn, and one beside idle VMs."""
    found = [part_of(results, "opensbi", engine, "scale") for engine in SCALE]
    counts = sorted({int(name.split("-")[1]) for numbers in found for name in numbers})
    return [[str(n), *(cell(numbers.get(f"vms-{n}-{value}"))
                       for numbers in found for value in SCALE_VALUES)] for n in counts]


PLOTS = {"micro": micro_rows, "linux": ratio_rows, "scale": scale_rows}


def draw(results, folder):
    """Draws what there are results for. Returns the files."""
    drawn = []
    for name, rows_of in PLOTS.items():
        rows = rows_of(results)
        if not rows:
            continue
        svg = Path(folder) / f"bench-{name}.svg"
        columns = [n for n in range(2, len(rows[0]) + 1) if any(r[n - 1] != NAN for r in rows)]
        script = "\n".join([f"output = '{svg}'", f"rows = {len(rows)}",
                            f"columns = '{' '.join(map(str, columns))}'",
                            "$data <<END", rows_text(rows) + "END",
                            f"load '{BENCH}/common.gnuplot'", f"load '{BENCH}/{name}.gnuplot'"])
        subprocess.run(["gnuplot"], input=script, text=True, check=True)
        drawn.append(svg)
    return drawn
