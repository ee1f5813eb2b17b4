"""A collector on this machine: what OpenTelemetry (OTLP over HTTP) and OpenLineage send, decoded and kept."""

import gzip
import json
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

METRICS, TRACES, LINEAGE = "/v1/metrics", "/v1/traces", "/api/v1/lineage"


class Point(NamedTuple):
    """A data point of a metric; ``kind`` is gauge, sum or another."""

    name: str
    kind: str
    attributes: Mapping[str, Any]
    value: float
    service: str


class Span(NamedTuple):
    """A span, with the ID of its trace."""

    name: str
    trace: str
    is_error: bool
    attributes: Mapping[str, Any]


class Collector(ThreadingHTTPServer):
    """Takes what is posted to the three paths; a context manager. ``points``, ``spans`` and ``events`` are in the order of arrival."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.points: list[Point] = []
        self.spans: list[Span] = []
        self.events: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def take(self, path: str, body: bytes) -> None:
        """Decode what was posted.

        :raises KeyError: if nothing of that path is known.
        """
        {METRICS: self._metrics, TRACES: self._traces, LINEAGE: lambda text: self.events.append(json.loads(text))}[path](body)

    def last(self, name: str) -> dict[tuple[tuple[str, Any], ...], float]:
        """The last value of a metric by its attributes."""
        return {tuple(sorted(point.attributes.items())): point.value for point in self.points if point.name == name}

    def _metrics(self, body: bytes) -> None:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            service = _plain(resource.resource.attributes)["service.name"]
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points if kind in ("gauge", "sum") else ():
                    value = getattr(point, point.WhichOneof("value"))
                    self.points.append(Point(metric.name, kind, _plain(point.attributes), value, service))

    def _traces(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                is_error = span.status.code == span.status.STATUS_CODE_ERROR
                self.spans.append(Span(span.name, span.trace_id.hex(), is_error, _plain(span.attributes)))


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _plain(attributes: Iterable[Any]) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
