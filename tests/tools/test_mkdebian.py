# SPDX-License-Identifier: MIT
"""tools/mkdebian: what it writes down of unpacked packages is what dpkg would have."""

import hashlib
import subprocess

import pytest

from program import load


@pytest.fixture
def mkdebian():
    return load("tools/mkdebian")


CONTROL = """\
Package: {name}
Version: 1.2-3
Architecture: {architecture}
Maintainer: Nobody <nobody@example.org>
Multi-Arch: {multi}
Description: a package
 with a second line,
 .
 and an empty one
"""


def make_package(folder, name, files, multi="foreign", control=(), architecture="riscv64"):
    """A package with these files, {path: text}, and files that tell dpkg about it."""
    top = folder / f"{name}.d"
    files = {**files, "DEBIAN/control": CONTROL.format(name=name, multi=multi,
                                                       architecture=architecture), **dict(control)}
    for path, text in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    path = folder / "debs" / f"{name}_1.2-3_{architecture}.deb"
    path.parent.mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", top, path], check=True,
                   capture_output=True)
    return path


@pytest.fixture
def root(tmp_path, mkdebian):
    """Two packages, unpacked."""
    make_package(tmp_path, "zlib", {"usr/lib/z.so": "z"}, multi="same",
                 control={"DEBIAN/triggers": "interest-noawait /usr/lib\ninterest ldconfig\n"
                                             "activate other\n"}.items())
    make_package(tmp_path, "base-files", {"etc/settings": "a=1\n", "usr/share/text": "text"},
                 control={"DEBIAN/conffiles": "/etc/settings\n"}.items())
    root = tmp_path / "root"
    root.mkdir()
    mkdebian.unpack_all(sorted((tmp_path / "debs").glob("*.deb")), root)
    return root


def query(root, *arguments):
    return subprocess.run(["dpkg-query", f"--admindir={root}/var/lib/dpkg", *arguments],
                          check=True, capture_output=True, text=True).stdout


def test_status(root):
    """dpkg reads all of it back."""
    shown = query(root, "-W", "-f", "${Package} ${Version} ${db:Status-Status} ${Description}\n")
    text = "1.2-3 unpacked a package\n with a second line,\n .\n and an empty one\n"
    assert shown == f"base-files {text}zlib {text}"
    digest = hashlib.md5(b"a=1\n").hexdigest()
    assert query(root, "-W", "-f", "${Conffiles}", "base-files").strip() == f"/etc/settings {digest}"


def test_files(root):
    assert (root / "usr/lib/z.so").read_text() == "z"
    assert query(root, "-L", "zlib:riscv64").split() == ["/.", "/usr", "/usr/lib",
                                                         "/usr/lib/z.so"]
    info = {path.name for path in (root / "var/lib/dpkg/info").iterdir()}
    assert info == {"format", "zlib:riscv64.list", "zlib:riscv64.triggers", "base-files.list",
                    "base-files.conffiles"}
    assert not (root / "control").exists()


def test_triggers(root):
    folder = root / "var/lib/dpkg/triggers"
    assert (folder / "File").read_text() == "/usr/lib zlib:riscv64/noawait\n"
    assert (folder / "ldconfig").read_text() == "zlib:riscv64\n"
    assert not (folder / "other").exists()


def test_damaged(tmp_path, mkdebian):
    path = make_package(tmp_path, "some", {"usr/share/text": "text" * 10000})
    path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "root").mkdir()
    with pytest.raises((OSError, subprocess.CalledProcessError)):
        mkdebian.unpack_all([path], tmp_path / "root")


def test_key(tmp_path, mkdebian, monkeypatch):
    """It changes with a file's name and its contents, and with nothing else."""
    monkeypatch.setattr(mkdebian, "TOP", tmp_path)
    monkeypatch.setattr(mkdebian, "RECIPE", tmp_path / "recipe")
    monkeypatch.setattr(mkdebian, "__file__", str(tmp_path / "recipe/a"))
    (tmp_path / "recipe/folder").mkdir(parents=True)
    keys = []
    for name, text in (("a", "1"), ("folder/b", "1"), ("folder/b", "2"), ("c", "")):
        (tmp_path / "recipe" / name).write_text(text)
        keys.append(mkdebian.recipe_key())
    assert len(set(keys)) == 4
    (tmp_path / "recipe/c").touch()
    assert mkdebian.recipe_key() == keys[-1]
