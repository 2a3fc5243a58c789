#!/usr/bin/env python3
"""kdpc bench: it runs the programs that stand beside it, hands its arguments on, and says what to do where there are none."""
import json
import os
import shutil
import subprocess
import unittest

import command

PROGRAM = """#!/bin/sh
echo '{"results": {"a": [3], "floor": [2]}, "errors": {}, "figures": [{"id": "live.a", "machine": "live", "what": "a thing", "unit": "ns", "ours": "a",
 "against": "floor", "goal": 2, "more_is_better": false}]}'
"""


class Bench(command.Case):
    def setUp(self):
        super().setUp()
        self.place = self.folder()
        for name in ("bin/kdpc", "libexec/kdpc-sim", "libexec/kdpc-bench"):
            os.makedirs(os.path.dirname(os.path.join(self.place, name)), exist_ok=True)
            shutil.copy(os.path.join(command.BUILD, name), os.path.join(self.place, name))

    def bench(self, *arguments, **environment):
        return subprocess.run([os.path.join(self.place, "bin/kdpc"), "bench", *arguments], cwd="/", env={**os.environ, **environment},
                              capture_output=True, text=True, timeout=60, check=False)

    def program(self, name):
        path = os.path.join(self.place, "libexec/kdpc-benchmarks", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        os.chmod(path, 0o755)

    def test_where_there_are_no_benchmarks_it_says_what_to_do(self):
        done = self.bench()
        self.assertEqual((done.returncode, done.stdout), (69, ""), done.stderr)
        self.assertIn("cmake --build out/release --target benchmarks", done.stderr)

    def test_its_arguments_are_handed_on(self):
        self.program("ours")
        self.program("others")
        done = self.bench("--json", "--only", "ours", "--rounds", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        document = json.loads(done.stdout)
        self.assertEqual([(f["id"], f["ratio"], f["repetitions"]) for f in document["figures"]], [("live.a", 1.5, 3)])
        self.assertRegex(self.bench("--quick").stdout, r"(?m)^live\.a +3\.00 +2\.00 +1\.50  <= 2 +yes")

    def test_help_is_that_of_the_benchmarks(self):
        done = self.bench("--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("usage: kdpc bench "), done.stdout)
        self.assertIn("--rounds N", done.stdout)

    def test_what_it_does_not_know_is_bad_usage(self):
        self.program("ours")
        for arguments in (("--jsno",), ("--only", "nothing"), ("--rounds", "0")):
            done = self.bench(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)

    def test_without_its_program_the_command_says_so(self):
        os.remove(os.path.join(self.place, "libexec/kdpc-bench"))
        done = self.bench()
        self.assertEqual(done.returncode, 69)
        self.assertIn("kdpc-bench: No such file or directory; it belongs to an installation", done.stderr)

    def test_without_python_the_command_names_its_package(self):
        done = self.bench(PATH="/nowhere")
        self.assertEqual((done.returncode, done.stdout), (69, ""))
        self.assertIn("Debian's package python3", done.stderr)


if __name__ == "__main__":
    unittest.main()
