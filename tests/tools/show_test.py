#!/usr/bin/env python3
"""kdpc show, of runs that are stopped and of runs that have ended; kdpc run --break-if, whose prompt is spoken to through a pipe."""
import os
import re
import subprocess
import unittest

import command

AS_EXPECTED, FINDING, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

HOG = ("duration_ms = 200\n[machine]\nprocessors = 2\n[[drivers]]\nname = 'hog'\n"
       "parameters = { FirstMs = 20, PeriodMs = 500, Count = 1, RunUs = 45000, Processor = 0 }\n")
BAD = "duration_ms = 100\n[[drivers]]\nname = 'bad_wait_in_dpc'\n"


class Case(command.Case):
    def kdpc(self, *arguments, scenario=None, script=""):
        folder = self.folder()
        if scenario is not None:
            with open(os.path.join(folder, "a.toml"), "w", encoding="utf-8") as file:
                file.write(scenario)
        done = subprocess.run([command.KDPC, *arguments], cwd=folder, input=script, capture_output=True, text=True, timeout=120, check=False)
        self.assertNotIn("simulator bug", done.stderr)
        return done


class Show(Case):
    def test_a_run_stopped_at_a_time(self):
        done = self.kdpc("show", "timer", "0", "irql", "a.toml", "--at", "10ms", scenario=HOG)
        self.assertEqual(done.returncode, AS_EXPECTED, done.stderr)
        self.assertRegex(done.stdout, r"(?s)^Dump system timers\n\nInterrupt time: 00000000 00000000 .*PROCESSOR 0 .*\n +\d+  [0-9a-f]{16} P 00030d40 00000000 "
                                      r"\[ 1/ 1/2020 00:00:00\.020\]  hog!HogRun \(DPC @ [0-9a-f]{16}\), every 500 ms\n")
        self.assertNotIn("PROCESSOR 1 ", done.stdout)
        self.assertRegex(done.stdout, r"Wakeable timers:\n\nDebugger saved IRQL for processor 0x0 -- \d+ \(\w+\)\nDebugger saved IRQL for processor 0x1 -- ")
        stopped = re.search(r"^kdpc: stopped at (\d+)\.(\d\d\d) ", done.stderr)
        self.assertGreaterEqual(int(stopped[1]), 10, done.stderr)

    def test_a_run_stopped_at_an_event(self):
        done = self.kdpc("show", "prcb 0", "a.toml", "--until", "activity-began && kind == timer-dpc && routine == hog!HogRun", scenario=HOG)
        self.assertEqual(done.returncode, AS_EXPECTED, done.stderr)
        self.assertRegex(done.stdout, r"^PRCB for Processor 0 at [0-9a-f]{16}:\n")
        self.assertRegex(done.stdout, r"\[RoutineActive\]")
        self.assertRegex(done.stderr, r"event \d+: .* activity-began +kind=timer-dpc level=2 routine=hog!HogRun ")

    def test_the_end_of_a_run_is_shown_before_its_drivers_go(self):
        done = self.kdpc("show", "timer 0", "dpcs", "analyze", "a.toml", scenario=HOG.replace("Count = 1", "Count = 9"))
        self.assertEqual(done.returncode, AS_EXPECTED, done.stderr)
        self.assertIn("hog!HogRun (DPC @ ", done.stdout)
        self.assertIn("CPU Type      KDPC       Function\n *: nothing is queued\n\nThere was no bug check", done.stdout)

    def test_the_end_of_a_run_with_a_bug_check(self):
        done = self.kdpc("show", "analyze", "irql", "a.toml", scenario=BAD)
        self.assertEqual(done.returncode, AS_EXPECTED, done.stderr)
        self.assertIn("ATTEMPTED_SWITCH_FROM_DPC (b8)\n", done.stdout)
        self.assertRegex(done.stdout, r"\nPLACE:      bad_wait_in_dpc!Wait\+0x[0-9a-f]+ \(drivers/bad_wait_in_dpc\.c:\d+\)\n")
        self.assertIn("Debugger saved IRQL for processor 0x0 -- 15 (HIGH_LEVEL)\n", done.stdout)
        self.assertIn("kdpc: the run has ended at ", done.stderr)
        # The report of kdpc run has the same analysis.
        report = self.kdpc("run", "a.toml", scenario=BAD).stdout
        analysis = re.search(r"\*{80}\n.*?FAILURE_BUCKET_ID:[^\n]*\n", done.stdout, re.S)[0]
        without_addresses = lambda text: re.sub(r"\b00007[0-9a-f]{11}\b", "", text)  # of our libraries
        self.assertIn(without_addresses(analysis), without_addresses(report))

    def test_a_stop_that_never_comes_is_said(self):
        for wanted in (("--at", "10s"), ("--until", "dpc-refused")):
            done = self.kdpc("show", "irql", "a.toml", *wanted, scenario=HOG)
            self.assertEqual(done.returncode, FINDING, done.stderr)
            self.assertIn("Debugger saved IRQL", done.stdout)
            self.assertIn("kdpc: the run has ended before that; this is its end\n", done.stderr)

    def test_what_is_wrong_is_said(self):
        for arguments, said in ((("dpcz", "a.toml"), "there is no view 'dpcz'; there are dpcs, irql"), (("dpcs", "-x", "a.toml"), "-x"),
                                (("running 1", "a.toml"), "'1' is nothing that 'running' takes: running [-i] [-t]"),
                                (("irql",), "'kdpc show' needs a view, and of what"), (("a.toml",), "'kdpc show' needs a view"),
                                (("irql", "a.toml", "--core", "x"), "'kdpc show' needs a view"), (("irql", "--core", "nowhere"), "nowhere cannot be read"),
                                (("irql", "--core", "a.toml"), "a.toml is no core file"), (("irql", "--core", "x", "--at", "1ms"), "'kdpc show' needs"),
                                (("irql", "a.toml", "--at", "10"), "--at: '10' is no time"), (("irql", "a.toml", "--at", "1ms", "--until", "dpc-queued"), "excludes"),
                                (("irql", "a.toml", "--until", "dpc-queud"), "--until: column 1: there is no event or field 'dpc-queud'"),
                                (("irql", "b.toml"), "b.toml")):
            with self.subTest(arguments=arguments):
                done = self.kdpc("show", *arguments, scenario=HOG)
                self.assertEqual((done.returncode, done.stdout), (BAD_INPUT, ""), done.stderr)
                self.assertIn(said, done.stderr)


class BreakIf(Case):
    def talk(self, expression, script, scenario=HOG, arguments=()):
        return self.kdpc("run", "a.toml", "--break-if", expression, *arguments, scenario=scenario, script=script)

    @staticmethod
    def answers(done):
        """What was said to each line that was typed; the first is what was said before."""
        return re.split(r"^kdpc> .*\n", done.stdout, flags=re.M)

    def test_steps_forward_and_back_are_the_same_run(self):
        done = self.talk("timer-expired", "step\nstep 3\nback 2\nback 2\nstep 4\nquit\n")
        first, second, fifth, third, again, last, _ = self.answers(done)
        self.assertRegex(first, r"^event \d+ .* timer-expired +timer=hog!HogTimer due_time=200000\n$")
        number = int(first.split()[1])
        self.assertEqual([int(each.split()[1]) - number for each in (second, fifth, third, again, last)], [1, 4, 2, 0, 4])
        self.assertEqual((again, last), (first, fifth))
        self.assertEqual(done.returncode, INTERRUPTED)

    def test_the_views_are_words_of_the_prompt(self):
        done = self.talk("activity-began && kind == timer-dpc", "irql 0\n!running\ndpcs 0\nanalyze\n\n# a remark\nevents 2\nquit\n")
        first, irql, running, dpcs, analyze, _, _, events, _ = self.answers(done)
        self.assertIn("kind=timer-dpc", first)
        self.assertEqual(irql, "Debugger saved IRQL for processor 0x0 -- 2 (DISPATCH_LEVEL)\n")
        self.assertIn("System Processors 3 (affinity mask)\n", running)
        self.assertIn(" 0: nothing is queued\n", dpcs)
        self.assertIn("There was no bug check", analyze)
        self.assertEqual(len(events.splitlines()), 2)
        self.assertIn("kind=timer-dpc", events.splitlines()[1])

    def test_a_routine_is_known_though_another_driver_was_loaded_after_it(self):
        for scenario in (HOG, HOG + "[[drivers]]\nname = 'mailbox'\n"):
            done = self.talk("activity-began && routine == hog!HogRun", "quit\n", scenario)
            self.assertRegex(self.answers(done)[0], r"^event \d+ .* activity-began +kind=timer-dpc level=2 routine=hog!HogRun ")

    def test_a_queued_dpc_tells_who_queued_it(self):
        scenario = "duration_ms = 10\n[[drivers]]\nname = 'bad_wait_in_dpc'\n"
        done = self.talk("dpc-queued && routine == bad_wait_in_dpc!Wait", "dpcs\nquit\n", scenario)
        self.assertRegex(done.stdout, r"(?m)^ 0: Normal  : 0x[0-9a-f]{16} 0x[0-9a-f]{16} bad_wait_in_dpc!Wait  Medium      any     "
                                      r"bad_wait_in_dpc!DriverEntry\+0x[0-9a-f]+  \d+\.\d{3} us$")

    def test_a_dpc_that_a_timer_queued_tells_which(self):
        done = self.talk("dpc-queued && routine == hog!HogRun", "dpcs 0\nquit\n", HOG.replace("[machine]", "[options]\ntimer_dpc = 'queued'\n[machine]"))
        timer = re.search(r"timer=(\S+)", self.talk("timer-expired", "quit\n").stdout)[1]
        self.assertEqual(timer, "hog!HogTimer")
        self.assertRegex(done.stdout, r"(?m)^ 0: Normal  : 0x[0-9a-f]{16} 0x[0-9a-f]{16} hog!HogRun +\w+ +\w+ +timer hog!HogTimer +31250\.\d{3} us$")

    def test_continue_goes_to_the_next_and_then_to_the_end(self):
        done = self.talk("clock-ticked && processor == 1 && time < 40ms", "continue\ncontinue\ncontinue\n", HOG)
        answers = self.answers(done)
        self.assertRegex(answers[0], r"^event \d+ +15\.625 \d+ ms  p1 .* clock-ticked")
        self.assertRegex(answers[1], r"^event \d+ +31\.250 \d+ ms  p1 .* clock-ticked")
        self.assertTrue(answers[2].startswith("Clean: "), answers[2])
        self.assertEqual(done.returncode, AS_EXPECTED)
        plain = self.kdpc("run", "a.toml", scenario=HOG).stdout
        hash_of = lambda text: re.search(r"trace hash (\w+)", text)[1]
        self.assertEqual(hash_of(done.stdout), hash_of(plain), "a run that was stopped is the same run")

    def test_a_bad_end_has_a_prompt_too(self):
        done = self.talk("bugchecked", "analyze\ncontinue\nstep\nanalyze\nback 1\nirql\ncontinue\ncontinue\n", BAD)
        answers = self.answers(done)
        not_yet = answers.pop(1)
        self.assertIn("At the event 'bugchecked' it is not recorded yet", not_yet)
        self.assertIn("'continue'", not_yet)
        self.assertRegex(answers[0], r"^event \d+ .* bugchecked +code=0xb8 ")
        number = int(answers[0].split()[1])
        self.assertRegex(answers[1], rf"^The run has ended behind event {number}: Bug check ATTEMPTED_SWITCH_FROM_DPC \(0xb8\) in bad_wait_in_dpc!Wait")
        self.assertIn("there is no next event", answers[2])
        self.assertIn("ATTEMPTED_SWITCH_FROM_DPC (b8)\n", answers[3])
        self.assertEqual(int(answers[4].split()[1]), number - 1)
        self.assertIn("-- 2 (DISPATCH_LEVEL)", answers[5])
        self.assertEqual(answers[6], answers[0])
        self.assertEqual(done.returncode, INTERRUPTED, "the script has ended at the prompt")

    def test_words_it_does_not_know(self):
        done = self.talk("timer-expired", "stpe\nstep x\nback 100000\ndpcs 0 0\nhelp\nquit\n")
        _, unknown, number, far, view, helped, _ = self.answers(done)
        self.assertEqual(unknown, "there is no 'stpe' here; did you mean 'step'?\n")
        self.assertEqual(number, "'step' takes a number of events\n")
        self.assertRegex(far, r"^There are only \d+ events before this one\.\n$")
        self.assertEqual(view, "'0' is nothing that 'dpcs' takes: dpcs [CPU]\n")
        self.assertIn("  back [N] ", helped)
        self.assertIn("  qlocks ", helped)

    def test_an_event_that_never_happens_is_said(self):
        done = self.talk("dpc-refused", "")
        self.assertEqual(done.returncode, AS_EXPECTED)
        self.assertTrue(done.stdout.startswith("Clean: "))
        self.assertIn("kdpc: --break-if: there was no such event\n", done.stderr)

    def test_json_keeps_the_conversation_apart(self):
        done = self.talk("timer-expired", "irql 0\ncontinue\ncontinue\n", arguments=("--json",))
        self.assertTrue(done.stdout.startswith("{"), done.stdout)
        self.assertIn("kdpc> irql 0\nDebugger saved IRQL", done.stderr)

    def test_a_wrong_expression_is_shown(self):
        done = self.talk("dpc-queued && depht > 3", "")
        self.assertEqual((done.returncode, done.stdout), (BAD_INPUT, ""))
        self.assertTrue(done.stderr.startswith("kdpc: --break-if: column 15: there is no event or field 'depht'; did you mean 'depth'?\n"
                                               "kdpc:   dpc-queued && depht > 3\nkdpc:                 ^\n"), done.stderr)

    def test_real_time_does_not_come_back(self):
        live = "duration_ms = 20\n[machine]\nkind = 'live'\n[[drivers]]\nname = 'hog'\nparameters = { FirstMs = 5, PeriodMs = 5, Count = 1, RunUs = 1 }\n"
        done = self.talk("timer-expired", "back\nirql\nquit\n", live)
        answers = self.answers(done)
        self.assertEqual(answers[1], "This machine runs in real time, which does not come back: only a run on the simulated machine can be repeated.\n")
        self.assertIn("Debugger saved IRQL for processor 0x0 -- ", answers[2])
        self.assertEqual(done.returncode, INTERRUPTED)


@command.needs_sound
class WithRealModels(Case):
    def test_a_run_with_qemu_goes_back_too(self):
        done = self.kdpc("run", "a.toml", "--break-if", "activity-began && kind == isr && routine == ac97!Ac97Isr", scenario=command.playing(),
                         script="continue\nstep 20\nback 20\nquit\n")
        first, second, _, again, _ = BreakIf.answers(done)
        self.assertNotEqual(first, second)
        self.assertEqual(again, second, done.stderr)


if __name__ == "__main__":
    unittest.main()
