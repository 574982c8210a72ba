import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from offramp.errors import ConfigError
from offramp.report.command import report


@pytest.fixture
def files(make, tmp_path):
    paths = []
    for name in ("fixed_split", "offramp"):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(b"\n".join(make.encode(make.story(strategy=name))))
        paths.append(str(path))
    return paths


def invoke(*arguments):
    return CliRunner().invoke(report, arguments, standalone_mode=False, catch_exceptions=False)


def test_runs_become_table_page_and_json(files, tmp_path):
    out, json_out = tmp_path / "r.html", tmp_path / "r.json"
    shown = invoke(*files, "-o", str(out), "--json", str(json_out), "--timeline", files[0])
    assert shown.exit_code == 0
    assert "right in time" in shown.output
    assert f"report: {out}" in shown.output
    page = out.read_text()
    assert "Second by second: fixed_split" in page
    assert f"--timeline {files[0]} -o {out}" in page
    document = json.loads(json_out.read_text())
    assert (document["format"], document["differences"]) == (1, [])
    assert [run["summary"]["label"] for run in document["runs"]] == ["fixed_split", "offramp"]
    assert document["runs"][1]["summary"]["bytes_per_sample"] == 250
    assert document["runs"][1]["setup"]["deadline_s"] == 0.1
    assert document["runs"][1]["file"] == "offramp"


def test_without_options_only_the_table_is_shown(files):
    assert "report:" not in invoke(*files).output


def test_computing_on_is_told_below_the_table(make, tmp_path):
    (tmp_path / "r.jsonl").write_bytes(b"\n".join(make.encode(make.hedged())))
    shown = invoke(str(tmp_path / "r.jsonl")).output
    assert "device first" in shown
    assert "was first with 2 of 5 samples; that took 60.0 ms, 6.0% of the run's time" in shown


def test_a_wrong_file_is_refused_by_name_and_line(files, tmp_path):
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"kind": "run"}\n')
    with pytest.raises(ConfigError, match=r"wrong.jsonl, line 1: strategy is missing; add it"):
        invoke(files[0], str(wrong))


@pytest.mark.parametrize("option", ["--json", "-o"])
def test_what_cannot_be_written_is_refused_before_the_runs_are_read(option, tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        invoke(str(tmp_path / "absent.jsonl"), option, str(tmp_path / "no" / "r.json"))


@pytest.mark.e2e
@pytest.mark.parametrize("module", ["offramp.report.command", "offramp.demo.command"])
def test_the_commands_are_light_to_import(module):
    code = (
        f"import sys, {module}; "
        "assert not {'numpy', 'pydantic', 'matplotlib', 'jinja2', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
