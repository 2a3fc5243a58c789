#!/usr/bin/env python3
"""A page's code blocks do what it says: they are written out, built against an installed kdpc in a fresh folder, and run. And the demo prints
what the README shows of it.

usage: readme_test.py PAGE BUILD SCRATCH   (a block "```c blink.c" is a file, "```sh run" are commands)
"""
import os
import re
import shutil
import subprocess
import sys


# Times may differ by a hair: they change with every change of what a kernel call costs.
def alike(shown, printed):
    time = r"\d+\.\d+"
    times = [(float(a), float(b)) for a, b in zip(re.findall(time, shown), re.findall(time, printed))]
    return re.sub(time, "#", shown) == re.sub(time, "#", printed) and all(abs(a - b) <= 0.01 + a / 100 for a, b in times)


# The lines between "plays a real recording" and "The evidence follows" that stand indented.
def demo(readme, build, text):
    examples = os.path.join(os.path.dirname(os.path.abspath(readme)), "examples", "demo")
    shown = re.findall(r"^    (.+)$", text[text.index("plays a real recording") : text.index("The evidence follows")], re.MULTILINE)
    printed = ""
    for name in ("on-time", "bad-neighbour"):
        run = subprocess.run([os.path.join(build, "bin", "kdpc"), "run", os.path.join(examples, name + ".toml")], capture_output=True, text=True, check=False)
        if run.returncode == 69:
            print("the demo is left out:", run.stderr.strip())
            return
        printed += run.stdout
    missing = [line for line in shown if not any(alike(line, other) for other in printed.splitlines())]
    if not shown or missing:
        sys.exit("\n".join(["the demo does not print what the README shows:", *missing, "but:", printed]))


def main():
    readme, build, scratch = sys.argv[1:]
    shutil.rmtree(scratch, ignore_errors=True)
    project, prefix = os.path.join(scratch, "project"), os.path.join(scratch, "prefix")
    os.makedirs(project)
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    text = open(readme, encoding="utf-8").read()
    blocks = re.findall(r"^```(\w+) (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    files = [name for _, name, _ in blocks if name != "run"]
    if not files or len(files) == len(blocks):
        sys.exit("the page has no files, or no commands, to try")
    for _, name, body in blocks:
        if name != "run":
            with open(os.path.join(project, name), "w", encoding="utf-8") as file:
                file.write(body)
    for _, name, body in blocks:
        if name == "run":
            subprocess.run(["bash", "-euxo", "pipefail", "-c", body], cwd=project, env={**os.environ, "PREFIX": prefix}, check=True)
    if "plays a real recording" in text:
        demo(readme, build, text)
    print(f"{len(files)} files written, built and run as the page says")


main()
