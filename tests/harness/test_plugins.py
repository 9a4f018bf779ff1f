"""Plug-ins: found, blocked, broken, and never in the way of others."""

import sys
import textwrap
from importlib.metadata import EntryPoint

import pytest

from nharness.errors import PluginError, UnknownNameError
from nharness.plugins import Plugins
from nharness.run.plan.resolve import load_detector
from nharness.spec import Named


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, body):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(body))
        sys.modules.pop(name, None)
        return name

    return write


GOOD = """
    from nharness import Entry, hookimpl
    @hookimpl
    def nharness_register_detectors():
        return [Entry("mine", "mine", "nharness_detectors.lape:Lape")]
"""


def test_the_built_in_ones_come_by_the_front_door():
    plugins = Plugins()
    status = {s.name: s for s in plugins.statuses}
    assert status["detectors"].status == status["tasks"].status == "active"
    assert "lape" in plugins.entries("detectors")
    assert "nharness_register_detectors" in status["detectors"].hooks


def test_without_autoload_nothing_is_there_but_what_is_named(module):
    plugins = Plugins(autoload=False, extra=[module("good_plugin", GOOD)])
    assert list(plugins.entries("detectors")) == ["mine"]


def test_a_blocked_plugin_is_not_imported(module):
    name = module("explosive_plugin", "raise RuntimeError('imported')")
    plugins = Plugins(autoload=False, extra=[name], block=[name])
    assert name not in sys.modules
    assert not plugins.entries("detectors")


def test_a_blocked_built_in_is_gone():
    plugins = Plugins(block=["detectors"])
    assert "lape" not in plugins.entries("detectors")
    assert {s.name: s.status for s in plugins.statuses}["detectors"] == "blocked"


def test_a_named_plugin_that_fails_stops_with_its_name(module):
    with pytest.raises(PluginError, match=r"'broken_plugin' given with -p failed: RuntimeError: boom"):
        Plugins(autoload=False, extra=[module("broken_plugin", "raise RuntimeError('boom')")])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise SystemExit('good bye')", "SystemExit: good bye"),
        ("import sys; sys.exit()", "SystemExit"),
        ("raise BaseException('two\\nlines')", "BaseException: two lines"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("def broken(:", "SyntaxError"),
        (
            "from nharness import hookimpl\n@hookimpl\ndef nharness_summry(records): ...",
            "unknown hook 'nharness_summry'; did you mean 'nharness_summary'?",
        ),
        ("from nharness import hookimpl\n@hookimpl\ndef nharness_summary(recs): ...", "nharness_summary"),
        ("def nharness_register_detectors(): raise SystemExit(3)", "SystemExit: 3"),
        ("def nharness_register_detectors(): return 5", "TypeError"),
    ],
)
def test_whatever_a_plugin_does_at_import_is_told_in_one_line_and_leaves_nothing(module, body, message, monkeypatch):
    import nharness.plugins as under_test

    name = module("odd_plugin_9", body)
    with pytest.raises(PluginError, match="'odd_plugin_9' given with -p failed: ") as caught:
        Plugins(autoload=False, extra=[name])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(under_test, "entry_points", lambda group: [EntryPoint("odd", name, "nharness")])
    plugins = Plugins()
    assert [(s.name, s.status, s.hooks) for s in plugins.statuses] == [("odd", "failed", ())]
    assert not plugins.pm.get_plugins()


def test_an_interruption_is_nobodys_fault(module):
    with pytest.raises(KeyboardInterrupt):
        Plugins(autoload=False, extra=[module("interrupted_plugin", "raise KeyboardInterrupt")])


@pytest.mark.parametrize("name", ["../x", "x/y.py", "", "1x", "a b", "a:b:c", "./my_plugin"])
def test_what_is_no_modules_name_is_refused(name):
    with pytest.raises(PluginError, match=r"is not a module name; expected one such as my_plugin, or no:NAME"):
        Plugins(autoload=False, extra=[name])


def test_an_installed_plugin_can_be_named_where_none_is_loaded_by_itself():
    plugins = Plugins(autoload=False, extra=["top_mean", "executors"])
    first = plugins.statuses[0]
    assert (first.name, first.module, first.distribution) == ("top_mean", "nharness_top_mean", "nharness-top-mean")
    assert set(plugins.entries("detectors")) == {"top-mean"}


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise NharnessError('on\\npurpose')", "NharnessError: on purpose"),
    ],
)
def test_a_hook_that_fails_is_told_once_and_the_others_are_called(module, does, told):
    body = "from nharness import NharnessError, hookimpl\n@hookimpl\ndef nharness_summary(records): "
    named = [module("fine_plugin", body + "return 'first'"), module("failing_plugin", body + does)]
    heard = []
    plugins = Plugins(autoload=False, extra=[*named, module("fine_plugin2", body + "return 'last'")], tell=heard.append)
    assert plugins.hook.nharness_summary(records=[]) == ["last", "first"]
    assert plugins.hook.nharness_summary(records=[]) == ["last", "first"]
    assert heard == list(plugins.failures) == [f"plug-in 'failing_plugin' failed in nharness_summary: {told}"]


def test_ctrl_c_in_a_hook_is_nobodys_fault(module):
    body = "from nharness import hookimpl\n@hookimpl\ndef nharness_summary(records): raise KeyboardInterrupt"
    plugins = Plugins(autoload=False, extra=[module("interrupted_plugin2", body)])
    with pytest.raises(KeyboardInterrupt):
        plugins.hook.nharness_summary(records=[])


def test_what_comes_with_nharness_is_first_and_one_name_that_is_taken_costs_no_other(module, monkeypatch):
    import nharness.plugins as under_test

    body = GOOD.replace('[Entry("mine"', '[Entry("lape", "theirs", "no:Such"), Entry("mine"')
    ours = list(under_test.entry_points(group="nharness"))
    theirs = [EntryPoint(name, module(f"grabbing_{name}", body), "nharness") for name in ("aaa", "detectors")]
    monkeypatch.setattr(under_test, "entry_points", lambda group: [*theirs, *ours])
    plugins = Plugins()
    assert plugins.entries("detectors")["lape"].plugin == "detectors"
    assert plugins.resolve("detectors", "lape").__name__ == "Lape"
    assert {"dln", "ternary", "mine"} <= set(plugins.entries("detectors"))
    status = {s.name: s for s in plugins.statuses}
    assert (status["detectors"].module, status["detectors"].error) == ("nharness_detectors.plugin", "")
    assert status["aaa"].status == "active"
    assert status["aaa"].error == "its detector 'lape' is left out, since plug-in 'detectors' has one of that name"
    assert status["grabbing_detectors.detectors"].error.count("left out") == 2  # `mine` is taken by then, too
    with pytest.raises(PluginError, match="its detector 'lape' is left out"):
        Plugins(strict=True)


def test_a_modules_own_trouble_is_told(module):
    name = module("troubled", "raise ValueError('two\\nlines')")
    with pytest.raises(
        PluginError, match=r"detector 'troubled:X': cannot import 'troubled:X' \(ValueError: two lines\)"
    ):
        Plugins(autoload=False).resolve("detectors", f"{name}:X")


def test_an_installed_plugin_that_fails_is_listed_and_the_rest_goes_on(module, monkeypatch):
    import nharness.plugins as under_test

    bad = EntryPoint("bad", module("broken_plugin2", "import no_such_module"), "nharness")
    good = EntryPoint("good", module("good_plugin2", GOOD), "nharness")
    monkeypatch.setattr(under_test, "entry_points", lambda group: [bad, good])
    plugins = Plugins()
    assert [(s.name, s.status) for s in plugins.statuses] == [("bad", "failed"), ("good", "active")]
    assert "no_such_module" in plugins.statuses[0].error
    assert "mine" in plugins.entries("detectors")
    with pytest.raises(PluginError, match="'bad'"):
        Plugins(strict=True)


def test_two_of_a_name_are_refused_and_the_second_leaves_nothing(module):
    with pytest.raises(PluginError, match="'mine' is left out, since plug-in 'good_plugin3' has"):
        Plugins(autoload=False, extra=[module("good_plugin3", GOOD), module("good_plugin4", GOOD)])


def test_what_is_no_entry_is_refused(module):
    body = "def nharness_register_detectors():\n    return ['lape']\n"
    with pytest.raises(PluginError, match=r"expected nharness\.Entry"):
        Plugins(autoload=False, extra=[module("odd_plugin", body)])


def test_names_and_paths_resolve():
    plugins = Plugins()
    assert plugins.resolve("detectors", "lape") is plugins.resolve("detectors", "nharness_detectors.lape:Lape")
    with pytest.raises(UnknownNameError, match="unknown detector 'lapse'; did you mean 'lape'"):
        plugins.resolve("detectors", "lapse")
    with pytest.raises(PluginError, match=r"cannot import 'nharness_detectors\.lape:Nothing'"):
        plugins.resolve("detectors", "nharness_detectors.lape:Nothing")


@pytest.mark.parametrize(
    ("method", "body", "message"),
    [
        ("needs", "return 'moments'", "needs 'moments', expected a tuple of nharness.Need"),
        ("needs", "return ('moments',)", r"needs \('moments',\), expected a tuple of nharness.Need"),
        ("needs", "raise SystemExit(0)", "does not say what it needs: SystemExit: 0"),
        ("__init__", "raise ValueError('no luck')", "cannot be made: ValueError: no luck"),
    ],
)
def test_a_detector_that_cannot_be_asked_what_it_needs_is_named(module, method, body, message):
    name = module(
        "odd_one",
        f"""
        from nharness import Detector, DetectorOptions, Need
        class Odd(Detector[DetectorOptions]):
            name = "odd"
            def needs(self): return (Need("moments", "gate"),)
            def detect(self, evidence): return None
            def {method}(self, **options): {body}
        """,
    )
    with pytest.raises(PluginError, match=f"'{name}:Odd' {message}"):
        load_detector(Named(name=f"{name}:Odd"), Plugins())
