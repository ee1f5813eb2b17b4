"""The push over TLS and through proxies: whom it trusts with the token, and what it knows when nothing left."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from demo.simulator import SimulatorProcess
from tests.night import CUSTOMER_ID, TOKEN, Night
from tests.servers import Proxy
from webflow_conversions.errors import Stopped, Unavailable
from webflow_conversions.hooks.webflow import WebflowHook

CA_VARIABLES = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
IMPATIENT = {"patience_seconds": 1.0, "timeout_seconds": 2.0}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing of proxies and of certificates."""
    for name in (
        *CA_VARIABLES,
        "SSL_CERT_DIR",
        "http_proxy",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=CA_VARIABLES)
def trusted(request: pytest.FixtureRequest, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The authority is trusted, as each of the usual variables can say."""
    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv(request.param, path)
        yield


@pytest.mark.parametrize("name", [*CA_VARIABLES, "SSL_CERT_DIR"])
def test_a_directory_of_certificates_is_trusted_by_push_and_test_alike(
    night: Night, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    authority.cert_pem.write_to_path(str(folder / "company.pem"))
    subprocess.run(["openssl", "rehash", folder], check=True)
    run = night.ready(3)
    with tls_simulator(tmp_path, authority.issue_cert("127.0.0.1")) as simulator:
        connection = {"conn_type": "webflow", "host": simulator.url, "login": CUSTOMER_ID, "password": TOKEN}
        monkeypatch.setenv("AIRFLOW_CONN_WEBFLOW_DEFAULT", json.dumps(connection))
        assert "cannot prove" in WebflowHook().test_connection()[1]
        monkeypatch.setenv(name, str(folder))
        assert WebflowHook().test_connection()[0]
        assert night.push(run, simulator.url).accepted == 3


@contextmanager
def tls_simulator(folder: Path, certificate: trustme.LeafCert) -> Iterator[SimulatorProcess]:
    path = folder / "simulator.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    with SimulatorProcess(folder / "events.db", token=TOKEN, customer_id=CUSTOMER_ID, certificate=path) as simulator:
        yield simulator


def test_everything_arrives_over_tls(night: Night, authority: trustme.CA, trusted: None, tmp_path: Path) -> None:
    run = night.ready(200)
    with tls_simulator(tmp_path, authority.issue_cert("127.0.0.1")) as simulator:
        counts = night.push(run, simulator.url)
        assert set(simulator.action_ids().values()) == {1}
    assert (counts.accepted, counts.requests) == (200, 200)


@pytest.mark.parametrize("flaw", ["an unknown authority", "another host's name", "expired"])
def test_a_host_that_cannot_prove_who_it_is_gets_nothing(
    night: Night, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flaw: str
) -> None:
    run = night.ready(50)
    certificate = authority.issue_cert("127.0.0.1")
    if flaw == "another host's name":
        certificate = authority.issue_cert("log.intellimize.co")
    elif flaw == "expired":
        certificate = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(hours=1))
    if flaw != "an unknown authority":
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    says = r"^The host of connection webflow_default cannot prove who it is \(curl 60: .*\): nothing is sent to it\.$"
    with tls_simulator(tmp_path, certificate) as simulator:
        with pytest.raises(Stopped, match=says):
            night.push(run, simulator.url)
        assert simulator.summary()["requests"] == 0
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 0, 0)}


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_is_used_and_never_sees_the_token(
    night: Night, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    run = night.ready(30)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with tls_simulator(tmp_path, authority.issue_cert("127.0.0.1")) as simulator, Proxy() as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert night.push(run, simulator.url).accepted == 30
        assert proxy.asked
        assert all(asked.startswith(f"CONNECT 127.0.0.1:{simulator.port} ".encode()) for asked in proxy.asked)
        assert not any(b"Authorization" in asked or TOKEN.encode() in asked for asked in proxy.asked)


def test_a_host_that_needs_no_proxy_is_reached_without(
    night: Night, simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = night.ready(30)
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert night.push(run, simulator.url).accepted == 30
        assert proxy.asked == []


@pytest.mark.parametrize(
    "refusal", [b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b""]
)
def test_what_a_proxy_did_not_let_through_was_never_sent(night: Night, monkeypatch: pytest.MonkeyPatch, refusal: bytes) -> None:
    run = night.ready(5)
    with Proxy(refusal) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(Unavailable, match=r"no good answer for \d+ seconds \(last trouble: curl (7|56): .*CONNECT"):
            night.push(run, "https://log.intellimize.co", settings=IMPATIENT)
        assert proxy.asked
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 0, 0)}


def test_a_connection_that_breaks_in_the_handshake_carried_nothing(night: Night) -> None:
    run = night.ready(5)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(Unavailable, match=r"last trouble: curl 35"):
            night.push(run, f"https://127.0.0.1:{listener.getsockname()[1]}", settings=IMPATIENT)
    assert {(row.state, row.attempts, row.attempts_in_doubt) for row in night.rows().values()} == {("ready", 0, 0)}
