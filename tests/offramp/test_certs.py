"""``offramp certs`` and ``offramp token``."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from edge_server.security.roster import ClientsFile
from edge_server.security.token_command import token
from edge_server.security.tokens import token_hash
from offramp.certs_command import certs
from offramp.errors import ConfigError

x509 = pytest.importorskip("cryptography.x509")


def make(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(certs, ["--out", str(folder), *options])


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_makes_an_authority_a_server_and_clients_and_says_what_next(tmp_path: Path) -> None:
    made = make(tmp_path / "certs", "--host", "edge.local", "--host", "10.0.0.5", "--client", "b1")
    assert made.exit_code == 0, made.output
    folder = tmp_path / "certs"
    names = {"authority", "server", "b1"}
    assert {p.name for p in folder.iterdir()} == {
        f"{name}{part}.pem" for name in names for part in ("", "-key")
    }
    server = read(folder / "server.pem")
    server.verify_directly_issued_by(read(folder / "authority.pem"))
    sans = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sans.get_values_for_type(x509.DNSName) == ["edge.local", "localhost"]
    assert [str(ip) for ip in sans.get_values_for_type(x509.IPAddress)] == [
        "10.0.0.5",
        "127.0.0.1",
        "::1",
    ]
    lasts = server.not_valid_after_utc - server.not_valid_before_utc
    assert lasts.days == 397 + 1  # a day for clocks that are behind
    first, second = made.output.splitlines()
    assert first.startswith("server: offramp serve ")
    assert "--server edge.local:50051" in second


def test_keys_are_the_users_alone(tmp_path: Path) -> None:
    make(tmp_path, "--client", "b1")
    for key in tmp_path.glob("*-key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(list(tmp_path.glob("*-key.pem"))) == 3


def test_no_file_is_replaced(tmp_path: Path) -> None:
    make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again = make(tmp_path)
    assert isinstance(again.exception, ConfigError)
    assert "server.pem is there already" in str(again.exception)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_device_that_comes_later_is_signed_by_the_same_authority(tmp_path: Path) -> None:
    make(tmp_path)
    assert make(tmp_path, "--client", "late").exit_code == 0
    read(tmp_path / "late.pem").verify_directly_issued_by(read(tmp_path / "authority.pem"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--client", "server"), "another file's name"),
        (("--client", "../up"), "is no name"),
        (("--client", "a" * 65), "is no name for a certificate"),
        (("--host", "b\N{SNOWMAN}"), "is no host"),
        (("--days", "0"), "not in the range"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, options: tuple[str, str], said: str) -> None:
    made = make(tmp_path, *options)
    assert made.exit_code != 0
    assert said in f"{made.output} {made.exception}"


def test_a_folder_with_half_an_authority_is_refused(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_text("half")
    assert "are no authority" in str(make(tmp_path).exception) or "cannot be read" in str(
        make(tmp_path).exception
    )


def test_an_authority_with_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    key = tmp_path / "authority-key.pem"
    content = b"".join(key.read_bytes().splitlines()[1:-1])
    odd = base64.b64decode(content).replace(
        b"\x2a\x86\x48\xce\x3d\x02\x01", b"*\x86\x48\xce\x3d\x02\x7f"
    )
    lines = b"-----BEGIN PRIVATE KEY-----", base64.b64encode(odd), b"-----END PRIVATE KEY-----"
    key.write_bytes(b"\n".join(lines))
    assert "are no authority" in str(make(tmp_path, "--client", "late").exception)


def test_a_token_is_printed_once_with_what_the_server_keeps_of_it() -> None:
    made = CliRunner().invoke(token, ["board-1"])
    assert made.exit_code == 0
    (fresh,) = made.stdout.splitlines()
    file = ClientsFile.model_validate(yaml.safe_load(made.stderr))
    assert [one.sha256 for one in file.clients["board-1"].tokens] == [token_hash(fresh)]
    assert fresh not in made.stderr
    assert CliRunner().invoke(token, ["board-1"]).stdout != made.stdout


def test_a_name_that_is_none_has_no_token() -> None:
    assert CliRunner().invoke(token, [" "]).exit_code == 2
