"""The fixture `sandbox`, as a plug-in's author uses it: a plug-in written down, commands run, records read."""

pytest_plugins = ["nharness.testing.sandbox"]
SOURCE = '''
import numpy as np
from nharness import Detector, Entry, Need, hookimpl


class First(Detector):
    """The first neuron belongs to every language."""

    name = "first"

    def needs(self):
        return (Need("moments", "gate"),)

    def detect(self, evidence):
        mean = evidence.statistics("gate").mean()
        membership = np.zeros(mean.shape, dtype=bool)
        membership[:, 0] = True
        return self.detection(evidence, membership=membership, score=mean)


@hookimpl
def nharness_register_detectors():
    return [Entry("first", "the first neuron", First)]
'''
SMALL = "--languages en,de --detect-tokens 1000 --eval-tokens 200 --controls 0 --tasks ppl --out out -q"


def test_a_plugin_runs_and_its_record_is_read(sandbox):
    file = sandbox.plugin("mine", SOURCE)
    assert file == sandbox.path / "mine.py"
    done = sandbox.run("run", "-p", "mine", "--detector", "first", *SMALL.split())
    assert done.code == 0, done.err
    records = sandbox.records("out")
    assert list(records) == ["first-zero"]
    assert records["first-zero"]["neurons"]["per_language"] == {"en": 1, "de": 1}


def test_what_fails_is_told_as_on_the_command_line(sandbox):
    done = sandbox.run("check", "absent:Nobody")
    assert (done.code, done.out) == (4, "")
    assert "cannot import 'absent:Nobody'" in done.err
    assert sandbox.records("out") == {}
