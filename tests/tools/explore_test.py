#!/usr/bin/env python3
"""kdpc explore, replay and shrink, as a user runs them: on drivers of the museum."""
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time
import unittest

import command

MUSEUM = os.path.join(command.BUILD, "museum")


class Explore(command.Case):
    def kdpc(self, *arguments, folder=None):
        done = subprocess.run([command.KDPC, *arguments], cwd=folder or self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=200, check=False)
        return done, f"kdpc {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"

    def scenario(self, name):
        return os.path.join(MUSEUM, f"{name}.toml")

    def explored(self, name, *arguments, code=1):
        """A campaign that ends by itself, so that it is the same every time; as JSON."""
        done, said = self.kdpc("explore", self.scenario(name), "--seconds", "0", "--schedules", "3000", "--json", *arguments)
        self.assertEqual(done.returncode, code, said)
        return json.loads(done.stdout)

    def test_a_race_is_told_though_nothing_went_wrong(self):
        done, said = self.kdpc("explore", self.scenario("two_locks_one_index"))
        self.assertEqual(done.returncode, 1, said)
        self.assertRegex(done.stdout, r"^Failure: data-race: ")
        self.assertIn("Found with schedule 1 ", done.stdout)
        self.assertGreaterEqual(len(set(re.findall(r"two_locks_one_index\.c:\d+", done.stdout))), 2, said)
        self.assertIn("To see it again: kdpc replay two_locks_one_index.schedule", done.stdout)

    def test_what_the_race_leads_to_is_found_too(self):
        found = self.explored("two_locks_one_index", "--no-races")
        self.assertIn("bug check 0xe2", found["key"])
        self.assertGreater(found["number"], 1)
        self.assertTrue(1 <= len(found["schedule"]) <= 5, found)

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

    def test_an_interruption_ends_it_and_what_was_tried_is_told(self):
        for signal_ in (signal.SIGINT, signal.SIGTERM):
            running = subprocess.Popen([command.KDPC, "explore", self.scenario("fifo_count_fixed"), "--seconds", "100"], cwd=self.root, text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
            time.sleep(1)
            os.killpg(running.pid, signal_)  # as a terminal does: to the exploring processes too
            out, error = running.communicate(timeout=20)
            self.assertEqual(running.returncode, 130, out + error)
            self.assertRegex(out, r"^Interrupted. No failure in [1-9]\d* schedules, ")
        running = subprocess.Popen([command.KDPC, "explore", self.scenario("fifo_count_fixed"), "--seconds", "100", "--json"], cwd=self.root, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        time.sleep(1)
        os.killpg(running.pid, signal.SIGINT)
        self.assertTrue(json.loads(running.communicate(timeout=20)[0])["interrupted"])
        self.assertNotIn("interrupted", self.explored("fifo_count", "--no-races"))

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

    def added(self, file, lines):
        path = pathlib.Path(self.root, file)
        path.write_text(path.read_text(encoding="utf-8") + lines, encoding="utf-8")

    def deviations(self, file):
        return [line for line in pathlib.Path(self.root, file).read_text(encoding="utf-8").splitlines() if line.startswith(("late", "cpu", "pick"))]

    def test_shrink_leaves_what_is_needed(self):
        found = self.explored("fifo_count", "--no-races")
        self.added(found["file"], "cpu7@5 hold\npick 900 = 1\n")  # there is no such processor, and never so much is left open
        done, said = self.kdpc("shrink", found["file"])
        self.assertEqual(done.returncode, 0, said)
        self.assertRegex(done.stdout, rf"^{len(found['schedule'])} deviations? instead of {len(found['schedule']) + 2}, after ")
        self.assertEqual(self.deviations(found["file"]), found["schedule"])
        done, said = self.kdpc("replay", found["file"])
        self.assertIn("The same run, ", done.stdout)

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
        self.assertRegex(done.stdout, r"From cpu\d+@\d+  \w+, two_locks_one_index\.c:\d+ on it was bound to come\.")
        self.assertEqual(self.kdpc("replay", found["file"], "--likelihood")[0].stdout, done.stdout)

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
        self.assertIn(f": 3 of its {len(found['schedule']) + 3} deviations were not possible, or their place was never come to; ", done.stdout)
        path.write_text(text.replace("/fifo_count.toml", "/fifo_count_fixed.toml"), encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        now = re.search(r"the run's hash is ([0-9a-f]{16})", done.stdout).group(1)
        path.write_text(text.replace("/fifo_count.toml", "/fifo_count_fixed.toml").replace(found["hash"], now), encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual((done.returncode, done.stdout), (0, f"The same run, hash {now}.\n"), said)

    def example(self, path, *changes):
        name = os.path.basename(path)
        pathlib.Path(self.root, name).write_text(command.example(path, *changes), encoding="utf-8")
        return name

    def test_a_workload_is_done_in_every_order(self):
        limits = ("--seconds", "0", "--schedules", "400", "--json", "--jobs", "1")
        for direction in ("receive", "send"):  # what was sent last is heard when the application has closed the port
            scenario = self.example("demo/serial.toml", ("processors = 1", "processors = 2"), ("receive =", f"{direction} ="))
            done, said = self.kdpc("explore", scenario, *limits)
            self.assertEqual(done.returncode, 0, said)
            self.assertEqual(json.loads(done.stdout)["schedules"], 400, said)

    def test_bytes_that_nobody_has_counted_are_missed(self):
        scenario = self.example("demo/serial.toml", ('name = "serial"', 'name = "careless_serial"'))
        done, said = self.kdpc("explore", scenario, "--seconds", "0", "--schedules", "20000", "--no-races")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("Failure: Bytes were lost or changed on the way, and nobody has counted them.", done.stdout)
        done, said = self.kdpc("replay", "serial.schedule")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)
        done, said = self.kdpc("explore", scenario)
        self.assertRegex(done.stdout, r"^Failure: data-race: ")

    def test_sound_is_explored_with_the_card_of_our_own(self):
        scenario = self.example("demo/on-time.toml", ("processors = 1", "processors = 2"))
        limits = ("--seconds", "0", "--schedules", "400", "--json", "--jobs", "1")
        done, said = self.kdpc("explore", scenario, *limits)
        self.assertEqual(done.returncode, 0, said)
        self.assertEqual(json.loads(done.stdout)["schedules"], 400, said)

    def test_an_application_that_is_refused_is_a_failure_and_is_seen_again(self):
        scenario = self.example("demo/serial.toml", ("COM1", "COM7"))
        done, said = self.kdpc("explore", scenario)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("Failure: The application's device \\\\.\\COM7 refused to be opened: STATUS_OBJECT_NAME_NOT_FOUND", done.stdout)
        self.assertIn("Found with schedule 1 ", done.stdout)
        done, said = self.kdpc("replay", "serial.schedule")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

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

    def to_see_it_again(self, said):
        """The words of the command that is said to do so."""
        return shlex.split(re.search(r"To see it again: (.*)", said)[1])

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

    def test_who_misses_a_driver_is_told_of_the_option(self):
        pathlib.Path(self.root, "a.toml").write_text("[[drivers]]\nname = 'nowhere'\n", encoding="utf-8")
        done, said = self.kdpc("explore", "a.toml")
        self.assertEqual(done.returncode, 2, said)
        self.assertRegex(done.stderr, r"there is no driver nowhere\.drv in .*; --drivers DIR names another folder")

    def test_another_driver_is_another_run_and_that_is_said(self):
        found = self.explored("fifo_count", "--no-races")
        path = pathlib.Path(self.root, found["file"])
        other = path.read_text(encoding="utf-8").replace("/fifo_count.toml", "/fifo_count_fixed.toml")
        path.write_text(other, encoding="utf-8")
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual(done.returncode, 4, said)
        self.assertIn("Not the same run: ", done.stdout)
        self.assertIn("It does not fail any more.", done.stdout)

    def explored_down(self, how, *arguments):
        pathlib.Path(self.root, "down.toml").write_text(f"[[drivers]]\nname = 'brings_down'\nparameters = {{ How = {how} }}\n", encoding="utf-8")
        return self.kdpc("explore", "down.toml", "--drivers", command.DRIVERS, "--no-races", "--seconds", "0", *arguments)

    def interrupted(self, when, *arguments):
        """What is told by a command that is interrupted when when(pid) is true."""
        running = subprocess.Popen([command.KDPC, *arguments], cwd=self.root, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        while not when(running.pid):
            self.assertIsNone(running.poll(), arguments)
            time.sleep(0.001)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate(timeout=200)
        self.assertEqual(running.returncode, 130, out + error)
        return out

    def test_an_interruption_leaves_what_was_found_and_no_run_that_was_cut_off(self):
        scenario = pathlib.Path(self.root, "long.toml")  # each run that fails takes long, so that nothing is over before it is interrupted
        scenario.write_text("duration_ms = 20000\n[[drivers]]\nname = 'brings_down'\nparameters = { How = 2 }\n", encoding="utf-8")
        drivers = ("--drivers", command.DRIVERS)
        again = ("replay", "long.schedule", *drivers)
        had_workers = False

        def listens(pid):
            return int(re.search(r"SigCgt:\s*([0-9a-f]+)", pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))[1], 16) >> 1 & 1 == 1

        def has_searched(pid):
            nonlocal had_workers
            workers = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
            had_workers = had_workers or workers != ""
            return had_workers and workers == ""

        out = self.interrupted(has_searched, "explore", "long.toml", *drivers, "--no-races", "--seconds", "0", "--jobs", "1")
        self.assertRegex(out, r"^Failure: no progress: ")
        self.assertIn("\nInterrupted: there may be deviations left that it does not need.\nTo see it again: kdpc replay long.schedule --drivers " + command.DRIVERS + "\n", out)
        done, said = self.kdpc(*again)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

        out = self.interrupted(listens, *again, "--likelihood")
        self.assertRegex(out, r"^Failure: no progress: ")
        self.assertIn("Interrupted: how likely this failure is was not found out.\n\nThe same run, ", out)
        self.assertNotIn(" %  cpu", out)

        self.added("long.schedule", "".join(f"cpu7@{step} hold\n" for step in range(1, 200)))
        out = self.interrupted(listens, "shrink", "long.schedule", *drivers)
        self.assertRegex(out, r"^Interrupted: there may be deviations left that it does not need\.\n\d+ deviations? instead of 200, after \d+ runs:")
        done, said = self.kdpc(*again)
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)

    def test_a_process_that_dies_leaves_its_schedule(self):
        for jobs in ("1", "3"):
            done, said = self.explored_down(1, "--jobs", jobs)
            self.assertEqual(done.returncode, 70, said)
            self.assertIn("an exploring process has died (exit 3): ", done.stderr)
            self.assertRegex("\n".join(self.deviations("down.crash.schedule")), r"cpu0@\d+ clock 0")
            again = self.to_see_it_again(done.stderr)
            self.assertEqual(again, ["kdpc", "replay", "down.crash.schedule", "--drivers", command.DRIVERS])
            done, said = self.kdpc(*again[1:])
            self.assertEqual(done.returncode, 3, said)

    def test_an_endless_loop_ends_by_itself_and_is_a_failure(self):
        for how in (2, 3, 4):
            done, said = self.explored_down(how)
            self.assertEqual(done.returncode, 1, said)
            self.assertIn("brings_down.c", done.stdout)
            self.assertRegex(done.stdout, "Failure: (no progress: no end in sight|bug check 0x133|finding)")
            done, said = self.kdpc("replay", "down.schedule", "--drivers", command.DRIVERS)
            self.assertEqual(done.returncode, 1, said)
            self.assertIn("The same run, ", done.stdout)

    def test_a_card_is_pulled_out_if_it_is_asked_for(self):
        found = self.explored("gone_early_out")
        self.assertIn("bug check 0xc7 ", found["key"])
        self.assertRegex("\n".join(self.deviations(found["file"])), r"cpu0@\d+ board 1")
        done, said = self.kdpc("replay", found["file"])
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("The same run, ", done.stdout)
        self.assertIn("From outside: card is pulled out\n", done.stdout)
        self.assertRegex(done.stdout, r"> card is pulled out +\[cpu0@\d+ board 1\]")

    def test_what_may_fail_fails_if_it_is_asked_for(self):
        scenario = pathlib.Path(self.root, "careless.toml")
        text = "duration_ms = 1\n[[drivers]]\nname = 'careless'\nparameters = { How = %d }\n"
        arguments = ("explore", "careless.toml", "--drivers", command.DRIVERS, "--seconds", "0", "--bound", "1")
        for how, failure in ((0, None), (1, "Failure: bug check"), (2, "Failure: bug check"), (3, "Failure: careless: this did not end: unload")):
            for more, asked in (((), ""), (("--faults",), ""), ((), "[explore]\nfaults = true\n")):
                scenario.write_text((text % how).replace("[[", asked + "[[", 1), encoding="utf-8")
                done, said = self.kdpc(*arguments, *more)
                expected = failure is not None and (more or asked)
                self.assertEqual(done.returncode, 1 if expected else 0, said)
                if not expected:
                    continue
                self.assertIn(failure, done.stdout)
                self.assertRegex(done.stdout, r"Made to fail: \w+, called by careless!\w+\+0x[0-9a-f]+ \(.*careless\.c:\d+\)")
                self.assertRegex(done.stdout, r"> what it calls fails +\[cpu\d@\d+ fail\]")
                self.assertRegex("\n".join(self.deviations("careless.schedule")), r"^cpu\d@\d+ fail$")
                done, said = self.kdpc("replay", "careless.schedule", "--drivers", command.DRIVERS)
                self.assertEqual(done.returncode, 1, said)
                self.assertIn("The same run, ", done.stdout)

    def test_a_request_that_is_forgotten_for_want_of_memory_keeps_the_application_waiting(self):
        scenario = self.example("demo/serial.toml", ('name = "serial"', 'name = "forgetful_serial"'))
        arguments = ("explore", scenario, "--seconds", "0", "--bound", "1", "--schedules", "2000", "--jobs", "1")
        done, said = self.kdpc(*arguments, "--faults")
        self.assertEqual(done.returncode, 1, said)
        self.assertIn("Failure: Stuck: the application waits, and nothing will ever happen again.\n", done.stdout)
        self.assertRegex(done.stdout, r"Made to fail: ExAllocatePool2, called by forgetful_serial!SerialRead\+")

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

    def test_each_way_to_end_is_listed_by_help(self):
        for verb, codes in (((), "0 1 2 4 69 70 130"), (("explore",), "0 1 2 69 70 130"), (("replay",), "0 1 4 2 69 70 130"), (("shrink",), "0 4 2 69 70 130")):
            done, said = self.kdpc(*verb, "--help")
            self.assertEqual(done.returncode, 0, said)
            listed = " ".join(done.stdout[done.stdout.index("Exit codes:"):].split())
            self.assertEqual(re.findall(r"(?:: |, )(\d+) ", listed), codes.split(), said)

    def test_what_is_expected_of_a_run_is_not_of_an_order(self):
        expecting = pathlib.Path(self.root, "expecting.toml")
        drivers = ("--drivers", os.path.join(command.BUILD, "drivers"))
        expecting.write_text(pathlib.Path(self.scenario("fifo_count_fixed")).read_text(encoding="utf-8")
                             + "[expect]\nfinding = 'lock-order'\n[checks]\nraces = 'suspected'\nbenign_races = true\n", encoding="utf-8")
        done, said = self.kdpc("run", expecting, *drivers)
        self.assertEqual(done.returncode, 1, said)
        done, said = self.kdpc("explore", expecting, *drivers, "--seconds", "0", "--schedules", "100")
        self.assertEqual(done.returncode, 0, said)
        expecting.write_text(pathlib.Path(self.scenario("fifo_count")).read_text(encoding="utf-8") + "[checks]\nraces = 'off'\n", encoding="utf-8")
        done, said = self.kdpc("explore", expecting, *drivers, "--seconds", "0", "--schedules", "100")
        self.assertEqual(done.returncode, 1, said)
        self.assertRegex(done.stdout, r"^Failure: data-race: ")

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
                                    (["explore", "a.toml", "--bound", "9"], "bound"), (["replay", "none.schedule"], "none.schedule cannot be read")):
            done, said = self.kdpc(*arguments)
            self.assertEqual(done.returncode, 2, said)
            self.assertIn(expected, done.stderr)

    def test_what_cannot_be_explored_is_refused_with_the_reason(self):
        hog = "[[drivers]]\nname = 'hog'\n"
        for text, expected in (("[machine]\nkind = 'live'\n" + hog, "only the simulated machine can be explored"),
                               ("[devices.sound]\nmodel = 'intel-hda'\n" + hog, "a card of QEMU's keeps its state in another process"),
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
