"""A client of Airflow's REST API: Dags, runs, tasks, logs and pools."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests

FINAL_STATES = frozenset({"success", "failed"})

LAST_CHARACTERS = 4000
"""Characters of a long output that an error quotes, counted from its end."""

_REPORTED_STATES = FINAL_STATES | {"running", "up_for_retry", "upstream_failed", "skipped"}
"""States of a task that :meth:`AirflowApi.wait_for_run` reports."""
_CALL_SECONDS = 120
"""Time limit of one call of the API."""

T = TypeVar("T")


class AirflowApi:
    """Airflow's public API on a port of this machine. Calls are made as the user of the last :meth:`log_in`."""

    def __init__(self) -> None:
        self.port = 0
        self._http = requests.Session()
        self._http.trust_env = False
        self._started_at = datetime.now(UTC)

    @property
    def url(self) -> str:
        """Address of the UI and the API, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def token(self, username: str, password: str) -> str:
        """A bearer token of a user."""
        answer = self._http.post(
            f"{self.url}/auth/token", json={"username": username, "password": password}, timeout=_CALL_SECONDS
        )
        return str(_body(answer)["access_token"])

    def log_in(self, username: str, password: str) -> None:
        """Make every further call as this user."""
        self._http.headers["Authorization"] = f"Bearer {self.token(username, password)}"

    def get(self, path: str, **query: Any) -> Any:
        """GET a path of the API v2."""
        return self.call("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """POST JSON to a path of the API v2."""
        return self.call("POST", path, json=body)

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Call a path of the API v2; the arguments are those of ``requests``.

        :returns: the parsed JSON of the response; None if it has no body.
        :raises RuntimeError: the status is 400 or more.
        """
        return _body(self._http.request(method, f"{self.url}/api/v2{path}", **{"timeout": _CALL_SECONDS, **arguments}))

    def unpause(self, dag_id: str) -> None:
        """Unpause the Dag. Without catch-up, the scheduler starts the last run that was due at once."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> None:
        """Keep the scheduler from starting runs of the Dag."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": True})

    def trigger(
        self,
        dag_id: str,
        *,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        run_after: datetime | None = None,
    ) -> str:
        """Trigger a run by hand.

        :returns: the run's ID.
        """
        body: dict[str, Any] = {"conf": dict(conf or {}), "logical_date": logical_date and logical_date.isoformat()}
        if run_after:
            body["run_after"] = run_after.isoformat()
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def create_pool(self, name: str, slots: int) -> None:
        """Create the pool if it does not exist."""
        if all(pool["name"] != name for pool in self._all("/pools", "pools")):
            self.post("/pools", {"name": name, "slots": slots})

    def wait_until_parsed(self, dag_id: str, *, timeout_seconds: float = 180) -> dict[str, Any]:
        """Wait until this Airflow has parsed the Dag since its start.

        :returns: the Dag as the API describes it.
        :raises RuntimeError: the Dag does not exist, and a Dag file cannot be imported.
        :raises TimeoutError: the Dag does not exist after the time limit.
        """

        def parsed() -> dict[str, Any] | None:
            for dag in self._all("/dags", "dags", dag_id_pattern=dag_id, exclude_stale=False):
                if dag["dag_id"] == dag_id and self._is_new(dag["last_parsed_time"]):
                    return dag
            for error in self.import_errors():
                if self._is_new(error["timestamp"]):
                    raise RuntimeError(f"There is no Dag {dag_id}: {error['filename']}: {error['stack_trace']}")
            return None

        return self._wait(parsed, timeout_seconds, lambda: f"There is no Dag {dag_id}.")

    def wait_for_first_run(self, dag_id: str, *, timeout_seconds: float = 180) -> str:
        """Wait until the Dag has a run.

        :returns: the ID of the run that was due first.
        :raises TimeoutError: the Dag has no run after the time limit.
        """

        def first() -> str | None:
            runs = self.runs(dag_id)
            return str(runs[0]["dag_run_id"]) if runs else None

        return self._wait(first, timeout_seconds, lambda: f"{dag_id} has no run after {timeout_seconds:g} s.")

    def wait_for_run(
        self, dag_id: str, run_id: str, timeout_seconds: float = 900, *, say: Callable[[str], None] | None = None
    ) -> str:
        """Wait until a run has ended.

        :param say: receives a line for each change of a task's state.
        :returns: ``success`` or ``failed``.
        :raises TimeoutError: the run has not ended after the time limit; the message lists the states of its tasks.
        """
        told: set[tuple[str, int, int, str]] = set()

        def tell(tasks: Iterable[Mapping[str, Any]], say: Callable[[str], None]) -> None:
            for task in tasks:
                state = task["state"]
                news = (task["task_id"], task["map_index"], task["try_number"], state)
                if state in _REPORTED_STATES and news not in told:
                    told.add(news)
                    why = f": {self._last_error(dag_id, run_id, task)}" if state in {"failed", "up_for_retry"} else ""
                    say(f"{task_name(task)}: {state.replace('_', ' ')}{why}")

        def final_state() -> str | None:
            if say:
                tell(self.task_instances(dag_id, run_id), say)
            state = str(self.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])
            return state if state in FINAL_STATES else None

        def complaint() -> str:
            states = ", ".join(f"{task_name(task)} {task['state']}" for task in self.task_instances(dag_id, run_id))
            return f"{dag_id} {run_id} has not ended after {timeout_seconds:g} s: {states}"

        return self._wait(final_state, timeout_seconds, complaint)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Runs of a Dag in the order of their due times."""
        return self._all(f"/dags/{dag_id}/dagRuns", "dag_runs", order_by="run_after")

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run, one for each index of a mapped task."""
        return self._all(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        """Log of one try of a task: a line for each message, with its extra fields as JSON."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        return "\n".join(map(_log_line, self.get(path, map_index=map_index, full_content=True)["content"]))

    def failures(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Failed tasks of a run: task name to the last error in the log of its last try."""
        return {
            task_name(task): self._last_error(dag_id, run_id, task)
            for task in self.task_instances(dag_id, run_id)
            if task["state"] == "failed"
        }

    def _last_error(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> str:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        lines = self.get(path, map_index=task["map_index"], full_content=True)["content"]
        # The raised exception comes first, its causes after it.
        raised = [line["error_detail"][0] for line in lines if isinstance(line, dict) and line.get("error_detail")]
        return str(raised[-1]["exc_value"]) if raised else "its log has no error"

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """Value of an XCom that a task pushed."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path, map_index=map_index, deserialize=True)["value"]

    def import_errors(self) -> list[dict[str, Any]]:
        """Import errors of Dag files; each has ``filename``, ``stack_trace`` and ``timestamp``."""
        return self._all("/importErrors", "import_errors")

    def _all(self, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
        """All items of a paged list."""
        items: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=100, offset=len(items), **query)
            items += page[key]
            if not page[key] or len(items) >= page["total_entries"]:
                return items

    def _wait(self, probe: Callable[[], T | None], timeout_seconds: float, complaint: Callable[[], str]) -> T:
        """Call the probe until it returns a value.

        :returns: the value.
        :raises TimeoutError: the probe returned None until the time limit; the message is the complaint.
        """
        deadline = time.monotonic() + timeout_seconds
        while (found := probe()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(complaint())
            self._check_alive()
            time.sleep(0.2)
        return found

    def _is_new(self, moment: str | None) -> bool:
        """Whether a timestamp of the API is later than this Airflow's start: an earlier one may have used the same database."""
        return moment is not None and datetime.fromisoformat(moment) > self._started_at

    def _check_alive(self) -> None:
        """Raise if waiting is in vain; a client alone cannot know."""


def task_name(task: Mapping[str, Any]) -> str:
    """Name of a task instance for people: the task ID; for a mapped task also its label, or its index if it has none."""
    if task["map_index"] < 0:
        return str(task["task_id"])
    return f"{task['task_id']} [{task['rendered_map_index'] or task['map_index']}]"


def _body(answer: requests.Response) -> Any:
    if not answer.ok:
        raise RuntimeError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:LAST_CHARACTERS]}")
    return answer.json() if answer.content else None


def _log_line(message: str | dict[str, Any]) -> str:
    if isinstance(message, str):
        return message
    more = {name: value for name, value in message.items() if name not in {"timestamp", "level", "event", "logger"}}
    words = (message.get("timestamp"), message.get("level"), message["event"], json.dumps(more) if more else None)
    return " ".join(str(word) for word in words if word)
