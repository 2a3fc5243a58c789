#!/usr/bin/env python3
"""Every entry of the museum lives and dies under `kdpc run`: its twin without a word on one, two and four processors; the entry itself as
museum.txt says, which for most is that the machine's own order of events does not show the mistake. Then the same with a look for data races. Explored,
in a test of its own: in other orders."""
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import unittest

from table import entries

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
HERE = pathlib.Path(__file__).resolve().parent


RACES = '\n[checks]\nraces = "certain"\nmode = "keep-going"\n'


def run(name, processors=None, more=""):
    """Exit code, report, and all that was said."""
    scenario = (BUILD / "museum" / f"{name}.toml").read_text(encoding="utf-8")
    if processors is not None:
        scenario = "\n".join(f"processors = {processors}" if line.startswith("processors") else line for line in scenario.splitlines())
    with tempfile.TemporaryDirectory(prefix="kdpc-museum-") as folder:
        path = pathlib.Path(folder) / f"{name}.toml"
        path.write_text(scenario + more, encoding="utf-8")
        done = subprocess.run([BUILD / "bin" / "kdpc", "run", path, "--json"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              check=False)
    report = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, report, f"{name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def explore(name, schedules, *more):
    """The same, of a campaign of so many schedules, which are the same every time."""
    with tempfile.TemporaryDirectory(prefix="kdpc-museum-") as folder:
        done = subprocess.run([BUILD / "bin" / "kdpc", "explore", BUILD / "museum" / f"{name}.toml", *more, "--seconds", "0",
                               "--schedules", str(schedules), "--jobs", "1", "--json", "--out", pathlib.Path(folder) / "found.schedule"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    report = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, report, f"{name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def all_of(jobs, what=run):
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda job: what(*job), jobs))


class Museum(unittest.TestCase):
    def test_the_table_has_every_driver_of_the_folder(self):
        self.assertEqual({entry.name for entry in entries()}, {path.stem for path in HERE.glob("*.c")} - {"museum"})

    def test_the_fixed_twins_are_clean(self):
        jobs = [(f"{entry.name}_fixed", processors) for entry in entries() for processors in (1, 2, 4)]
        for (name, processors), (code, report, said) in zip(jobs, all_of(jobs)):
            with self.subTest(name, processors=processors):
                self.assertEqual(code, 0, said)
                self.assertFalse([finding for finding in report["findings"] if not finding.get("advice")], said)

    def test_the_entries_pass_or_are_found_as_the_table_says(self):
        jobs = [(entry.name,) for entry in entries()]
        passed = 0
        for entry, (code, report, said) in zip(entries(), all_of(jobs)):
            passed += code == 0
            with self.subTest(entry.name):
                if entry.found != "now":
                    self.assertEqual(code, 0, said)
                else:
                    self.assertEqual(code, 1, said)
                    self.assertTrue(entry.expects_of_run(report), said)
        print(f"{passed} of {len(jobs)} mistakes pass unnoticed")

    def test_the_fixed_twins_have_no_data_races(self):
        jobs = [(f"{entry.name}_fixed", processors, RACES) for entry in entries() for processors in (entry.processors, 4)]
        for (name, processors, _), (code, report, said) in zip(jobs, all_of(jobs)):
            with self.subTest(name, processors=processors):
                self.assertEqual(code, 0, said)
                self.assertFalse([finding for finding in report["findings"] if finding["id"].startswith("data-race")], said)

    def test_most_data_races_are_seen_in_a_run_in_which_nothing_goes_wrong(self):
        jobs = [(entry.name, entry.processors, RACES) for entry in entries() if entry.found == "race"]
        for (name, _, _), (code, report, said) in zip(jobs, all_of(jobs)):
            with self.subTest(name):
                self.assertEqual(code, 1, said)
                self.assertTrue(any(finding["id"].startswith("data-race") for finding in report["findings"]), said)

    def test_a_replay_that_is_another_run_is_named(self):
        with tempfile.TemporaryDirectory(prefix="kdpc-museum-") as build:
            command = pathlib.Path(build, "bin", "kdpc")
            command.parent.mkdir()
            command.write_text('#!/bin/sh\n[ "$1" = replay ] && echo "Not the same run: chance." && exit 4\n'
                               'echo \'{"found": true, "hash": "12", "schedule": []}\'\n', encoding="utf-8")
            command.chmod(0o755)
            done = subprocess.run([sys.executable, "-B", HERE.parent.parent / "tools" / "museum", build, "lost_wakeup", "--replays", "1"],
                                  capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "lost_wakeup with seed 1, which was hash 12: exit 4\nNot the same run: chance.\n\n"
                                      "0 of 1 replays are the same run, of 1 different schedules\n")


class Explored(unittest.TestCase):
    """What docs/explore.md promises of the museum, in schedules, so that it is the same on every host."""

    def test_every_mistake_is_found_and_most_of_them_soon(self):
        numbers, races = [], []
        jobs = [(entry.name, 20000) for entry in entries()]
        for entry, (code, report, said) in zip(entries(), all_of(jobs, explore)):
            with self.subTest(entry.name):
                self.assertEqual(code, 1, said)
                if not report["key"].startswith("data-race"):
                    self.assertTrue(entry.expects(report["failure"]), said)
                numbers.append(report["number"])
                if entry.kind == "race":
                    races.append(report["number"] == 1 or report["directed"])
        self.assertEqual(len(numbers), len(jobs))
        self.assertLessEqual(statistics.median(numbers), 20, numbers)
        self.assertGreaterEqual(sum(races), 0.9 * len(races), "data races that the first schedule shows")

    def test_the_fixed_twins_are_silent(self):
        jobs = [(f"{entry.name}_fixed", 2000) for entry in entries()]
        for (name, schedules), (code, report, said) in zip(jobs, all_of(jobs, explore)):
            with self.subTest(name):
                self.assertEqual(code, 0, said)
                self.assertTrue(report["schedules"] == schedules or report["exhausted"], said)

    def test_what_breaks_in_another_order_is_what_the_table_says(self):
        jobs = [(entry.name, 3000, "--no-races") for entry in entries()]
        broke = 0
        for entry, (code, report, said) in zip(entries(), all_of(jobs, explore)):
            with self.subTest(entry.name):
                self.assertIn(code, (0, 1), said)
                broke += report["found"]
                if report["found"]:
                    self.assertTrue(entry.expects(report["failure"]), said)
        self.assertGreater(broke, len(jobs) / 2)


if __name__ == "__main__":
    unittest.main()
