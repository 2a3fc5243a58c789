#!/usr/bin/env python3
"""The README's code blocks do what it says: they are written out, built against an installed kdpc in a fresh folder, and run.

usage: readme_test.py README BUILD SCRATCH   (a block "```c blink.c" is a file, "```sh run" are commands)
"""
import os
import re
import shutil
import subprocess
import sys


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
        sys.exit("the README has no files, or no commands, to try")
    for _, name, body in blocks:
        if name != "run":
            with open(os.path.join(project, name), "w", encoding="utf-8") as file:
                file.write(body)
    for _, name, body in blocks:
        if name == "run":
            subprocess.run(["bash", "-euxc", body], cwd=project, env={**os.environ, "PREFIX": prefix}, check=True)
    print(f"{len(files)} files written, built and run as the README says")


main()
