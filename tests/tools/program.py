# SPDX-License-Identifier: MIT
"""A program of this tree as a module: its name has no .py."""

import importlib.machinery
import importlib.util
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def load(path):
    loader = importlib.machinery.SourceFileLoader(Path(path).name, str(TOP / path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module
