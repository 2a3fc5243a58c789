#!/usr/bin/env python3
"""The checks of this house are checked: each tool is copied into a small tree of its own and must object to what is wrong there."""
import pathlib
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


unittest.main()
