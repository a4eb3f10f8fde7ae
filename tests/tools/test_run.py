# SPDX-License-Identifier: MIT
"""tools/run: what it hands to QEMU of a system's own options."""

import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    """Runs a system `my` whose options are these: QEMU's last arguments, and what was said."""
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\nfor a; do echo \"[$a]\"; done\n")
    qemu.chmod(0o755)
    build = tmp_path / "build"
    (build / "examples").mkdir(parents=True)
    (build / "examples/my.itb").touch()
    (tmp_path / "examples").mkdir()

    def run_it(options, status=0):
        if options is not None:
            (tmp_path / "examples/my.qemu").write_text(options)
        environment = {**os.environ, "QEMU": str(qemu), "BUILD": str(build),
                       "SYSTEM": "examples/my.its", "SYSTEM_IMAGE": f"{build}/examples/my.itb",
                       "QEMUFLAGS": "-last"}
        done = subprocess.run([TOP / "tools/run"], cwd=tmp_path, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        words = [line[1:-1] for line in done.stdout.splitlines() if line.startswith("[")]
        after = words.index("-initrd") + 2 if words else 0
        return words[after:], done.stderr
    run_it.build = build
    return run_it


def test_without(run):
    assert run(None) == (["-last"], "")


def test_words(run):
    assert run("# -not this\n-device  one,two=3\n\n-four\n")[0] == ["-device", "one,two=3",
                                                                      "-four", "-last"]


def test_copy(run):
    """What was written to the copy stays, until the original is newer."""
    original = run.build / "some/disk.img"
    original.parent.mkdir()
    original.write_text("first")
    copy = run.build / "examples/my-disk.img"
    options = "-drive file=@copy:some/disk.img@,format=raw\n"
    expected = ["-drive", f"file={copy},format=raw", "-last"]
    assert run(options) == (expected, "")
    assert copy.read_text() == "first"
    copy.write_text("written")
    assert run(options) == (expected, "")
    assert copy.read_text() == "written"
    original.write_text("second")
    os.utime(original, (copy.stat().st_mtime + 10,) * 2)
    words, said = run(options)
    assert words == expected and f"{copy}.old" in said
    assert copy.read_text() == "second"
    assert Path(f"{copy}.old").read_text() == "written"


def test_nothing_to_copy(run):
    words, said = run("-drive file=@copy:some/disk.img@\n", status=2)
    assert words == [] and "there is no some/disk.img" in said
