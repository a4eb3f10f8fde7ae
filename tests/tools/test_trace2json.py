# SPDX-License-Identifier: MIT
"""tools/trace2json: what it makes of dumps, and says of what is none."""

import json
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).parent / "dump.log"  # of a run with two VMs on four harts


def run(text, *arguments):
    return subprocess.run([TOP / "tools/trace2json", *arguments], input=text, capture_output=True,
                          text=True)


def line(text):
    return f"pilae-trace {sum(text.encode()) & 0xff:02x} {text}"


def dump(*records, harts=1, end=True):
    """A dump with a VM `web` of two vCPUs, and these records on hart 0."""
    lines = [f"begin version=1 timebase=10000000 harts={harts} records={len(records)}",
             "vm 1 vcpus=2 name=web", f"hart 0 id=7 records={len(records)} lost=3",
             *(f"r 0 {record}" for record in records)]
    return "\n".join(map(line, [*lines, f"end records={len(records)}"] if end else lines)) + "\n"


def convert(text):
    done = run(text)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def events_of(text):
    """(phase, name, microseconds) of each track, without metadata."""
    tracks = {}
    for event in convert(text)["traceEvents"]:
        if event["ph"] != "M":
            tracks.setdefault((event["pid"], event["tid"]), []).append(
                (event["ph"], event["name"], event["ts"]))
    return tracks


VCPU = "10000"
TURN, TURN_END, ENTER, SBI, TRAP, MMIO, WAKE = "a", "b", "1", "2", "7", "8", "10"


def test_turns_and_exits():
    tracks = events_of(dump(
        "64,0", f"a,{WAKE},0,{VCPU}", f"a,{TURN},0,{VCPU}", f"a,{ENTER},0,{VCPU}",
        f"a,{SBI},0,{VCPU},54494d45", f"a,{ENTER},0,{VCPU}", f"a,{MMIO},2,{VCPU},10000000",
        f"a,{TURN_END},2,{VCPU}", "a,e", "a,f"))
    assert tracks[1, 7] == [("B", "web/0", 12.0), ("E", "web/0", 17.0), ("B", "idle", 18.0),
                            ("E", "idle", 19.0)]
    assert tracks[11, 0] == [
        ("i", "woken", 11.0), ("B", "waiting", 11.0), ("E", "waiting", 12.0),
        ("B", "running", 12.0), ("B", "SBI TIME", 14.0), ("E", "SBI TIME", 15.0),
        ("i", "MMIO store", 16.0), ("E", "running", 17.0), ("B", "blocked", 17.0),
        ("E", "blocked", 19.0)]


def test_a_turn_that_began_before():
    """Also an exit within a trap of the soft engine's: both end where the guest goes on."""
    tracks = events_of(dump("64,0", f"a,{TRAP},d,{VCPU},5000,80200000",
                            f"a,3,1,{VCPU},10000005,5000", f"a,{ENTER},0,{VCPU}"))
    assert tracks[11, 0] == [
        ("B", "running", 11.0), ("B", "load page fault", 11.0), ("B", "MMIO load", 12.0),
        ("E", "MMIO load", 13.0), ("E", "load page fault", 13.0), ("E", "running", 13.0)]


def test_recording_stopped_in_between():
    """Nothing is known of the time until recording went on."""
    tracks = events_of(dump("64,0", f"a,{TURN},0,{VCPU}", "64,0", f"a,{TURN},0,{VCPU}"))
    assert tracks[1, 7] == [("B", "web/0", 11.0), ("E", "web/0", 21.0), ("B", "web/0", 22.0),
                            ("E", "web/0", 22.0)]


def test_names():
    found = convert(dump())
    names = {(e["pid"], e["tid"], e["name"]): e["args"]["name"] for e in found["traceEvents"]}
    assert names == {(1, 0, "process_name"): "harts", (1, 7, "thread_name"): "hart 7",
                     (11, 0, "process_name"): "VM web", (11, 0, "thread_name"): "vCPU 0",
                     (11, 1, "thread_name"): "vCPU 1"}
    assert found["otherData"] == {"timebase": 10000000, "lost": {"hart 7": 3}}


def test_amid_other_lines(tmp_path):
    """After prefixes and with CRs, between lines of others; the last of two; into a file."""
    lines = dump("64,0", f"a,{TURN},0,{VCPU}").splitlines()
    text = "\r\n".join(f"[12:00] qemu: {entry}\r\n[web] noise \xff" for entry in lines)
    log, output = tmp_path / "log", tmp_path / "json"
    log.write_bytes((dump() + text + "\r\n").encode("latin-1"))
    done = run(None, "-o", output, log)
    assert done.returncode == 0 and done.stdout == done.stderr == ""
    assert [e["name"] for e in json.loads(output.read_text())["traceEvents"]
            if e["ph"] == "B"] == ["web/0", "running"]


def test_recorded():
    events = convert(RECORDED.read_text())["traceEvents"]
    names = {e["name"] for e in events}
    assert {"running", "waiting", "blocked", "first/0", "second/0", "idle", "jobs"} <= names
    assert {e["pid"] for e in events} == {1, 11, 12}
    times = {}
    for event in events:
        if event["ph"] != "M":
            track = event["pid"], event["tid"]
            assert event["ts"] >= times.get(track, 0)
            times[track] = event["ts"]


def replaced(old, new):
    text = dump("64,0", f"a,{TURN},0,{VCPU}")
    assert line(old) in text
    return text.replace(line(old), line(new) if new else "")


@pytest.mark.parametrize("text, problem", [
    ("", "standard input: no dump in there"),
    ("pilae> trace dump\nnothing has been recorded\n", "no dump in there"),
    (dump("64,0", end=False), "the dump has no end"),
    (dump("64,0").replace("timebase=1", "timebase=2"), "line 1: the line is damaged"),
    (dump("64,0").replace("r 0 64", "r 0 65"), "line 4: the line is damaged"),
    (replaced("r 0 64,0", None), "hart 0: 1 of 2 records are there"),
    (replaced("hart 0 id=7 records=2 lost=3", None), "hart 0, which is not known"),
    (replaced("begin version=1 timebase=10000000 harts=1 records=2", None), "first line"),
    (replaced("begin version=1 timebase=10000000 harts=1 records=2",
              "begin version=9 timebase=10000000 harts=1 records=2"), "version 9"),
    (replaced("begin version=1 timebase=10000000 harts=1 records=2",
              "begin version=1 timebase=0 harts=1 records=2"), "timebase=0"),
    (replaced("begin version=1 timebase=10000000 harts=1 records=2",
              "begin version=1 harts=1 records=2"), "timebase= is missing"),
    (dump(harts=2), "1 of 2 harts are there"),
    (replaced("vm 1 vcpus=2 name=web", "vm x"), "vm: expected"),
    (replaced("vm 1 vcpus=2 name=web", "nonsense"), "nonsense: not known"),
    (dump("64"), "a record has 2 to 6 fields"),
    (dump("64,0,0,0,0,0,0"), "a record has 2 to 6 fields"),
    (dump("64,zero"), "64,zero: no record"),
    (dump("64,63"), "a record of kind 99"),
])
def test_broken(text, problem):
    done = run(text)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("trace2json: ") and problem in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_later_dump_that_is_broken():
    """The one before is taken, and that is said."""
    done = run(dump() + dump("64,0", end=False))
    assert done.returncode == 0 and "a later dump is left out: it has no end" in done.stderr


def test_no_such_file():
    done = run(None, "/nonexistent")
    assert done.returncode == 1 and "/nonexistent" in done.stderr and "Traceback" not in done.stderr
