import pytest
from click.testing import CliRunner
from rich.console import Console

from offramp.commands import run_command
from offramp.demo.command import demo
from offramp.demo.main import run_demo
from offramp.demo.settings import DemoSettings, default_bundle, default_folder
from offramp.errors import BundleError, ConfigError


@pytest.fixture
def started(monkeypatch):
    """The settings with which the command starts the demo, which is not run."""
    seen = []
    monkeypatch.setattr("offramp.demo.main.run_demo", lambda settings, _: seen.append(settings))
    return seen


def invoke(*arguments):
    return CliRunner().invoke(demo, arguments, standalone_mode=False, catch_exceptions=False)


def test_defaults(started):
    invoke()
    (settings,) = started
    assert settings.bundle == default_bundle()
    assert settings.bundle.name == "cluttered_digits.offramp"
    assert settings.out.parent == default_folder().parent
    assert (settings.samples, settings.table_samples) == (500, 150)
    assert (settings.rate_hz, settings.deadline_s, settings.slowdown) == (15.0, 0.15, None)


def test_quick_and_what_overrides_it(started, tmp_path):
    words = ["--quick", "--table-samples", "20", "--slowdown", "4", "--deadline-ms", "80"]
    invoke(*words, "--out", str(tmp_path))
    (settings,) = started
    assert (settings.samples, settings.table_samples) == (120, 20)
    assert (settings.slowdown, settings.deadline_s, settings.out) == (4.0, 0.08, tmp_path)
    assert settings.command() == (
        "offramp demo --samples 120 --table-samples 20 --rate 15 --deadline-ms 80 "
        "--slowdown 4 --seed 0"
    )


def test_ctrl_c_says_what_is_kept(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("offramp.demo.main.run_demo", interrupt)
    begun, drawn = tmp_path / "begun", tmp_path / "drawn"
    for folder, file in ((begun, "main.jsonl"), (drawn, "samples.npz")):
        folder.mkdir()
        (folder / file).touch()
    for folder, kept in (
        (begun, f"what ran until now is in {begun}"),
        (drawn, "nothing ran"),
        (tmp_path / "no", "nothing ran"),
    ):
        with pytest.raises(KeyboardInterrupt):
            run_command(["demo", "--out", str(folder)])
        said = capsys.readouterr().err.strip()
        assert said == f"interrupted: there is no report; {kept}"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--samples", "9"], "samples must be "),
        (["--samples", "50", "--table-samples", "51"], "--table-samples 51 is more than"),
        (["--rate", "0"], "rate_hz must be "),
        (["--deadline-ms", "-1"], "deadline_s must be "),
        (["--slowdown", "0.5"], "slowdown must be "),
        (["--seed", "-1"], "seed must be "),
    ],
)
def test_wrong_options_are_refused(started, words, why):
    with pytest.raises(ConfigError, match=why):
        invoke(*words)
    assert started == []


def test_a_bundle_that_is_missing_is_refused_before_anything_starts(tmp_path):
    settings = DemoSettings(bundle=tmp_path / "none.offramp", out=tmp_path / "run")
    with pytest.raises((BundleError, ConfigError), match=r"none\.offramp"):
        run_demo(settings, Console(quiet=True))
    assert not (tmp_path / "run").exists()


def test_help_names_every_option():
    text = CliRunner().invoke(demo, ["--help"]).output
    for name in DemoSettings.model_fields:
        if name not in ("profile_rounds", "rate_hz", "deadline_s"):
            assert f"--{name.replace('_', '-')}" in text
    assert {"--rate", "--deadline-ms", "--quick"} <= set(text.split())
