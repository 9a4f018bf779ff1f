"""`--collect-only` says on what its price rests where nobody has read a task's items."""

import json

import pytest

from nharness.cli.main import main


@pytest.mark.parametrize(
    ("options", "assumed"),
    [
        ("--tasks ppl", ""),
        ("--tasks ppl,continuation --limit 12", " if continuation has 12 items of 100 tokens"),
        (
            "--tasks xcopa,xnli --languages zh,vi",
            " if xcopa has 100 items of 100 tokens and xnli has 100 items of 100 tokens",
        ),
    ],
)
def test_what_is_guessed_is_said(capsys, options, assumed):
    command = ["run", "--detector", "lape", "--collect-only", *options.split()]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["assumed"] == assumed.strip()
    assert main([*command, "-q"]) == 0
    told = capsys.readouterr().out
    assert f"at most {found['forward_tokens']:,} forward tokens{assumed}" in told
    assert (" if " in told) == bool(assumed)
