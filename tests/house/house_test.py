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

    def required(self, required, pending=""):
        self.write("tests/required_rules.txt", "# 1 A section\n" + required + "\n")
        if pending:
            self.write("tests/rules_pending.txt", pending + "\n")

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

    def test_pending_is_exactly_what_is_missing(self):
        self.required("A-1 A-2", pending="A-2")
        self.result((["A-1"], "completed", ""))
        self.assertEqual(self.run_tool("rules")[0], 0)
        self.result((["A-1", "A-2"], "completed", ""))
        status, text = self.run_tool("rules")
        self.assertEqual(status, 1)
        self.assertIn("still listed as pending", text)
        self.assertEqual(self.run_tool("rules", "--update")[0], 0)
        self.assertFalse((self.root / "tests/rules_pending.txt").exists())

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
