"""museum.txt, and whether a failure is one that it lists."""
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent


class Entry:
    def __init__(self, line):
        row, expected = (part.strip() for part in line.split("|"))
        self.name, self.processors, self.kind, self.found, *_ = row.split()
        self.expected = set(expected.split("/"))

    def expects(self, failure):
        """Of a failure as `kdpc explore` tells it."""
        return not self.expected.isdisjoint(names_of(failure))

    def expects_of_run(self, report):
        """Of the report of a run that failed."""
        return not self.expected.isdisjoint(names_of_run(report))


def entries():
    lines = (HERE / "museum.txt").read_text(encoding="utf-8").splitlines()
    return [Entry(line) for line in lines if line and not line.startswith("#")]


def names_of(failure):
    """What the table may call it: a bug check by its name or number, a finding by its id."""
    if told := re.match(r"bug check (.+?) \((0x[0-9a-f]+)\) in ", failure):
        return set(told.groups())
    if told := re.match(r"finding (\S+) in ", failure):
        return {told[1]}
    if failure.startswith("no progress: "):
        return {"loop"}
    return {"hang"} if ": this did not end: " in failure else set()


def names_of_run(report):
    if bugcheck := report.get("bugcheck"):
        return {bugcheck["name"], bugcheck["code"]}
    findings = [finding["id"] for finding in report["findings"] if not finding.get("advice")]
    return set(findings[:1]) or names_of(report["sentence"])  # the first ends the run
