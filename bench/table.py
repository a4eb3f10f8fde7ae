# SPDX-License-Identifier: MIT
"""The table of all numbers of a firmware."""

import targets


def verdict(column, name):
    """The target of a number, and whether it is met; empty where there is nothing to tell."""
    target = targets.of(column).get(name)
    if target is None or name not in column.numbers:
        return "", ""
    met = target.is_met(name, column.native.numbers if column.native else {}, column.numbers)
    return ("", "") if met is None else (str(target), "ok" if met else "missed")


def compare(column, complete):
    """A row for each number; `complete`: and for each that a target is for."""
    native, values, rows = column.native.numbers, column.numbers, []
    wanted = targets.of(column) if complete else {}
    for name in dict.fromkeys([*native, *values, *wanted]):
        a, b = native.get(name), values.get(name)
        target, judged = verdict(column, name)
        if name in wanted and b is None:
            target, judged = str(wanted[name]), "missing"
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
        line, judgements = f"{name:{width}}", []
        for native in natives:
            line += f" {number(native.numbers.get(name)):>15}"
            for column in [c for c in columns if c.native is native]:
                row = rows.get((column, name), {})
                ratio = row.get("ratio")
                line += f" {number(row.get(column.name)):>15}"
                line += f" {'-' if ratio is None else f'{ratio:.3f}':>8}"
                if row.get("target"):
                    judgements.append(f"{column.name} {row['target']}: {row['verdict']}")
            target, judged = verdict(native, name)
            if target:
                judgements.append(f"native {target}: {judged}")
        print(f"{line}  {', '.join(judgements)}".rstrip())

