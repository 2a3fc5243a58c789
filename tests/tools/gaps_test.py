#!/usr/bin/env python3
"""What is heard is what it must be: the gap a late DPC leaves, measured by a program that knows only the two sound files; and who is blamed."""
import os
import unittest

import command
import gap_check

PERIOD = 480
PER_MS = 48


@command.needs_sound
class Gaps(command.Case):
    def play(self, *neighbours, **options):
        run = self.run_scenario(command.playing(*neighbours, **options))
        self.assertIsNotNone(run.report, run.said)
        heard = gap_check.check(command.VOICE, run.wav, PERIOD)
        self.assertEqual(heard.damaged, [], run.said)
        self.assertEqual(heard.startup, run.report["sound"]["startup_latency_frames"])
        # Both ways of looking agree.
        self.assertEqual(len(heard.gaps), run.report["dropouts"]["count"], run.said)
        self.assertAlmostEqual(heard.total / PER_MS, run.report["dropouts"]["total_ms"], delta=0.001)
        self.assertEqual(run.report["verdict"], "dropouts" if heard.gaps else "clean")
        # The checks have nothing against these drivers, except that a neighbour takes its time.
        self.assertEqual([each["id"] for each in run.report["findings"] if not (neighbours and each["id"] == "dpc-budget")], [], run.said)
        return run, heard

    def test_nobody_in_the_way_nothing_missing(self):
        run, heard = self.play()
        self.assertEqual(run.code, 0, run.said)
        self.assertEqual(heard.gaps, [])
        self.assertEqual(run.report["sound"]["equal_frames"], run.report["sound"]["source_frames"])

    def test_with_a_card_of_our_own_too_and_gaps_are_exact_to_the_frame(self):
        for neighbours, gaps in (([], 0), ([("hog", command.HOG)], 1)):
            scenario = command.playing(*neighbours).replace("timer_period_us = 500", "engine = 'own'")
            run = self.run_scenario(scenario, environment={"KDPC_QEMU": "/nowhere"})
            heard = gap_check.check(command.VOICE, run.wav, PERIOD)
            self.assertEqual((heard.damaged, heard.startup, len(heard.gaps)), ([], 0, gaps), run.said)
            self.assertEqual(run.report["dropouts"]["count"], gaps, run.said)
            if gaps:  # it had 40 ms, less what it had played of the first when the hog came
                self.assertEqual(run.report["culprit"]["driver"], "hog")
                self.assertTrue(5 <= heard.total / PER_MS <= 15, run.said)

    def test_the_gap_is_lateness_less_slack(self):
        for timer_period_us in (500, 100):
            with self.subTest(timer_period_us=timer_period_us):
                gaps = {}
                latencies = set()
                for late in (0, 5, 15, 25, 35, 45):
                    run, heard = self.play(("hog", {**command.HOG, "RunUs": late * 1000}), timer_period_us=timer_period_us)
                    self.assertLessEqual(len(heard.gaps), 1)
                    gaps[late] = heard.total / PER_MS
                    latencies.add(heard.startup)
                    if late == 45:
                        self.assertEqual(run.code, 1, run.said)
                        self.assertEqual(run.report["culprit"]["driver"], "hog")
                        self.assertEqual(run.report["culprit"]["routine"], "HogRun")
                self.assertGreater(gaps[45], 0)
                self.assertEqual(len(latencies), 1, "the start-up latency is constant")
                slack = 45 - gaps[45]
                for late, gap in gaps.items():
                    self.assertAlmostEqual(gap, max(0, late - slack), delta=timer_period_us / 1000 + 0.001, msg=f"{late} ms late; all: {gaps}")


@command.needs_sound
class RepeatedSound(command.Case):
    """A High Definition Audio controller never falls silent: a late DPC is heard as sound of one ring before."""

    def play(self, late):
        scenario = command.example("demo/repeated-sound.toml", ("RunUs = 45000", f"RunUs = {late * 1000}"), ("Count = 2", "Count = 1"))
        run = self.run_scenario(scenario[:scenario.index("[expect]")])
        self.assertIsNotNone(run.report, run.said)
        return run

    def test_it_grows_with_the_lateness_and_nothing_is_lost(self):
        lengths = {}
        for late in (0, 15, 25, 35, 40, 45, 60):
            run = self.play(late)
            lengths[late] = run.report["dropouts"]["total_ms"]
            self.assertEqual(run.report["sound"]["equal_frames"], run.report["sound"]["source_frames"], run.said)
            if lengths[late] > 0:
                self.assertEqual(run.report["culprit"]["driver"], "hog", run.said)
        self.assertGreater(lengths[45], 0)
        slack = 45 - lengths[45]
        # The codec asks once a millisecond.
        for late, length in lengths.items():
            self.assertAlmostEqual(length, max(0, late - slack), delta=1.001, msg=f"{late} ms late; all: {lengths}")


@command.needs_sound
class Blame(command.Case):
    def culprit_of(self, scenario):
        run = self.run_scenario(scenario)
        self.assertIsNotNone(run.report, run.said)
        return run, run.report["culprit"]["driver"]

    def total_of(self, report, driver):
        return sum(each["total_us"] for each in report["dpcs"] if each["driver"] == driver)

    # 20 ms of every 31, but in pieces of 0.1 ms between which others may go first.
    LURKER = {"FirstMs": 20, "PeriodMs": 30, "RunUs": 20000, "Mode": 2, "PieceUs": 100, "Processor": 0}

    def test_who_runs_long_but_never_in_the_way_is_not_blamed(self):
        run, culprit = self.culprit_of(command.playing(("hog", command.HOG), ("neighbour", self.LURKER)))
        self.assertEqual(run.report["verdict"], "dropouts", run.said)
        self.assertEqual(culprit, "hog", run.said)
        self.assertEqual(run.report["other_culprits"], [])
        self.assertGreater(self.total_of(run.report, "neighbour"), 5 * self.total_of(run.report, "hog"))

    def test_alone_it_does_no_harm(self):
        run, culprit = self.culprit_of(command.playing(("neighbour", self.LURKER)))
        self.assertEqual((run.code, run.report["verdict"], culprit), (0, "clean", None), run.said)

    def test_on_another_processor_it_does_no_harm(self):
        run, culprit = self.culprit_of(command.playing(("hog", {**command.HOG, "Processor": 1, "Count": 0, "PeriodMs": 100}), processors=2))
        self.assertEqual((run.code, run.report["verdict"], culprit), (0, "clean", None), run.said)

    def test_names_and_load_order_change_only_names(self):
        def facts(run):
            report = run.report
            chain = report["culprit"]["victim"]
            return (report["dropouts"]["count"], report["dropouts"]["total_ms"], [each["source_frame"] for each in report["dropouts"]["where"]],
                    report["culprit"]["routine"], report["culprit"]["kind"], round(chain["waited_us"] / 100))

        runs = {}
        for name in ("hog", "neighbour"):
            for sound_first in (True, False):
                run, culprit = self.culprit_of(command.playing((name, command.HOG), sound_first=sound_first))
                self.assertEqual(culprit, name, run.said)
                runs[name, sound_first] = run
        self.assertEqual(facts(runs["hog", True]), facts(runs["neighbour", True]))
        self.assertEqual(facts(runs["hog", False]), facts(runs["neighbour", False]))
        # The order moves the start of the sound against the clock by a few microseconds, and so the gap by at most one step of the card.
        first, second = runs["hog", True].report, runs["hog", False].report
        self.assertEqual(first["dropouts"]["count"], second["dropouts"]["count"])
        self.assertAlmostEqual(first["dropouts"]["total_ms"], second["dropouts"]["total_ms"], delta=0.501)

    def test_the_wait_is_split_and_adds_up(self):
        run, _ = self.culprit_of(command.playing(("hog", command.HOG)))
        chain = run.report["culprit"]["victim"]
        self.assertEqual((chain["driver"], chain["routine"]), ("ac97", "Ac97DpcForIsr"))
        self.assertAlmostEqual(chain["waited_us"], chain["queued_to_allowed_us"] + chain["allowed_to_started_us"], delta=0.01)
        self.assertAlmostEqual(chain["waited_us"], sum(each["us"] for each in chain["waited_for"]), delta=0.01)
        blamed = [each for each in chain["waited_for"] if each["driver"] == "hog"]
        self.assertGreater(blamed[0]["us"], 0.95 * chain["waited_us"])
        self.assertGreater(chain["run_us"], 0)

    def test_who_starves_the_application_is_blamed_for_that(self):
        # Pieces let the audio DPC pass at once, but no thread runs between them.
        run, culprit = self.culprit_of(command.playing(("neighbour", {"FirstMs": 400, "Count": 1, "RunUs": 300000, "Mode": 2, "PieceUs": 100, "Processor": 0})))
        self.assertEqual(run.report["verdict"], "dropouts", run.said)
        self.assertEqual(culprit, "neighbour", run.said)
        chain = run.report["culprit"]["victim"]
        self.assertLess(chain["waited_us"], 1000)
        self.assertGreater(chain["application_waited_us"], 200000)

    def test_the_reports_agree(self):
        run, _ = self.culprit_of(command.playing(("hog", command.HOG)))
        with open(os.path.join(run.out, "report.txt"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text, run.stdout)
        self.assertIn("The culprit is hog", text.splitlines()[1])
        self.assertIn(run.report["trace_hash"], text)
        for key in ("verdict", "dropouts", "culprit", "trace_hash", "dpcs", "isrs", "virtual_seconds", "wall_seconds"):
            self.assertIn(key, run.report)
        for each in run.report["dpcs"] + run.report["isrs"]:
            for key in ("driver", "routine", "processor", "count", "max_us", "total_us"):
                self.assertIn(key, each)
        isr = next(each for each in run.report["isrs"] if each["routine"] == "Ac97Isr")
        self.assertGreater(isr["count"], 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
