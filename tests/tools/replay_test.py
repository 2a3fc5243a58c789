#!/usr/bin/env python3
"""kdpc replay and shrink: a failure is seen again, explained and made shorter, or it is said why not."""
import json
import pathlib
import re
import unittest

import command
import exploring


class Replay(exploring.Case):
    def test_a_failure_is_seen_again_and_is_the_same_run(self):
        for name, kind in (("fifo_count", "Failure: bug check"), ("lost_wakeup", "Failure: museum_lost_wakeup: this did not end: unload; nothing will ever")):
            found = self.explored(name, "--no-races")
            for _ in range(3):
                done, said = self.kdpc("replay", found["file"])
                self.assertEqual(done.returncode, 1, said)
                self.assertIn(f"The same run, hash {found['hash']}.", done.stdout)
                self.assertIn(kind, done.stdout)
        done, said = self.kdpc("replay", found["file"], "--trace")
        self.assertIn("dpc-queued", done.stderr)

    def test_a_data_race_is_replayed_too(self):
        done, said = self.kdpc("explore", self.scenario("two_locks_one_index"), "--json")
        found = json.loads(done.stdout)
        self.assertTrue(found["key"].startswith("data-race of "), said)
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

    def test_replay_says_whether_it_is_the_same_run_and_whether_it_fails(self):
        found = self.explored("fifo_count", "--no-races")
        path = pathlib.Path(self.root, found["file"])
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(found["hash"], "0123456789abcdef"), encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same failure, but not the same run: ", done.stdout)
        path.write_text(text.replace(found["hash"], "0123456789abcdef") + "cpu0@999999999 hold\ncpu0@999999999 fail\npick 900 = 1\n", encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        self.assertIn(f": of its {len(found['schedule']) + 3} deviations 3 were not possible, or their place was never come to; ", done.stdout)
        path.write_text(text.replace("/fifo_count.toml", "/fifo_count_fixed.toml"), encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        now = re.search(r"the run's hash is ([0-9a-f]{16})", done.stdout).group(1)
        path.write_text(text.replace("/fifo_count.toml", "/fifo_count_fixed.toml").replace(found["hash"], now), encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual((done.returncode, done.stdout), (0, f"The same run, hash {now}.\n"), said)

    def test_lines_may_end_as_on_windows(self):
        found = self.explored("fifo_count", "--no-races")
        path = pathlib.Path(self.root, found["file"])
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual(done.returncode, 1, said)
        self.assertIn(f"The same run, hash {found['hash']}.", done.stdout)
        self.explored("fifo_count", "--no-races")  # it may be written over, as any schedule
        self.assertNotIn(b"\r", path.read_bytes())

    def test_a_schedule_of_other_boards_is_refused(self):
        scenario = pathlib.Path(self.root, "a.toml")
        scenario.write_text(pathlib.Path(self.scenario("gone_early_out")).read_text(encoding="utf-8"), encoding="utf-8")
        drivers = ("--drivers", command.DRIVERS)
        done, said = self.kdpc("explore", "a.toml", *drivers, "--seconds", "0", "--schedules", "3000")
        self.assertEqual(done.returncode, 1, said)
        schedule = pathlib.Path(self.root, "a.schedule")
        text = schedule.read_text(encoding="utf-8")
        self.assertIn("\nboards card, card is pulled out\n", text)
        self.assertRegex(text, r"(?m)^cpu0@\d+ board 1$")
        scenario.write_text(scenario.read_text(encoding="utf-8").replace("explore.removal", "explore.power = true\nexplore.removal"), encoding="utf-8")
        for verb in ("replay", "shrink"):
            done, said = self.kdpc(verb, "a.schedule", *drivers)
            self.assertEqual(done.returncode, 2, said)
            self.assertIn("a.schedule: it was found with the boards 'card, card is pulled out', and there are 'the system sleeps and wakes, card, card is pulled "
                          "out' now, so that 'board N' does not mean the same; the scenario's devices, or its [explore], are others\n", done.stderr)
        schedule.write_text(re.sub(r"(?m)^boards .*\n", "", text), encoding="utf-8")  # as they were written before there was this line
        done, said = self.kdpc("replay", "a.schedule", *drivers)
        self.assertEqual(done.returncode, 4, said)
        scenario.write_text(scenario.read_text(encoding="utf-8").replace("explore.power = true\n", ""), encoding="utf-8")
        done, said = self.kdpc("replay", "a.schedule", *drivers)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

    def test_another_driver_is_another_run_and_that_is_said(self):
        found = self.explored("fifo_count", "--no-races")
        path = pathlib.Path(self.root, found["file"])
        other = path.read_text(encoding="utf-8").replace("/fifo_count.toml", "/fifo_count_fixed.toml")
        path.write_text(other, encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual(done.returncode, 4, said)
        self.assertIn("Not the same run: ", done.stdout)
        self.assertIn("It does not fail any more.", done.stdout)

    def test_another_build_of_kdpc_is_named_if_the_run_is_not_the_same(self):
        found = self.explored("fifo_count", "--no-races")
        path = pathlib.Path(self.root, found["file"])
        text = path.read_text(encoding="utf-8")
        self.assertRegex(text, r"(?m)^build [0-9a-f]{8,}$")
        other = re.sub(r"(?m)^build .*$", "build 0123", text)
        for changed, said_so in ((other, False), (other.replace(found["hash"], "0" * 16), True), (text.replace(found["hash"], "0" * 16), False)):
            path.write_text(changed, encoding="utf-8")
            done, said = self.kdpc("replay", found["file"])
            self.assertEqual(done.returncode, 1, said)
            self.assertEqual("it was found with another build of kdpc; " in done.stdout, said_so, said)

    def test_a_schedule_that_was_kept_shows_the_same_or_it_is_said_why_not(self):
        reasons = ("it was found with another build of kdpc; ", "it was found with kdpc ", " is not the one that it was found with; ")
        kept = pathlib.Path(__file__).parent / "kept"
        schedules = sorted(kept.glob("*.schedule"))
        self.assertEqual(len(schedules), 2)
        for schedule in schedules:
            done, said = self.kdpc("replay", str(schedule), "--drivers", command.DRIVERS)
            if "The same run, hash " in done.stdout:
                self.assertEqual(done.returncode, 1, said)
            else:
                self.assertIn(done.returncode, (1, 4), said)
                self.assertTrue(any(reason in done.stdout for reason in reasons), said)

    def test_a_time_line_shows_what_the_processors_did_around_each_deviation(self):
        done, said = self.kdpc("explore", self.scenario("two_locks_one_index"), "--no-races", "--seconds", "0", "--json")  # nothing is drawn
        found = json.loads(done.stdout)
        done, said = self.kdpc("replay", found["file"])
        line = done.stdout[done.stdout.index("How it came to that:"):done.stdout.index("The last events:")]
        self.assertRegex(line, r"processor 0 +processor 1\n")
        for deviation in found["schedule"]:
            self.assertIn(f"[{deviation}]", line)
        place = r"two_locks_one_index\.c:\d+"  # processor 1 waits within an increment of the index, which the DPC decrements meanwhile
        self.assertRegex(line, rf"(?s)reads  Send, ({place})\n[^\n]*board 0 goes on.*> waits here.*DPC Receive.*writes  Receive, {place}.*> goes on\n +writes  Send, \1\n")
        self.assertRegex(line, r"bug check 0xe2\n")

    def test_replay_says_from_which_step_on_the_failure_was_bound_to_come(self):
        found = self.explored("two_locks_one_index", "--no-races")
        done, said = self.kdpc("replay", found["file"], "--likelihood")
        likely = re.findall(r"^ +(\d+) %  cpu\d+@\d+  (.*)$", done.stdout, re.M)
        self.assertGreater(len(likely), 8, said)
        self.assertLess(int(likely[0][0]), 100, said)
        self.assertEqual(likely[-1][0], "100", said)
        self.assertRegex(done.stdout, r"From cpu\d+@\d+  \w+, \w+\.c:\d+ on it was bound to come\.")
        self.assertEqual(self.kdpc("replay", found["file"], "--likelihood")[0].stdout, done.stdout)

    def test_shrink_leaves_what_is_needed(self):
        found = self.explored("fifo_count", "--no-races")
        self.added(found["file"], "cpu7@5 hold\npick 900 = 1\n")  # there is no such processor, and never so much is left open
        done, said = self.kdpc("shrink", found["file"])
        self.assertEqual(done.returncode, 0, said)
        self.assertRegex(done.stdout, rf"^{len(found['schedule'])} deviations? instead of {len(found['schedule']) + 2}, after ")
        self.assertEqual(self.deviations(found["file"]), found["schedule"])
        done, said = self.kdpc("replay", found["file"])
        self.assertIn("The same run, ", done.stdout)

    def test_what_does_not_fail_cannot_be_made_shorter(self):
        found = self.explored("fifo_count", "--no-races")
        path = pathlib.Path(self.root, found["file"])
        path.write_text("".join(line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if not line.startswith("cpu")), encoding="utf-8")
        done, said = self.kdpc("shrink", found["file"])
        self.assertEqual(done.returncode, 4, said)
        self.assertIn("this schedule does not fail", done.stderr)

    def test_what_fails_in_another_way_is_not_written_over(self):
        found = self.explored("fifo_count", "--no-races")
        path = pathlib.Path(self.root, found["file"])
        other = path.read_text(encoding="utf-8").replace(f"failure {found['key']}", "failure another one")
        path.write_text(other, encoding="utf-8")
        done, said = self.kdpc("shrink", found["file"])
        self.assertEqual(done.returncode, 4, said)
        self.assertIn("this schedule fails in another way now, which 'kdpc replay' shows: bug check", done.stderr)
        self.assertEqual(path.read_text(encoding="utf-8"), other)

    def test_bad_input_is_said_with_file_and_line(self):
        bad = pathlib.Path(self.root, "bad.schedule")
        for text, expected in (("", "bad.schedule: this is no schedule; its first line must be 'kdpc schedule 1'"),
                               ("kdpc schedule 1\n", "bad.schedule: a line 'scenario FILE.toml' is missing"),
                               ("kdpc schedule 1\nscenario a.toml\ncpu0@x hold\n", "bad.schedule:3: 'cpu0@x hold' is no deviation; they look like"),
                               ("kdpc schedule 1\nhash xyz\n", "bad.schedule:2: 'xyz' is no hash"),
                               ("kdpc schedule 1\ntest Ring.Counts\n", "bad.schedule: this schedule is of the test Ring.Counts; KDPC_SCHEDULE="),
                               ("kdpc schedule 1\nscenario a.toml\n", "a.toml")):
            bad.write_text(text, encoding="utf-8")
            for verb in ("replay", "shrink"):
                done, said = self.kdpc(verb, "bad.schedule")
                self.assertEqual(done.returncode, 2, said)
                self.assertIn(expected, done.stderr)
        for arguments, expected in ((["explore"], "'kdpc explore' needs a scenario"), (["replay"], "'kdpc replay' needs a schedule"),
                                    (["explore", "a.toml", "--bound", "9"], "kdpc: --bound: every order with 1 move can be tried, or with 2, and not with 9\n"),
                                     (["replay", "none.schedule"], "none.schedule cannot be read"),
                                     (["explore", "a.toml", "--schedules", "-5"], "kdpc: --schedules: '-5' is no whole number from 0 on\n"),
                                     (["explore", "a.toml", "--schedules", "1" * 30], f"'{'1' * 30}' is no whole number from 0 on\n"),
                                     (["explore", "a.toml", "--seed", "-1"], "kdpc: --seed: '-1' is no whole number from 0 on\n"),
                                     (["explore", "a.toml", "--seconds", "-1"], "kdpc: --seconds: '-1' is no number of seconds\n"),
                                     (["explore", "a.toml", "--seconds", "inf"], "kdpc: --seconds: 'inf' is no number of seconds\n")):
            done, said = self.kdpc(*arguments)
            self.assertEqual(done.returncode, 2, said)
            self.assertIn(expected, done.stderr)


if __name__ == "__main__":
    unittest.main()
