#!/usr/bin/env python3
"""kdpc explore as a user runs it: what a campaign finds and says, what it writes, and what it refuses."""
import os
import pathlib
import re
import shutil
import unittest

import command
import exploring


class Explore(exploring.Case):
    def test_a_race_is_told_though_nothing_went_wrong(self):
        done, said = self.kdpc("explore", self.scenario("two_locks_one_index"))
        self.assertEqual(done.returncode, 1, said)
        self.assertRegex(done.stdout, r"^Failure: data-race: ")
        self.assertIn("Found with schedule 1 ", done.stdout)
        self.assertGreaterEqual(len(set(re.findall(r"two_locks_one_index\.c:\d+", done.stdout))), 2, said)
        self.assertIn("\nIt fails in the default order.\n\nfinding data-race: ", done.stdout)
        self.assertIn("To see it again: kdpc replay two_locks_one_index.schedule", done.stdout)

    def test_what_the_race_leads_to_is_found_too(self):
        found = self.explored("two_locks_one_index", "--no-races")
        self.assertIn("bug check 0xe2", found["key"])
        self.assertGreater(found["number"], 1)
        self.assertTrue(1 <= len(found["schedule"]) <= 5, found)

    def test_two_campaigns_with_the_same_seed_are_equal(self):
        for name in ("fifo_count", "lost_wakeup", "fifo_count_fixed"):
            code = 0 if name.endswith("_fixed") else 1
            for jobs in ("1", "3"):
                first, second = (self.explored(name, "--no-races", "--seed", "5", "--jobs", jobs, code=code) for _ in range(2))
                for result in (first, second):
                    del result["seconds"]
                    if result["found"]:
                        del result["schedules"]  # how far the others came meanwhile
                self.assertEqual(first, second)

    def test_the_fixed_twin_is_silent_and_it_is_said_what_was_tried(self):
        done, said = self.kdpc("explore", self.scenario("dpc_not_ready_fixed"), "--seconds", "0", "--bound", "1")
        self.assertEqual(done.returncode, 0, said)
        self.assertRegex(done.stdout, r"^No failure in \d+ schedules, .*: the default order, all \d+ orders with one move, 40 directed at suspicious accesses, \d+ in which conflicting steps change places\.")
        self.assertIn("Every order with at most 1 move at a call, a wake-up or a shared access has been tried.", done.stdout)

    def test_an_error_is_a_failure_also_where_checks_keep_going(self):
        noted = pathlib.Path(self.root, "noted.toml")
        noted.write_text(pathlib.Path(self.scenario("isr_spin_lock")).read_text(encoding="utf-8") + "[checks]\nmode = 'keep-going'\n", encoding="utf-8")
        done, said = self.kdpc("explore", noted, "--drivers", os.path.join(command.BUILD, "drivers"), "--seconds", "0", "--schedules", "20")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("lock-below-interrupt", done.stdout)

    def test_a_small_scenario_is_exhausted_and_a_larger_one_is_not_said_to_be(self):
        small = pathlib.Path(self.root, "small.toml")
        small.write_text(re.sub("count = .*", "count = 1", pathlib.Path(self.scenario("fifo_count_fixed")).read_text(encoding="utf-8")), encoding="utf-8")
        folder = os.path.join(command.BUILD, "drivers")
        for jobs in ("1", "2"):
            done, said = self.kdpc("explore", small, "--drivers", folder, "--seconds", "0", "--bound", "1", "--jobs", jobs)
            self.assertEqual(done.returncode, 0, said)
            self.assertIn("\nExhaustive within this scenario: any order of accesses, calls and arrivals ends like one of 2 schedules, but for what docs/explore.md lists.\n", done.stdout)
        result = self.explored("fifo_count_fixed", code=0)
        self.assertFalse(result["exhaustive"])
        self.assertGreater(result["reduced"], 10)

    def test_a_driver_that_tells_nothing_is_named(self):
        folder = self.folder()
        shutil.copy(os.path.join(command.DRIVERS, "museum_fifo_count_fixed.drv"), folder)  # and not its check variant
        done, said = self.kdpc("explore", self.scenario("fifo_count_fixed"), "--seconds", "0", "--bound", "1", "--drivers", folder)
        self.assertEqual(done.returncode, 0, said)
        self.assertIn("museum_fifo_count_fixed has no check variant: ", done.stdout)
        shutil.copy(os.path.join(command.DRIVERS, "museum_lost_wakeup.drv"), folder)
        done, said = self.kdpc("explore", self.scenario("lost_wakeup"), "--seconds", "0", "--schedules", "3000", "--drivers", folder)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("\nmuseum_lost_wakeup has no check variant: ", done.stdout)

    def test_what_shows_a_failure_again_names_the_folders_of_the_drivers(self):
        os.mkdir(os.path.join(self.root, "it's here"))
        shutil.copy(os.path.join(command.DRIVERS, "check", "museum_two_locks_one_index.drv"), os.path.join(self.root, "it's here"))
        shutil.copy(self.scenario("two_locks_one_index"), os.path.join(self.root, "a scenario.toml"))
        done, said = self.kdpc("explore", "a scenario.toml", "--drivers", "it's here", "--drivers", "none")
        self.assertEqual(done.returncode, 1, said)
        again = self.to_see_it_again(done.stdout)
        self.assertEqual(again, ["kdpc", "replay", "a scenario.schedule", "--drivers", "it's here", "--drivers", "none"])
        done, said = self.kdpc(*again[1:])
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

    def test_only_a_schedule_is_written_over(self):
        scenario = shutil.copy(self.scenario("two_locks_one_index"), self.root)
        text = pathlib.Path(scenario).read_text(encoding="utf-8")
        drivers = ("--drivers", command.DRIVERS)
        for out, notes in ((scenario, "a.txt"), ("notes.schedule", "notes.schedule"), ("notes", "notes.crash.schedule")):
            pathlib.Path(self.root, notes).write_text("notes\n", encoding="utf-8")
            done, said = self.kdpc("explore", scenario, *drivers, "--out", out)
            self.assertEqual(done.returncode, 2, said)
            self.assertIn(" is there, and is no schedule: it would be written over; name another file with --out", done.stderr)
            self.assertEqual(pathlib.Path(self.root, notes).read_text(encoding="utf-8"), "notes\n")
        self.assertEqual(pathlib.Path(scenario).read_text(encoding="utf-8"), text)
        done, said = self.kdpc("explore", scenario, *drivers, "--out", ".")
        self.assertEqual(done.returncode, 2, said)
        self.assertIn(". is a folder", done.stderr)
        pathlib.Path(self.root, "empty").touch()
        for out in ("empty", "empty", "new"):  # the second time it is a schedule
            done, said = self.kdpc("explore", scenario, *drivers, "--out", out)
            self.assertEqual(done.returncode, 1, said)
            self.assertEqual(pathlib.Path(self.root, out).read_text(encoding="utf-8").splitlines()[0], "kdpc schedule 1")

    def test_who_explores_a_schedule_is_told_what_does_something_with_it(self):
        found = self.explored("two_locks_one_index")
        done, said = self.kdpc("explore", found["file"])
        self.assertEqual(done.returncode, 2, said)
        self.assertEqual(done.stderr, f"kdpc: {found['file']}: this is a schedule, and no scenario; kdpc replay {found['file']} shows its run again\n")

    def test_a_failure_is_told_though_its_schedule_cannot_be_written(self):
        done, said = self.kdpc("explore", self.scenario("two_locks_one_index"), "--out", "none/a.schedule")
        self.assertEqual((done.returncode, done.stdout), (2, ""), said)
        self.assertIn("none/a.schedule cannot be written: there is no folder none\n", done.stderr)
        for arguments, told in (((), "Failure: data-race: "), (("--json",), '"failure": "data-race: ')):
            done, said = self.kdpc("explore", self.scenario("two_locks_one_index"), "--out", "/dev/full", *arguments)
            self.assertEqual(done.returncode, 69, said)
            self.assertIn(told, done.stdout)
            self.assertNotIn("/dev/full", done.stdout)  # neither as a file that it is in, nor to be replayed
            self.assertIn("/dev/full cannot be written", done.stderr)

    def test_who_misses_a_driver_is_told_of_the_option(self):
        pathlib.Path(self.root, "a.toml").write_text("[[drivers]]\nname = 'nowhere'\n", encoding="utf-8")
        done, said = self.kdpc("explore", "a.toml")
        self.assertEqual(done.returncode, 2, said)
        self.assertRegex(done.stderr, r"there is no driver nowhere\.drv in .*; --drivers DIR names another folder")

    def test_each_way_to_end_is_listed_by_help(self):
        for verb, codes in (((), "0 1 2 4 69 70 130"), (("explore",), "0 1 2 69 70 130"), (("replay",), "0 1 4 2 69 70 130"), (("shrink",), "0 4 2 69 70 130")):
            done, said = self.kdpc(*verb, "--help")
            self.assertEqual(done.returncode, 0, said)
            listed = " ".join(done.stdout[done.stdout.index("Exit codes:"):].split())
            self.assertEqual(re.findall(r"(?:: |, )(\d+) ", listed), codes.split(), said)

    def test_what_cannot_be_explored_is_refused_with_the_reason(self):
        hog = "[[drivers]]\nname = 'hog'\n"
        for text, expected in (("[machine]\nkind = 'live'\n" + hog, "only the simulated machine can be explored"),
                               ("[devices.sound]\nmodel = 'intel-hda'\n" + hog, "kdpc: a.toml:1:1: a card of QEMU's keeps its state in another process"),
                               ("[machine]\nprocessors = 2\n", "there is no driver to explore")):
            path = pathlib.Path(self.root, "a.toml")
            path.write_text(text, encoding="utf-8")
            done, said = self.kdpc("explore", "a.toml")
            self.assertEqual(done.returncode, 2, said)
            self.assertIn(expected, done.stderr)

    def test_a_file_that_is_no_driver_is_bad_input(self):
        pathlib.Path(self.root, "junk.drv").write_text("text", encoding="utf-8")
        pathlib.Path(self.root, "a.toml").write_text("[[drivers]]\nname = 'junk'\n", encoding="utf-8")
        done, said = self.kdpc("explore", "a.toml")
        self.assertEqual(done.returncode, 2, said)
        self.assertIn("a.toml:1:", done.stderr)
        self.assertIn("junk.drv: ", done.stderr)


if __name__ == "__main__":
    unittest.main()
