#!/usr/bin/env python3
"""Makes docs/wdk-fidelity.md: every routine of the interrupt path, how true it is to Windows, by which public source, held by which tests.

From the tables of exports (the .def files), src/wdk/fidelity.toml, and the names of routines and rules in the tests' sources.

fidelity.py           writes the page
fidelity.py --check   compares it, all but the choice of tests, which must exist; 1: it is not what it should be

A name that is in the wrong list, an export that is called missing, a macro that is not in the headers, is an error in either case.
"""
import collections
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/wdk-fidelity.md"
TABLES = ("src/wdk/routines.def", "src/io/routines.def", "src/wdk/rtl.def")
AROUND = ("nt/rtl.h", "ntstrsafe.h", "nt/registry.h", "the hook")  # sections that are not of the path
ROW = re.compile(r'^ROUTINE\((\w+), (\w+), (\w+), (\w+), "([^"]*)", "([^"]*)"\)')
TEST = re.compile(r"^(?:KDPC_TEST|TEST|TEST_F|TEST_P)\(\s*(\w+),\s*(\w+)", re.M)

Row = collections.namedtuple("Row", "name lowest highest rule")


def read_rows():
    """{section: [Row]} in the order of the tables."""
    sections = {}
    for table in TABLES:
        heading = None
        for line in (ROOT / table).read_text().splitlines():
            if line.startswith("// ") and re.match(r"// (nt/|ntstrsafe|the hook)", line):
                heading = line[3:].split(";")[0]
            if found := ROW.match(line):
                sections.setdefault(heading, []).append(Row(found[1], found[2], found[3], found[5]))
    return sections


def read_drivers():
    """{name of a driver that tests load: the words of its sources}"""
    drivers = {}
    for folder in ("tests/drivers", "examples/drivers", "tests/rules/drivers"):
        for entry in sorted((ROOT / folder).iterdir()):
            sources = sorted(entry.rglob("*.[ch]*")) if entry.is_dir() else [entry]
            drivers[entry.stem] = set(re.findall(r"\w+", "\n".join(source.read_text() for source in sources if source.suffix in (".c", ".h", ".cpp"))))
    return drivers


def read_tests():
    """[(test, rules it executes, the words of its text and of the file's helpers that it calls, the words of its own text)]"""
    tests, drivers = [], read_drivers()
    for path in sorted((ROOT / "tests").rglob("*_test.cc")):
        text = path.read_text()
        starts = [found.start() for found in TEST.finditer(text)] + [len(text)]
        for found, end in zip(TEST.finditer(text), starts[1:]):
            body = text[found.start():end]
            body = body[:body.find("\n}\n") + 2] if "\n}\n" in body else body
            words = set(re.findall(r"\w+", body))
            tests.append((f"{found[1]}.{found[2]}", set(re.findall(r'RULE\("([^"]+)"\)', body)), words, words))
        # Helpers of the file: a test that calls one which names the routine holds it too.
        helpers = {}
        shared = [ROOT / header for header in re.findall(r'#include "(tests/[^"]+)"', text)]
        used = text + "".join(header.read_text() for header in shared if header.exists())
        shared = [ROOT / header for header in re.findall(r'#include "(tests/[^"]+)"', used)]  # and what those include
        used += "".join(header.read_text() for header in shared if header.exists())
        loaded = set().union(*(drivers[name] for name in set(re.findall(r"\w+", text)) & drivers.keys()))
        for helper in re.finditer(r"^[\w:<>*& ]+?\b(\w+)\([^;{]*\) (?:\w+ )?\{\n(.*?)^\}", used, re.M | re.S):
            if helper[1] not in ("TEST", "KDPC_TEST", "TEST_P", "TEST_F"):
                helpers[helper[1]] = set(re.findall(r"\w+", helper[2]))
        for index in range(len(tests) - len(starts) + 1, len(tests)):
            name, rules, words, direct = tests[index]
            reached, todo = set(words), list(words & helpers.keys())
            while todo:
                for word in helpers[todo.pop()] - reached:
                    reached.add(word)
                    if word in helpers:
                        todo.append(word)
            tests[index] = (name, rules, reached | loaded, direct)
    return tests


def tests_of(names, rule, tests, exports):
    """Two of those that hold it: they name it themselves, prove its rule, and name little else."""
    naming = [((not direct & names, rule not in rules, len(words & exports), name), name) for name, rules, words, direct in tests if words & names]
    ordered = [name for _, name in sorted(naming)]
    return ", ".join(f"`{name}`" for name in ordered[:2]) if ordered else "its levels only"


def make():
    hand = tomllib.loads((ROOT / "src/wdk/fidelity.toml").read_text())
    sections = read_rows()
    exported = {row.name for rows in sections.values() for row in rows}
    as_documented = hand["documented_as"]
    documented = {as_documented.get(name, name) for name in exported}
    headers = {name: header for header, names in hand["header"].items() for name in names.split()}
    wdk = "\n".join(path.read_text() for path in sorted((ROOT / "include/wdk").rglob("*.h")))
    in_headers = set(re.findall(r"\w+", wdk))
    tests = read_tests()
    # A name that a header pastes together stands in no header; a test that calls it shows that it is there.
    in_headers |= set().union(*(words for _, _, words, _ in tests))

    errors = []
    errors += [f"{name} is called not modelled, and is there" for name in hand["not_modelled"] if name in documented | exported | in_headers]
    inline = hand["inline"]["names"].split()
    errors += [f"{name} is called a macro, and is not in include/wdk" for name in inline if name not in in_headers]
    errors += [f"{name} is called a macro, and is exported" for name in inline if name in exported]
    for kind in ("differs", "undocumented", "documented_as"):
        errors += [f"{name} stands under [{kind}], and is no export" for name in hand[kind] if name not in exported and name not in inline]

    def source(name):
        if name in hand["undocumented"]:
            return hand["undocumented"][name]
        name = as_documented.get(name, name)
        header = headers.get(name, headers.get(next((key for key, value in as_documented.items() if value == name), ""), "wdm"))
        return f"nf-{header}-{name.lower()}"

    counts = collections.Counter()
    body = []
    for heading, rows in sections.items():
        if heading.startswith(AROUND):
            continue
        body += ["", f"### {heading}", "", "| routine | IRQL | as on Windows? | source | rule | tests |", "|---|---|---|---|---|---|"]
        for row in rows:
            how = hand["differs"].get(row.name)
            counts["differs" if how else "same"] += 1
            shown = as_documented.get(row.name, row.name)
            levels = row.lowest if row.lowest == row.highest else f"{row.lowest}…{row.highest}"
            body.append(f"| `{shown}` | {levels} | {'differs: ' + how if how else 'same'} | {source(row.name)} | {row.rule} | "
                        f"{tests_of({row.name, shown}, row.rule, tests, exported)} |")
    body += ["", "### macros and inline functions", "", "| routine | as on Windows? | source | tests |", "|---|---|---|---|"]
    for name in sorted(inline):
        how = hand["differs"].get(name)
        counts["differs" if how else "same"] += 1
        body.append(f"| `{name}` | {'differs: ' + how if how else 'same'} | {source(name)} | {tests_of({name}, '', tests, exported)} |")
    missing = hand["not_modelled"]

    around = [(heading, rows) for heading, rows in sections.items() if heading.startswith(AROUND[:3])]
    page = ["# How true to Windows", "",
            "Made by `tools/fidelity.py` from the tables of exports, `src/wdk/fidelity.toml` and the tests. A source `nf-wdm-keinsertqueuedpc` is the page",
            "of that name in Microsoft's reference, learn.microsoft.com/windows-hardware/drivers/ddi/wdm/nf-wdm-keinsertqueuedpc; SEMANTICS is the",
            "specification that the ids of rules come from. *Same* means: what the rule says, as far as a driver can observe it, and the tests",
            "named hold it, among others; what no public source says is not known to be the same. The levels of each export are held by the tests",
            "`RoutineLevels.AreKept`, with the sub-code of bug check 0xC4.", "",
            f"Of the interrupt path, {counts['same']} routines are the same, {counts['differs']} differ, and {len(missing)} that Windows documents are not modelled.",
            "", "## Routines", *body, "", "## Not modelled", "", "| routine | why | source |", "|---|---|---|"]
    page += [f"| `{name}` | {why} | {source(name)} |" for name, why in sorted(missing.items())]
    page += ["", "## Around the path", "", "Also there, documented, and tested by themselves:", ""]
    page += [f"* {heading}: " + ", ".join(f"`{row.name}`" for row in rows) for heading, rows in around]
    page += ["", "## Rules that no test holds", "", "| rule | why |", "|---|---|"]
    page += [f"| {rule} | {why} |" for rule, why in hand["unheld_rules"].items()]
    return "\n".join(page) + "\n", errors


def without_tests(page):
    """The last cell of a routine's row names two of its tests: which two may change with every new test, and need not be written anew for that."""
    return re.sub(r"^(\| `.*) \|[^|\n]*\|$", r"\1 |", page.split("\n## Not modelled")[0], flags=re.M) + page.partition("\n## Not modelled")[2]


def named_tests(page):
    return set(re.findall(r"`(\w+\.\w+)`", page.split("\n### ", 1)[1].split("\n## Not modelled")[0]))


def every_test():
    return {name for name, *_ in read_tests()}


def main():
    page, errors = make()
    for error in errors:
        print(f"fidelity: src/wdk/fidelity.toml: {error}", file=sys.stderr)
    if sys.argv[1:] == ["--check"]:
        if without_tests(PAGE.read_text()) != without_tests(page) or named_tests(PAGE.read_text()) - every_test():
            print("fidelity: docs/wdk-fidelity.md is not what its sources make; tools/fidelity.py writes it anew", file=sys.stderr)
            return 1
    elif sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    else:
        PAGE.write_text(page)
    return 1 if errors else 0


sys.exit(main())
