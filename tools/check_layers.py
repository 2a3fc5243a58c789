#!/usr/bin/env python3
"""Checks every #include of the tree against layers.txt. Exit 0 when all are allowed, 1 with one line per arrow that is not."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SOURCES = {".h", ".c", ".cc", ".cpp", ".def", ".inc"}


def read_table():
    table = {}
    for line in (ROOT / "layers.txt").read_text().splitlines():
        name, colon, allowed = line.split("#")[0].partition(":")
        if colon:
            table[name.strip()] = allowed.split()
    return table


def layer_of(path, layers):
    """The longest layer whose folder holds `path` (relative to the root)."""
    text = path.as_posix().removeprefix("src/")
    return max((l for l in layers if text == l or text.startswith(l + "/")), key=len, default=None)


def resolve(including, name):
    """The file of this tree an include means, as the compiler's include path would find it; None for the toolchain's headers."""
    for folder in (including.parent, ROOT / "src", ROOT / "include", ROOT / "include/wdk"):
        if (folder / name).is_file():
            return (folder / name).resolve().relative_to(ROOT)
    return None


def allowed(source_layer, target, target_layer, name, allows):
    if name == "this_machine.h":
        return name in allows or "*" in allows or source_layer.startswith("machine/")
    if target is None:
        return f"!<{name}>" not in allows
    text = target.as_posix().removeprefix("src/")
    return "*" in allows or target_layer in (source_layer, *allows) or text in allows


def main():
    table = read_table()
    problems = []
    for top in ("src", "include", "tools", "tests", "examples"):
        for path in sorted(p for p in (ROOT / top).rglob("*") if p.suffix in SOURCES):
            here = path.relative_to(ROOT)
            layer = layer_of(here, table)
            if layer is None:
                problems.append(f"{here}: is in no layer of layers.txt")
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                name = match.group(2)
                target = resolve(path, name)
                target_layer = target and layer_of(target, table)
                if not allowed(layer, target, target_layer, name, table[layer]):
                    problems.append(f"{here}:{number}: layer {layer} may not include {name}" + (f" ({target_layer})" if target_layer else ""))
    print("\n".join(problems) if problems else "layers: every include is allowed")
    return 1 if problems else 0


sys.exit(main())
