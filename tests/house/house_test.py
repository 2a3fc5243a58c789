#!/usr/bin/env python3
"""The checks of this house are checked: each tool is copied into a small tree of its own and must object to what is wrong there."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

CASE = '<testcase name="{name}" classname="Suite" status="run" result="{result}"><properties>{rules}</properties>{rest}</testcase>'


class Tree(unittest.TestCase):
    """A tree with one tool in it."""

    def setUp(self):
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def run_tool(self, tool, *arguments):
        self.write(f"tools/{tool}", (ROOT / "tools" / tool).read_text())
        done = subprocess.run([sys.executable, self.root / "tools" / tool, *arguments], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr


class Rules(Tree):
    def result(self, *cases):
        body = "".join(CASE.format(name=f"t{i}", result=r, rules="".join(f'<property name="rule.{x}" value="1"/>' for x in rules), rest=rest)
                       for i, (rules, r, rest) in enumerate(cases))
        self.write("out/ci/xml/a_test.sim.xml", f"<testsuites><testsuite>{body}</testsuite></testsuites>")

    def required(self, required, excused=""):
        self.write("tests/required_rules.txt", "# Prose with a full stop.\n\n# 1 A section\n" + required + "\n")
        if excused:
            rows = "".join(f"| {rule} | It cannot be seen. |\n" for rule in excused.split())
            self.write("docs/wdk-fidelity.md", f"# A page\n\n| A-3 | not here |\n\n## Rules that no test holds\n\n| rule | why |\n|---|---|\n{rows}\n## More\n\n| A-4 | nor here |\n")

    def test_passing_tests_prove(self):
        self.required("A-1 A-2")
        self.result((["A-1"], "completed", ""), (["A-2"], "completed", ""))
        self.assertEqual(self.run_tool("rules")[0], 0)

    def test_a_failed_test_proves_nothing(self):
        self.required("A-1")
        self.result((["A-1"], "completed", '<failure message="no"/>'))
        status, text = self.run_tool("rules")
        self.assertEqual(status, 1)
        self.assertIn("A-1 was executed by a_test.sim:Suite.t0", text)

    def test_a_skipped_test_proves_nothing(self):
        self.required("A-1")
        self.result((["A-1"], "skipped", ""))
        self.assertEqual(self.run_tool("rules")[0], 1)

    def test_one_failure_among_several_tests_withdraws_the_proof(self):
        self.required("A-1")
        self.result((["A-1"], "completed", ""), (["A-1"], "completed", '<failure message="no"/>'))
        self.assertEqual(self.run_tool("rules")[0], 1)

    def test_a_program_that_did_not_finish_proves_nothing(self):
        self.required("A-1")
        self.write("out/ci/xml/a_test.sim.xml", "<testsuites><testsu")
        self.assertEqual(self.run_tool("rules")[0], 1)

    def test_every_rule_is_told_with_its_tests(self):
        self.required("A-1 A-2")
        self.result((["A-1"], "completed", ""), (["A-2"], "completed", ""), (["A-1"], "completed", ""))
        text = self.run_tool("rules")[1]
        for line in ("A-1      a_test.sim:Suite.t0\n", "         a_test.sim:Suite.t2\n", "A-2      a_test.sim:Suite.t1\n", "2 of   2   100.0 %"):
            self.assertIn(line, text)
        self.assertNotIn("Suite.t0", self.run_tool("rules", "--summary")[1])

    def test_a_rule_without_a_test_needs_a_reason_on_the_page(self):
        many = " ".join(f"B-{i}" for i in range(30))
        proven = [(many.split(), "completed", "")]
        self.required(many + " A-1 A-2", excused="A-1")
        self.result(*proven)
        status, text = self.run_tool("rules")
        self.assertEqual(status, 1)
        self.assertIn("A-1      no test: It cannot be seen.", text)
        self.assertIn("gives no reason: A-2", text)
        self.assertNotIn("gives no reason: A-1", text)
        self.required(many + " A-1", excused="A-1")
        self.assertEqual(self.run_tool("rules")[0], 0)

    def test_a_reason_for_what_a_test_holds_is_one_too_many(self):
        self.required("A-1", excused="A-1")
        self.result((["A-1"], "completed", ""))
        status, text = self.run_tool("rules")
        self.assertEqual(status, 1)
        self.assertIn("held by a test", text)

    def test_reasons_are_for_the_few(self):
        self.required("A-1 A-2 A-3 A-4", excused="A-1")
        self.result((["A-2", "A-3", "A-4"], "completed", ""))
        status, text = self.run_tool("rules")
        self.assertEqual(status, 1)
        self.assertIn("fewer than 95 %", text)

    def test_no_results_is_not_success(self):
        self.required("A-1")
        self.assertEqual(self.run_tool("rules")[0], 2)


class Layers(Tree):
    def check(self, path, include):
        shutil.copy(ROOT / "layers.txt", self.root)
        for header in ("src/base/list.h", "src/kernel/dpc.h", "src/kernel/events.h", "src/wdk/cast.h", "include/wdk/wdm.h", "include/kdpc/lab.h",
                       "src/machine/sim/choice.h", "src/check/race/shadow.h"):
            self.write(header, "")
        self.write(path, f"#include {include}\n")
        return self.run_tool("check_layers.py")

    def test_arrows(self):
        for path, include, status in (
            ("src/kernel/dpc.cc", '"base/list.h"', 0),
            ("src/kernel/dpc.cc", '"check/race/shadow.h"', 1),
            ("src/kernel/dpc.cc", "<wdm.h>", 1),
            ("src/kernel/dpc.cc", "<thread>", 1),
            ("src/kernel/dpc.cc", '"machine/sim/choice.h"', 1),
            ("src/wdk/dpc.cc", "<wdm.h>", 0),
            ("src/check/explore/dfs.cc", '"machine/sim/choice.h"', 0),
            ("src/check/explore/dfs.cc", '"kernel/events.h"', 0),
            ("src/check/explore/dfs.cc", '"kernel/dpc.h"', 1),
            ("include/kdpc/more.h", '"kdpc/lab.h"', 0),
            ("include/kdpc/more.h", '"kernel/dpc.h"', 1),
            ("examples/a.cc", '"kernel/dpc.h"', 1),
            ("tests/kernel/a_test.cc", '"kernel/dpc.h"', 0),
            ("src/elsewhere/a.cc", "<vector>", 1),
        ):
            with self.subTest(path=path, include=include):
                self.assertEqual(self.check(path, include)[0], status)
                (self.root / path).unlink()


class Bench(Tree):
    """Programs that have measured already: each answers round after round with the next of its values."""

    PROGRAM = """#!/usr/bin/env python3
import json, pathlib, sys
runs = pathlib.Path(__file__ + ".runs")
run = len(runs.read_text()) if runs.exists() else 0
runs.write_text("x" * (run + 1))
document = json.loads({document!r})
document["results"] = {{name: [values[run % len(values)]] for name, values in document["results"].items()}}
print(json.dumps(document))
sys.exit({status})
"""

    def program(self, name, results, figures=(), errors=None, status=0, **more):
        document = {"results": results, "errors": errors or {}, "figures": [self.figure(**figure) for figure in figures], **more}
        path = f"out/libexec/kdpc-benchmarks/{name}"
        self.write(path, self.PROGRAM.format(document=json.dumps(document), status=status))
        (self.root / path).chmod(0o755)

    @staticmethod
    def figure(**given):
        return {"machine": "live", "what": "a thing", "unit": "ns", "goal": None, "more_is_better": False, **given}

    def peer(self, name, same_core, kind="peer", **more):
        self.program(f"peer-{name}", {"same_core": [same_core], "latency.one_way_p50": [7000]},
                     peer={"name": name.upper(), "kind": kind, "carries": f"what {name} carries"}, **more)

    def bench(self, *arguments):
        self.write("tools/bench", (ROOT / "tools/bench").read_text())
        return subprocess.run([sys.executable, self.root / "tools/bench", self.root / "out", *arguments], capture_output=True, text=True, timeout=60)

    def document(self, *arguments, status=0):
        done = self.bench("--json", *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        document = json.loads(done.stdout)
        return document, {figure["id"]: figure for figure in document["figures"]}

    def judged(self, figure):
        return tuple(figure[key] for key in ("ours", "against", "ratio", "goal", "met"))

    def test_medians_of_rounds_are_set_against_each_other(self):
        figures = [{"id": "live.a", "ours": "a", "against": "floor", "goal": 4}, {"id": "live.b", "ours": "a", "against": "floor", "goal": 3.9},
                   {"id": "live.c", "ours": "a", "against": "floor", "goal": 3.9, "more_is_better": True}, {"id": "live.d", "ours": "a", "against": "floor"}]
        self.program("x.live", {"a": [30, 10, 20], "floor": [5, 4, 100]}, figures)
        document, by_id = self.document("--rounds", "3")
        self.assertEqual(self.judged(by_id["live.a"]), (20, 5, 4, 4, True))
        self.assertEqual(self.judged(by_id["live.b"]), (20, 5, 4, 3.9, False))
        self.assertEqual(self.judged(by_id["live.c"]), (20, 5, 4, 3.9, True))
        self.assertEqual(self.judged(by_id["live.d"]), (20, 5, 4, None, None))
        self.assertEqual((by_id["live.a"]["repetitions"], by_id["live.a"]["least"], by_id["live.a"]["most"]), (3, 10, 30))
        self.assertEqual(by_id["live.a"]["sentence"], "a thing: 20.00 ns, 4.00 times that of: floor; the goal is at most 4")
        self.assertEqual((document["rounds"], document["failed"]), (3, []))

    def test_a_small_ratio_keeps_its_digits_in_the_sentence_too(self):
        self.program("x.live", {"a": [3], "floor": [1000], "none": [0]}, [{"id": "live.a", "ours": "a", "against": "floor"},
                                                                         {"id": "live.none", "ours": "a", "against": "none", "goal": 1}])
        by_id = self.document("--rounds", "1")[1]
        self.assertEqual(by_id["live.a"]["sentence"], "a thing: 3.00 ns, 0.0030 times that of: floor")
        self.assertEqual(self.judged(by_id["live.none"]), (None, None, None, 1, None))
        self.assertEqual(by_id["live.none"]["absent"], "nothing can be divided by what none took: 0.00 ns")

    def test_seven_rounds_without_a_word(self):
        self.program("x.live", {"a": [1]}, [{"id": "live.a", "ours": "a", "against": "a"}])
        self.assertEqual(self.document()[1]["live.a"]["repetitions"], 7)
        self.assertEqual(self.document("--quick")[1]["live.a"]["repetitions"], 1)

    def test_a_program_may_have_all_its_rounds_at_once(self):
        self.program("x.sim", {"a": [2, 9]}, [{"id": "sim.a", "ours": "a", "against": "a"}], at_once=True)
        self.assertEqual(self.judged(self.document("--rounds", "3")[1]["sim.a"]), (2, 2, 1, None, None))

    def test_the_best_peer_is_the_quickest_and_no_reference(self):
        self.program("x.live", {"a": [30]}, [{"id": "live.a", "ours": "a", "against": "best_peer/same_core", "goal": 0.75},
                                             {"id": "live.nt", "ours": "a", "against": "peer-nt/same_core", "goal": 0.6},
                                             {"id": "live.floor", "ours": "a", "against": "floors/line"}])
        self.program("floors", {"line": [15]}, floors=[{"result": "line", "what": "a line"}])
        self.peer("slow", 60)
        self.peer("quick", 40)
        self.peer("nt", 10, kind="reference")
        document, by_id = self.document("--rounds", "1")
        self.assertEqual(self.judged(by_id["live.a"]), (30, 40, 0.75, 0.75, True))
        self.assertEqual(by_id["live.a"]["floor"], "best peer: QUICK")
        self.assertEqual(self.judged(by_id["live.nt"]), (30, 10, 3, 0.6, False))
        self.assertEqual(self.judged(by_id["live.floor"]), (30, 15, 2, None, None))
        self.assertEqual([(f["id"], f["value"]) for f in document["floors"]], [("floors/line", 15)])
        self.assertEqual([(p["id"], p["same_core"], p["one_way_p50"], p["stream"]) for p in document["peers"] if p["kind"] != "ours"],
                         [("nt", 10, 7000, None), ("quick", 40, 7000, None), ("slow", 60, 7000, None)])

    def test_a_peer_that_is_not_there_is_skipped_with_a_sentence(self):
        self.program("x.live", {"a": [30]}, [{"id": "live.a", "ours": "a", "against": "peer-gone/same_core", "goal": 1},
                                             {"id": "live.b", "ours": "a", "against": "best_peer/same_core", "goal": 1}])
        self.write("out/libexec/kdpc-benchmarks/absent.txt", "peer-gone libgone-dev\n")
        self.peer("unstartable", 1, status=127)
        self.peer("poor", 40, errors={"stream": "it has no rings"})
        document, by_id = self.document("--rounds", "2")
        self.assertEqual(self.judged(by_id["live.a"]), (None, None, None, 1, None))
        self.assertIn("libgone-dev was not installed", by_id["live.a"]["absent"])
        self.assertEqual(by_id["live.b"]["against"], 40)
        rows = {peer["id"]: peer for peer in document["peers"]}
        self.assertIn("libgone-dev", rows["gone"]["absent"])
        self.assertIn("cannot be started", rows["unstartable"]["absent"])
        self.assertEqual(rows["poor"]["errors"], {"stream": "it has no rings"})

    def test_what_is_ours_must_run(self):
        self.program("x.live", {"a": [30]}, [{"id": "live.b", "ours": "b", "against": "a"}], errors={"b": "it broke"})
        self.program("y.live", {"a": [1]}, [{"id": "live.y", "ours": "a", "against": "a"}], status=3)
        document, by_id = self.document(status=1)
        self.assertEqual(document["failed"], ["y.live (exit 3)", "x.live/b (it broke)"])
        self.assertEqual(by_id["live.b"]["absent"], "x.live/b: it broke")

    def test_no_programs_is_a_thing_this_system_lacks(self):
        done = self.bench()
        self.assertEqual((done.returncode, done.stdout), (69, ""))
        self.assertIn("the target 'benchmarks' makes them", done.stderr)

    def test_the_tables(self):
        self.program("path_bench.live", {"insert_retire": [20.5], "floor": [10], "big": [123456.7]},
                     [{"id": "live.a", "ours": "insert_retire", "against": "floor", "goal": 2}, {"id": "live.b", "ours": "big", "against": "floor"},
                      {"id": "live.c", "ours": "none", "against": "floor", "goal": 1}])
        self.peer("uv", 41)
        lines = self.bench("--rounds", "1").stdout.splitlines()
        for line in (
            "live.a                               20.50         10.00     2.05  <= 2     no   ns   a thing, floor",
            "live.b                             123,457         10.00 12345.67                ns   a thing, floor",
            "live.c                              absent  a thing: path_bench.live/none: was not measured",
            "kdpc, live; its target sleeps                    20.50           -           -           -           -           -",
            "UV                                               41.00           -           -      7000.0           -           -",
            "kdpc, live; its target sleeps, divided by          one       of 64      stream     one way         p99    and back",
            "UV                                                0.50           -           -           -           -           -",
            "UV: what uv carries",
        ):
            self.assertIn(line, lines)
        self.assertFalse([line for line in lines if line.startswith("kdpc, live; it polls, divided by")], "nothing of ours was measured there")

    def test_the_page_gets_the_tables_and_keeps_the_rest(self):
        self.program("x.live", {"a": [1]}, [{"id": "live.a", "ours": "a", "against": "a"}])
        self.assertNotEqual(self.bench("--docs", "--quick").returncode, 0)
        begin, end = "<!-- ./dev bench --docs writes from here -->", "<!-- to here -->"
        self.write("docs/performance.md", f"Before.\n\n{begin}\nold\n{end}\n\nAfter.\n")
        self.assertEqual(self.bench("--docs", "--only", "x").returncode, 2, "the page is not for a part of them")
        self.assertIn("old", (self.root / "docs/performance.md").read_text())
        for _ in range(2):
            self.assertEqual(self.bench("--docs", "--quick").returncode, 0)
            page = (self.root / "docs/performance.md").read_text()
            self.assertTrue(page.startswith(f"Before.\n\n{begin}\n```\nfigure ") and page.endswith(f"\n```\n{end}\n\nAfter.\n"), page)
            self.assertNotIn("old", page)
            self.assertEqual(page.count("live.a "), 1)


class Pages(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        for page in (ROOT / "README.md", ROOT / "examples/README.md", *(ROOT / "docs").glob("*.md")):
            text = page.read_text()
            for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
                there = page.parent / target if target else page
                with self.subTest(page=page.name, link=f"{target}#{anchor}"):
                    self.assertTrue(there.exists())
                    if anchor and there.suffix == ".md":
                        headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
                        self.assertIn(anchor, [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings])


class Faults(unittest.TestCase):
    def test_the_page_lists_what_may_fail(self):
        call = re.compile(r"KDPC_MAY_FAIL\((\w+),\s*([\w:]+)")
        returned = {"nullptr": "NULL", "wdk::no_memory": "NULL"}
        made = {(match[1], returned.get(match[2], match[2])) for file in (ROOT / "src").rglob("*.cc") for match in call.finditer(file.read_text(encoding="utf-8"))}
        rows = re.findall(r"^\| (NULL|STATUS_\w+) \| (.*) \|$", (ROOT / "docs" / "explore.md").read_text(encoding="utf-8"), re.M)
        listed = [(routine, value) for value, routines in rows for routine in re.findall(r"`(\w+)`", routines)]
        self.assertEqual(sorted(made), sorted(listed))


class Machines(unittest.TestCase):
    """tests/machines.txt is the list of the tests that do not run on both machines, with reasons; within a file each such case says its own."""

    FOLDERS = ("kernel", "io", "wdk", "devices", "examples", "machine")
    TESTS = ROOT / "tests"

    def setUp(self):
        lines = [line for line in (self.TESTS / "machines.txt").read_text().splitlines() if line and not line.startswith("#")]
        self.names = [line.split()[0] for line in lines]
        self.machines = {line.split()[0]: set(line.partition("#")[0].split()[1:]) for line in lines}
        self.reasons = {line.split()[0]: line.partition("#")[2].strip() for line in lines}

    def test_every_test_stands_there_once(self):
        tests = [path.stem for folder in self.FOLDERS for path in (self.TESTS / folder).glob("*_test.cc")]
        self.assertEqual(sorted(set(tests) - set(self.names)), [], "these are not in tests/machines.txt")
        self.assertEqual(sorted({name for name in self.names if self.names.count(name) > 1}), [], "these stand there twice")

    def test_every_name_is_one_of_a_test(self):
        there = {path.stem for pattern in ("*_test.cc", "*_bench.cc") for path in self.TESTS.rglob(pattern)}
        self.assertEqual(sorted(set(self.names) - there), [], "there are no such tests")

    def test_every_absence_has_a_reason(self):
        for name, machines in self.machines.items():
            if not name.endswith("_test"):
                continue
            with self.subTest(name):
                self.assertTrue(machines and machines <= {"sim", "live"}, machines)
                if machines != {"sim", "live"}:
                    self.assertTrue(self.reasons[name], "why not on both?")
                else:
                    self.assertEqual(self.reasons[name], "", "it runs on both, and has a reason why not")

    def test_only_a_test_that_runs_on_both_marks_single_cases(self):
        for path in self.TESTS.rglob("*_test.cc"):
            if ".simulated_only" in path.read_text() and path.parent.name in self.FOLDERS:
                self.assertEqual(self.machines[path.stem], {"sim", "live"}, path.stem)


unittest.main()
