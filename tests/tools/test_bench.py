# SPDX-License-Identifier: MIT
"""bench/: what is kept of results, how they are compared, and what is plotted."""

import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "bench"))

import plots  # noqa: E402
import record  # noqa: E402
import table  # noqa: E402
import targets  # noqa: E402

TOOLS = "QEMU 10, OpenSBI v1.5"
NATIVE = "native on rv64,h=true"


class Column:
    """What there is of bench/machines.py's without a machine."""

    def __init__(self, name, parts, firmware="opensbi", native=None):
        self.name = name
        self.engine = None if name == "native" else name
        self.title = name if self.engine else NATIVE
        self.firmware = firmware
        self.parts = parts
        self.native = native
        self.numbers = {n: v for part in parts.values() for n, v in part.items()}


def keep(*columns, kept=None, firmware="opensbi", tools=TOOLS):
    kept = {} if kept is None else kept
    record.add(kept, firmware, tools, columns)
    return kept


def changes(kept, *columns, firmware="opensbi", tools=TOOLS):
    return record.changes(kept, firmware, tools, columns)


def test_kept_by_parts():
    kept = keep(Column("hext", {"micro": {"a": 1, "b": 2}, "linux": {"c": 3}}),
                Column("native", {"micro": {"a": 4}}))
    keep(Column("hext", {"micro": {"a": 5}, "fair": {"d": 6}, "wall": {"e": 7}, "disk": {"f": 8},
                     "net": {}}),
         kept=kept)
    # The part was measured anew, and has no `b` now; what is not exact, and what failed, are not kept.
    assert kept["opensbi"] == {"tools": TOOLS, "numbers": {
        "hext": {"micro": {"a": 5}, "linux": {"c": 3}}, NATIVE: {"micro": {"a": 4}}}}


def test_other_tools_forget_what_was_kept():
    kept = keep(Column("hext", {"micro": {"a": 1}, "linux": {"b": 2}}))
    keep(Column("hext", {"micro": {"a": 3}}), kept=kept, firmware="own")
    keep(Column("hext", {"micro": {"a": 4}}), kept=kept, tools="QEMU 11")
    assert kept["opensbi"] == {"tools": "QEMU 11", "numbers": {"hext": {"micro": {"a": 4}}}}
    assert kept["own"]["numbers"] == {"hext": {"micro": {"a": 3}}}


@pytest.mark.parametrize("before, now, is_worse", [
    (1000, 1030, False), (1000, 1031, True), (1000, 500, False),
    (10, 12, False), (10, 13, True), (0, 2, False), (0, 3, True)])
def test_worse(before, now, is_worse):
    kept = keep(Column("hext", {"micro": {"a": before}}))
    worse, summary = changes(kept, Column("hext", {"micro": {"a": now}}))
    assert bool(worse) == is_worse
    assert f"1 numbers compared with what is kept, {int(is_worse)} worse" in summary
    assert all(f"hext a: {before:,} before, now {now:,}" in line for line in worse)


def test_what_is_gone_is_worse():
    kept = keep(Column("hext", {"micro": {"a": 1, "b": 2}, "linux": {"c": 3}}))
    worse, _ = changes(kept, Column("hext", {"micro": {"b": 2, "new": 9}}))
    assert worse == ["hext a: 1 before, now not there"]
    # A part that failed altogether.
    assert len(changes(kept, Column("hext", {"micro": {}}))[0]) == 2


def test_native_is_judged_with_our_firmware_alone():
    kept = keep(Column("native", {"micro": {"a": 10}}))
    keep(Column("native", {"micro": {"a": 10}}), kept=kept, firmware="own")
    now = Column("native", {"micro": {"a": 100}})
    assert changes(kept, now)[0] == []
    assert len(changes(kept, now, firmware="own")[0]) == 1


def test_other_tools_are_not_compared():
    kept = keep(Column("hext", {"micro": {"a": 1}}))
    now = Column("hext", {"micro": {"a": 1000}})
    for firmware, tools, had in (("opensbi", "QEMU 11", TOOLS), ("own", TOOLS, "nothing")):
        worse, summary = changes(kept, now, firmware=firmware, tools=tools)
        assert not worse and f"not compared with what is kept: that is of {had}" in summary


def test_verdicts():
    native = Column("native", {"micro": {"wfi-timer-wake-late": 40}})
    column = Column("hext", {"micro": {"wfi-timer-wake-late": 101, "sbi-probe": 60}},
                    native=native)
    rows = {row["name"]: row for row in table.compare(column, True)}
    assert rows["wfi-timer-wake-late"]["verdict"] == "missed"
    assert rows["sbi-probe"]["verdict"] == "ok"
    assert rows["switch"]["verdict"] == "missing"
    assert "switch" not in {row["name"] for row in table.compare(column, False)}


def test_firmware_has_targets_of_its_own():
    soft = {firmware: targets.of(Column("soft", {}, firmware))
            for firmware in ("opensbi", "own")}
    assert str(soft["opensbi"]["getppid"]) != str(soft["own"]["getppid"])
    assert soft["opensbi"].keys() < soft["own"].keys()


def results():
    kept = keep(Column("native", {"micro": {"a": 0, "b": 3}, "linux": {"fork": 100, "new": 5}}),
                Column("hext", {"micro": {"a": 1, "b": 4, "switch": 9}, "linux": {"fork": 120},
                                "scale": {"vms-1-kept-kib": 88, "vms-2-turn": 1000,
                                          "vms-2-kept-kib": 88}}))
    return keep(Column("native", {"micro": {"a": 2}}), kept=kept, firmware="own")


def test_rows_of_plots():
    assert plots.micro_rows(results()) == [
        ["a", "0", "2", "1", "NaN"], ["b", "3", "NaN", "4", "NaN"],
        ["switch", "NaN", "NaN", "9", "NaN"]]
    assert plots.ratio_rows(results()) == [["fork", "1.2", "NaN"]]
    assert plots.scale_rows(results()) == [
        ["1", "88", *["NaN"] * 7], ["2", "88", "NaN", "1000", *["NaN"] * 5]]
    assert plots.draw({}, "/nowhere") == []


def colours(element, inherited=("none", "none", "none")):
    """Of all text, lines, points and areas of an SVG."""
    if element.tag.endswith("defs"):
        return
    fill, stroke, color = (element.get(key, default) for key, default in
                           zip(("fill", "stroke", "color"), inherited))
    shape = element.tag.split("}")[-1]
    if shape == "use":
        yield color
    elif shape == "path":
        yield color if stroke == "currentColor" else stroke
    elif shape not in ("svg", "g", "title", "desc") and fill != "none":
        yield fill
    for child in element:
        yield from colours(child, (fill, stroke, color))


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="there is no gnuplot")
def test_plots_are_drawn(tmp_path):
    drawn = plots.draw(json.loads(record.PATH.read_text()), tmp_path)
    assert [path.name for path in drawn] == [f"bench-{name}.svg" for name in plots.PLOTS]
    # Those that can be read on white and on black, and nothing else.
    script = (TOP / "bench/common.gnuplot").read_text()
    wanted = {f"rgb({int(c[:2], 16)},{int(c[2:4], 16)},{int(c[4:], 16)})"
              for c in re.findall(r'"#([0-9a-f]{6})"', script)}
    for path in drawn:
        used = {c.replace(" ", "") for c in colours(ElementTree.parse(path).getroot())}
        assert len(used) > 2 and used <= wanted, path


@pytest.mark.parametrize("engine", ["hext", "soft"])
def test_plots_of_one_engine(tmp_path, engine):
    """As `bench/run --engine` leaves them."""
    kept = json.loads(record.PATH.read_text())
    for firmware in kept.values():
        firmware["numbers"].pop(engine)
    assert len(plots.draw(kept, tmp_path)) == len(plots.PLOTS)


def test_plots_are_shown():
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    for name in plots.PLOTS:
        assert f"](docs/bench-{name}.svg)" in readme
        assert (TOP / f"docs/bench-{name}.svg").exists()


def test_what_is_kept_has_all_columns():
    """Of both firmwares; and of each the part that CI compares."""
    kept = record.read()
    for firmware in ("opensbi", "own"):
        numbers = kept[firmware]["numbers"]
        assert {NATIVE, "native on rv64,h=false", "hext", "soft"} <= numbers.keys()
        assert all(parts["micro"] for parts in numbers.values())
