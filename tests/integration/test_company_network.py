"""Certificates and proxies of a company: *Test*, plan, push and read-back go by one rule (docs/configuration.md)."""

import json
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from demo.simulator import SimulatorProcess
from demo.simulator.account import SITE_ID
from tests.night import CUSTOMER_ID, TOKEN, Night
from tests.servers import Proxy
from tests.surroundings import Surroundings
from webflow_conversions.errors import ConversionsError, Stopped
from webflow_conversions.hooks.webflow import WebflowHook
from webflow_conversions.hooks.webflow_data import WebflowDataHook
from webflow_conversions.pipeline.run import Run

FILES = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
VARIABLES = (*FILES, "SSL_CERT_DIR")
LOGIN = "robot:canary"
DATA_TOKEN = "data-token-1"
IMPATIENT = {"patience_seconds": 1.0, "timeout_seconds": 2.0}
GOOD = {"test": "", "plan": "", "push": "", "read-back": ""}


class Company:
    """An API whose certificate is by a company's authority, and the four that ask it."""

    def __init__(self, folder: Path, night: Night, api: SimulatorProcess, environment: pytest.MonkeyPatch) -> None:
        self.api, self.folder = api, folder
        self.file = folder / "company.pem"
        self._night, self._environment = night, environment
        self._run: Run | None = None
        self.lead_to(api.url)

    def lead_to(self, url: str) -> None:
        """Let the connections lead there."""
        self._url = url
        webflow = {
            "conn_type": "webflow",
            "login": CUSTOMER_ID,
            "password": TOKEN,
            "extra": {"timeout_seconds": 5, "allow_http": True},
        }
        data = {
            "conn_type": "webflow_data",
            "password": DATA_TOKEN,
            "extra": {"site_id": SITE_ID, "timeout_seconds": 5, "allow_http": True},
        }
        for name, fields in (("WEBFLOW_DEFAULT", webflow), ("WEBFLOW_DATA", data)):
            self._environment.setenv(f"AIRFLOW_CONN_{name}", json.dumps({**fields, "host": url}))

    def set(self, **variables: object) -> None:
        for name, value in variables.items():
            self._environment.setenv(name, str(value))

    def told(self) -> dict[str, str]:
        """What each of the four says; nothing where it reached the API."""
        if self._run is None:
            self._run = self._night.ready(2)
        run = self._run
        return {
            "test": self._test(),
            "plan": self._words(lambda: WebflowHook().probe()),
            "push": self._words(lambda: self._push(run)),
            "read-back": self._words(self._read_back),
        }

    def _test(self) -> str:
        is_well, words = WebflowHook().test_connection()
        return "" if is_well else words

    def _push(self, run: Run) -> None:
        assert self._night.push(run, self._url, settings=IMPATIENT).accepted == 2

    def _read_back(self) -> None:
        with WebflowDataHook().get_conn() as analyze:
            assert analyze.goals() == []

    @staticmethod
    def _words(call: Callable[[], object]) -> str:
        try:
            call()
        except ConversionsError as error:
            return str(error)
        return ""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def api(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    folder = tmp_path_factory.mktemp("api")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "api.pem"))
    with SimulatorProcess(
        folder / "events.db", TOKEN, CUSTOMER_ID, certificate=folder / "api.pem", data_token=DATA_TOKEN
    ) as running:
        yield running


@pytest.fixture
def company(
    api: SimulatorProcess, authority: trustme.CA, night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Company:
    """In an environment that says nothing of proxies and of certificates."""
    for name in [name for name in os.environ if name in VARIABLES or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    api.clear()
    made = Company(tmp_path, night, api, monkeypatch)
    authority.cert_pem.write_to_path(str(made.file))
    return made


# Certificates


def test_a_company_s_authority_is_trusted_by_none_of_the_four_unless_it_is_named(company: Company) -> None:
    assert all("cannot prove who it is" in words and "curl 60" in words for words in company.told().values())


@pytest.mark.parametrize("variable", FILES)
def test_a_file_of_certificates_is_trusted_by_all_four(company: Company, variable: str) -> None:
    company.set(**{variable: company.file})
    assert company.told() == GOOD


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("before", ["", "/no/such/folder:"])
def test_a_directory_of_certificates_is_trusted_by_all_four(company: Company, variable: str, before: str) -> None:
    subprocess.run(["openssl", "rehash", company.folder], check=True)
    company.set(**{variable: f"{before}{company.folder}"})
    assert company.told() == GOOD


@pytest.mark.parametrize("variable", VARIABLES)
def test_certificates_that_are_named_and_missing_stop_all_four_with_one_sentence(company: Company, variable: str) -> None:
    company.set(**{variable: "/no/such/company.pem"})
    told = company.told()
    sentence = f"curl 77: {variable} names /no/such/company.pem, where no certificates are"
    assert all("cannot prove who it is" in words and sentence in words for words in told.values()), told
    assert company.api.summary()["requests"] == 0


def test_the_first_variable_that_is_set_counts(company: Company) -> None:
    company.set(CURL_CA_BUNDLE="", SSL_CERT_FILE="/no/such/file", SSL_CERT_DIR="/no/such/folder")
    assert all("SSL_CERT_FILE names" in words for words in company.told().values())
    company.set(CURL_CA_BUNDLE=company.file)
    assert company.told() == GOOD


def test_a_plan_whose_destination_cannot_prove_who_it_is_stops_the_run(around: Surroundings, company: Company) -> None:
    with pytest.raises(Stopped, match=r"cannot prove who it is \(curl 60: .*\): nothing is sent to it"):
        around.plan()
    assert company.api.summary()["requests"] == 0


# Proxies


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_all_four_go_through_a_proxy_that_sees_no_token(company: Company, variable: str) -> None:
    company.set(SSL_CERT_FILE=company.file)
    with Proxy() as proxy:
        company.set(**{variable: proxy.url})
        assert company.told() == GOOD
        assert len(proxy.asked) >= len(GOOD)
        for asked in proxy.asked:
            assert asked.startswith(f"CONNECT 127.0.0.1:{company.api.port} ".encode())
            assert not any(secret in asked for secret in (b"Authorization", TOKEN.encode(), DATA_TOKEN.encode()))


def test_all_four_log_in_at_a_proxy(company: Company) -> None:
    company.set(SSL_CERT_FILE=company.file)
    with Proxy(login=LOGIN) as proxy:
        company.set(https_proxy=proxy.url.replace("canary", "wrong-one"))
        told = company.told()
        company.set(https_proxy=proxy.url)
        assert company.told() == GOOD
    assert all("response 407" in words for words in told.values()), told
    assert not any("wrong-one" in words or "robot" in words for words in told.values())


@pytest.mark.parametrize("place", ["file", "folder"])
def test_all_four_speak_tls_to_a_proxy_that_the_company_s_authority_vouches_for(
    company: Company, authority: trustme.CA, place: str
) -> None:
    subprocess.run(["openssl", "rehash", company.folder], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Proxy(login=LOGIN, context=context) as proxy:
        company.set(https_proxy=proxy.url)
        assert all("cannot prove who it is" in words for words in company.told().values())
        assert not any(proxy.asked)
        company.set(SSL_CERT_FILE=getattr(company, place))
        assert company.told() == GOOD
        assert sum(asked.startswith(b"CONNECT ") for asked in proxy.asked) >= len(GOOD)


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize(
    ("excepted", "is_asked"),
    [("127.0.0.1", False), ("localhost, 127.0.0.1", False), ("127.0.0.0/8", False), ("*", False), ("127.0.0.1:{port}", True)],
)
def test_no_proxy_means_the_same_to_all_four(company: Company, variable: str, excepted: str, is_asked: bool) -> None:
    company.set(SSL_CERT_FILE=company.file)
    with Proxy() as proxy:
        company.set(https_proxy=proxy.url, **{variable: excepted.format(port=company.api.port)})
        assert company.told() == GOOD
        assert (len(proxy.asked) >= len(GOOD), not proxy.asked) == (is_asked, not is_asked)


def test_http_proxy_in_capitals_is_read_by_none_of_the_four(company: Company) -> None:
    company.lead_to("http://webflow.invalid")
    with Proxy() as proxy:
        company.set(HTTP_PROXY=proxy.url)
        told = company.told()
        assert proxy.asked == []
    assert all("curl 6: " in words for words in told.values()), told
