"""The rate limit, as the server sees it."""

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from demo.simulator import SimulatorProcess
from tests.night import Night
from tests.servers import FarServer, most_in_a_second
from webflow_conversions.delivery.push import Push


@pytest.mark.parametrize("workers", [1, 3])
def test_no_second_sees_more_requests_than_the_rate_limit_however_many_workers_push(
    night: Night, simulator: SimulatorProcess, workers: int
) -> None:
    run = night.ready(20)
    pushes = [
        night.prepare_push(run, simulator.url, worker=worker, settings={"requests_per_second": 5.0}) for worker in range(workers)
    ]
    with ThreadPoolExecutor(workers) as pool:
        assert sum(counts.accepted for counts in pool.map(Push.run, pushes)) == 20
    seen = [second["requests"] for second in simulator.summary()["requests_per_second"]]
    assert sum(seen) == 20
    assert max(seen) <= 5


@pytest.mark.parametrize(("requests_per_second", "seconds"), [(4.0, 0.15), (4.0, 0.3), (1.0, 0.2), (10.0, 0.17)])
def test_a_far_server_gets_its_events_under_a_low_rate_limit(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests_per_second: float, seconds: float
) -> None:
    """Connecting takes longer than a permit lasts."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("localhost").configure_cert(context)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))
    run = night.ready(5)
    with FarServer(context, seconds) as server:
        counts = night.push(run, server.url, settings={"requests_per_second": requests_per_second})
        assert counts.accepted == 5
        assert server.connections < 5
        assert most_in_a_second(at for at, _ in server.got) <= requests_per_second
