#!/usr/bin/env python3
"""Two processes in different folders, with the host busy, make the same run: equal trace hashes and equal bytes of sound."""
import hashlib
import subprocess
import sys
import unittest

import command


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@command.needs_sound
class Determinism(command.Case):
    def setUp(self):
        super().setUp()
        for _ in range(3):
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], stdin=subprocess.DEVNULL)
            self.addCleanup(busy.wait)
            self.addCleanup(busy.kill)

    def test_equal_runs_are_equal_on_1_2_and_4_processors(self):
        hashes = set()
        for processors in (1, 2, 4):
            with self.subTest(processors=processors):
                scenario = command.playing(("hog", {**command.HOG, "Count": 2}), ("neighbour", {"FirstMs": 30, "PeriodMs": 70, "RunUs": 3000, "Processor": processors - 1}),
                                           processors=processors)
                first, second = self.run_scenario(scenario), self.run_scenario(scenario, name="a longer name.toml")
                self.assertIsNotNone(first.report, first.said)
                self.assertIsNotNone(second.report, second.said)
                self.assertEqual(first.report["trace_hash"], second.report["trace_hash"])
                self.assertEqual(digest(first.wav), digest(second.wav))
                for report in (first.report, second.report):
                    del report["wall_seconds"], report["scenario"], report["title"]  # the last two are the file's name
                self.assertEqual(first.report, second.report)
                hashes.add(first.report["trace_hash"])
        self.assertEqual(len(hashes), 3)

    def test_another_parameter_is_another_run(self):
        runs = [self.run_scenario(command.playing(("hog", {**command.HOG, "RunUs": late}))) for late in (45000, 45001)]
        self.assertNotEqual(runs[0].report["trace_hash"], runs[1].report["trace_hash"])

    def test_tracing_does_not_change_the_run(self):
        scenario = command.playing(("hog", command.HOG))
        self.assertEqual(self.run_scenario(scenario).report["trace_hash"], self.run_scenario(scenario, "--trace").report["trace_hash"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
