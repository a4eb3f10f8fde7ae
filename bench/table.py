# SPDX-License-Identifier: MIT
"""The table of all numbers, and a plot of the ratios."""

import subprocess
from pathlib import Path

from machines import OUTPUT
from targets import TARGETS


def verdict(column, name):
    """The target of a number, and whether it is met; empty where there is nothing to tell."""
    target = TARGETS.get(column.name, {}).get(name)
    if target is None or name not in column.numbers:
        return "", ""
    met = target.is_met(name, column.native.numbers if column.native else {}, column.numbers)
    return ("", "") if met is None else (str(target), "ok" if met else "missed")


def compare(column, complete):
    """A row for each number; `complete`: and for each that a target is for."""
    native, values, rows = column.native.numbers, column.numbers, []
    targets = TARGETS.get(column.name, {}) if complete else {}
    for name in dict.fromkeys([*native, *values, *targets]):
        a, b = native.get(name), values.get(name)
        target, judged = verdict(column, name)
        if name in targets and b is None:
            target, judged = str(targets[name]), "missing"
        rows.append({"name": name, "native": a, column.name: b,
                     "ratio": round(b / a, 4) if a and b is not None else None,
                     "target": target, "verdict": judged})
    return rows


def number(value):
    return "-" if value is None else f"{value:,}"


def show(columns, results):
    """One table: after each native column those of its processor's engines."""
    natives = list(dict.fromkeys(c.native for c in columns))
    names = list(dict.fromkeys(r["name"] for rows in results.values() for r in rows))
    rows = {(c, r["name"]): r for c, of_column in results.items() for r in of_column}
    width = max(len(name) for name in names)
    header = f"{'':{width}}"
    for native in natives:
        header += f" {'native':>15}"
        header += "".join(f" {c.name:>15} {'ratio':>8}" for c in columns if c.native is native)
    print(f"\n{header}  targets")
    for name in names:
        line, targets = f"{name:{width}}", []
        for native in natives:
            line += f" {number(native.numbers.get(name)):>15}"
            for column in [c for c in columns if c.native is native]:
                row = rows.get((column, name), {})
                ratio = row.get("ratio")
                line += f" {number(row.get(column.name)):>15}"
                line += f" {'-' if ratio is None else f'{ratio:.3f}':>8}"
                if row.get("target"):
                    targets.append(f"{column.name} {row['target']}: {row['verdict']}")
            target, judged = verdict(native, name)
            if target:
                targets.append(f"native {target}: {judged}")
        print(f"{line}  {', '.join(targets)}".rstrip())


def plot_path(column):
    return OUTPUT / f"ratios-{column.name}.svg"


def plot(column, rows):
    rows = [r for r in rows if r["ratio"]]
    if not rows:
        return None
    data = OUTPUT / f"ratios-{column.name}.tsv"
    data.write_text("".join(f"{r['name']}\t{r['ratio']}\t{max(r['ratio'], 1)}\t"
                            f"{r['ratio']:.3g}\n" for r in rows))
    svg = plot_path(column)
    subprocess.run(["gnuplot", "-e", f"data='{data}'", "-e", f"output='{svg}'", "-e",
                    f"engine='{column.name}'", "-e", f"bars={len(rows)}",
                    "-e", f"least={min(r['ratio'] for r in rows)}",
                    "-e", f"most={max(r['ratio'] for r in rows)}",
                    Path(__file__).parent / "ratios.gnuplot"], check=True)
    return svg
