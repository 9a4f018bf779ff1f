"""The findings of a study: claims on the records of all its runs, in one table at the end."""

import json

from nharness.cli.main import main

TINY = """
[study]
name = "tiny"
models = [{{ name = {model}, max_length = 128 }}]
detectors = [{{ name = "lape", options = {{ top_rate = 0.1 }} }}]
languages = ["en", "de"]
corpora = [{{ name = "sample", detect_tokens = 400, eval_tokens = 250 }}]
tasks = ["ppl"]
controls = {{ draws = 0 }}
analysis = {{ bootstrap_draws = 100 }}
kinds = [["specific"], ["specific", "related"]]
findings = ["related-add-harm", "own-language-most", "alignment-makes-related"]
"""


def test_findings_are_held_against_all_runs_at_the_end(tiny_model_folder, tmp_path, capsys):
    file = tmp_path / "tiny.toml"
    file.write_text(TINY.format(model=json.dumps(str(tiny_model_folder))))
    code = main(["run", "--study", str(file), "--out", str(tmp_path / "out"), "-q"])
    printed = capsys.readouterr()
    table = printed.out[printed.out.index("what the paper claims") :]
    assert "related-add-harm\t" in table
    assert "own-language-most\t" in table
    assert "alignment-makes-related: not measured; it needs records of one model aligned" in printed.err
    assert code == 1
