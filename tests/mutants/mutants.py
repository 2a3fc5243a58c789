#!/usr/bin/env python3
"""Plants one mistake at a time in the kernel, or in what stands on it, and runs the tests that claim to prove the rule it breaks. Each must be noticed.

mutants.txt has one mutant per paragraph: a head line `RULE file`, then lines `-` as they stand in src/<file> and lines `+` that take their place.
The tests are found by their RULE("…") statements in tests/. Per mutant one file is compiled and libkdpc-sim linked anew, with the build's own
commands, in <build>/mutants; the test program finds that library by LD_LIBRARY_PATH. Before, the same tests must pass with a library that was
linked in the same way without a mutant.

Exit 0: every mutant was killed. 1: one survived. 2: the table does not fit the tree (a line that is not found, a rule no test proves).
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = pathlib.Path(__file__).with_name("mutants.txt")
TEST = re.compile(r'^\s*(?:KDPC_|EXPLORE_)?TEST(?:_F)?\((\w+),\s*(\w+)', re.M)
RULE = re.compile(r'RULE\("([^"]+)"\)')
TEST_LIMIT = 30  # seconds; the tests take less than one each


class TableError(Exception):
    pass


class Mutant:
    def __init__(self, number, rule, file, compiled=None):
        self.number, self.rule, self.file = number, rule, file
        self.compiled = compiled or file  # with a header: the one source that is compiled with the mistake in it
        self.old, self.new = [], []

    def __str__(self):
        old, new = ([line.strip() for line in lines if line.strip()] for lines in (self.old, self.new))
        added, removed = [line for line in new if line not in old], [line for line in old if line not in new]
        return f"{self.rule} {self.file}: {' / '.join(added) or 'without ' + ' / '.join(removed)}"

    def source(self):
        """The whole file with the mistake in it."""
        path = ROOT / "src" / self.file
        if not path.is_file():
            raise TableError(f"{self}: there is no {path}")
        lines = path.read_text().splitlines()
        wanted = [line.strip() for line in self.old]
        places = [i for i in range(len(lines)) if [line.strip() for line in lines[i:i + len(wanted)]] == wanted]
        if len(places) != 1:
            raise TableError(f"{self}: the lines to change are there {len(places)} times:\n  " + "\n  ".join(wanted))
        lines[places[0]:places[0] + len(wanted)] = self.new
        return f'#line 1 "{path}"\n' + "\n".join(lines) + "\n"


def read_table():
    mutants = []
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in "-+" and mutants:
            (mutants[-1].old if line[0] == "-" else mutants[-1].new).append(line[1:])
            continue
        words = line.split()
        if len(words) not in (2, 3):
            raise TableError(f"{TABLE.name}:{number}: a head line is `RULE file`, or `RULE header file`")
        mutants.append(Mutant(len(mutants) + 1, *words))
    return mutants


def runs_on_sim(test):
    for line in (ROOT / "tests/machines.txt").read_text().splitlines():
        words = line.split("#")[0].split()
        if words[:1] == [test]:
            return "sim" in words[1:]
    return True


def tests_by_rule():
    """{rule: {program: [Suite.Name, …]}}, of the simulated machine: races of the live one notice a mistake now and then."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("*_test.cc")):
        if not runs_on_sim(path.stem):
            continue
        text = path.read_text()
        tests = [(match.start(), f"{match[1]}.{match[2]}") for match in TEST.finditer(text)]
        for rule in RULE.finditer(text):
            before = [name for start, name in tests if start < rule.start()]
            if before:
                names = found.setdefault(rule[1], {}).setdefault(f"{path.stem}.sim", [])
                if before[-1] not in names:
                    names.append(before[-1])
    return found


class Build:
    """The build's own commands, with other inputs and outputs."""

    def __init__(self, folder, ninja, library):
        self.folder, self.work = folder, folder / "mutants"
        self.work.mkdir(exist_ok=True)
        run = lambda *arguments: subprocess.run([ninja, "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout
        library = library.resolve()
        name = library.relative_to(folder.resolve()).as_posix()
        self.link_command = run("-t", "commands", "-s", name).strip().splitlines()[-1]
        soname = re.search(r"-soname,(\S+)", self.link_command)
        self.soname = soname[1] if soname else library.name
        self.compile_commands = {}
        database = run("-t", "compdb")
        for entry in json.loads(database):
            if "kdpc-sim.dir" in entry["output"]:
                self.compile_commands[pathlib.Path(entry["file"]).resolve()] = entry

    def shell(self, command, what):
        result = subprocess.run(command, shell=True, cwd=self.folder, capture_output=True, text=True)
        if result.returncode:
            raise TableError(f"{what}:\n{result.stdout}{result.stderr}")

    def link(self, name, replaced=None, replacement=None):
        """A library in a folder of its own; returns the folder."""
        folder = self.work / name
        folder.mkdir(exist_ok=True)
        words = shlex.split(self.link_command.split("&&")[1] if "&&" in self.link_command else self.link_command)
        if replaced is not None and replaced not in words:
            raise TableError(f"the link command does not name {replaced}")
        words = [str(replacement) if word == replaced else word for word in words]
        words[words.index("-o") + 1] = str(folder / self.soname)
        self.shell(shlex.join(words + ["-Wl,--strip-debug"]), f"linking {name}")
        return folder

    def build(self, mutant):
        compiled = (ROOT / "src" / mutant.compiled).resolve()
        entry = self.compile_commands.get(compiled)
        if entry is None:
            raise TableError(f"{mutant}: the build does not compile this file")
        headers = []
        if mutant.compiled == mutant.file:
            source = self.work / f"{mutant.number}.cc"
        else:
            headers = [f"-I{self.work / f'{mutant.number}.include'}"]  # found before the real one
            source = self.work / f"{mutant.number}.include" / mutant.file
            source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(mutant.source())
        object_file = self.work / f"{mutant.number}.o"
        words = shlex.split(entry["command"])
        # Neither debug information nor the dependency file of the real object; an unused variable is part of the mistake.
        for flag in ("-MF", "-MT", "-MQ"):
            if flag in words:
                at = words.index(flag)
                del words[at:at + 2]
        words = [word for word in words if word not in ("-MD", "-MMD", "-g", "-Werror")]
        if not headers:
            words = [str(source) if pathlib.Path(word).is_absolute() and pathlib.Path(word).resolve() == compiled else word for word in words]
        first = next(i for i, word in enumerate(words) if word.startswith("-I"))
        words[first:first] = headers
        words[words.index("-o") + 1] = str(object_file)
        self.shell(shlex.join(words + ["-w", "-g0"]), f"compiling {mutant}")
        return self.link(str(mutant.number), entry["output"], object_file)

    def test(self, folder, program, names):
        """None: all passed. Otherwise how it was noticed."""
        path = self.folder / "tests" / program
        if not path.is_file():
            raise TableError(f"there is no {path}: build all before")
        environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
        listing = subprocess.run([path], env={**environment, "LD_TRACE_LOADED_OBJECTS": "1"}, capture_output=True, text=True).stdout
        if str(folder / self.soname) not in listing:
            raise TableError(f"{program} does not take the library from LD_LIBRARY_PATH:\n{listing}")
        arguments = [path, f"--gtest_filter={':'.join(names)}", "--gtest_brief=1"]
        try:
            result = subprocess.run(arguments, env=environment, cwd=self.work, capture_output=True, text=True, errors="replace", timeout=TEST_LIMIT)
        except subprocess.TimeoutExpired:
            return f"{program} did not end"
        if result.returncode == 0:
            return None
        failed = re.findall(r"^\[  FAILED  \] (\w+\.\w+)", result.stdout, re.M)
        if failed:
            return failed[0]
        # Died: of a signal, or of an invariant. The last test that was begun is not printed in brief mode.
        return f"{program} died: {(result.stderr.strip().splitlines() or ['signal ' + str(-result.returncode)])[-1][:120]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the build folder")
    parser.add_argument("--ninja", default="ninja")
    parser.add_argument("--library", dest="shared_object", type=pathlib.Path, required=True, help="libkdpc-sim.so in it")
    parser.add_argument("--only", metavar="TEXT", help="mutants whose head line contains this")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        mutants = [mutant for mutant in read_table() if not options.only or options.only in f"{mutant.rule} {mutant.file}"]
        proven = tests_by_rule()
        for mutant in mutants:
            mutant.source()
            if mutant.rule not in proven:
                raise TableError(f"{mutant}: no test says RULE(\"{mutant.rule}\")")
        build = Build(options.build.resolve(), options.ninja, options.shared_object)

        control = build.link("control")
        needed = {}
        for mutant in mutants:
            for program, names in proven[mutant.rule].items():
                needed.setdefault(program, set()).update(names)
        for program, names in needed.items():
            noticed = build.test(control, program, sorted(names))
            if noticed:
                raise TableError(f"without any mutant a test fails: {noticed}")

        def judge(mutant):
            folder = build.build(mutant)
            for program, names in proven[mutant.rule].items():
                noticed = build.test(folder, program, names)
                if noticed:
                    return noticed
            return None

        survivors = []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for mutant, noticed in zip(mutants, pool.map(judge, mutants)):
                print(f"{'killed  ' if noticed else 'SURVIVED'} {mutant}\n         {'by ' + noticed if noticed else 'by nothing'}", flush=True)
                if not noticed:
                    survivors.append(mutant)
    except TableError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    groups = {mutant.rule.split("-")[0] for mutant in mutants}
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} mutants killed, in {len(groups)} groups of rules, {time.monotonic() - begun:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
