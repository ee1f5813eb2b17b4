"""The simulator's site makes sessions, imports at midnight by the rule, exports its tables, and shows what Webflow's Data API shows."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo.postgres import PostgresServer
from demo.simulator import SimulatorProcess
from demo.simulator.account import OPTIMIZE_ID, SITE_ID
from demo.simulator.exports import TABLES, create_tables, export
from demo.simulator.goals import GoalName, Goals
from demo.simulator.nightly_import import Reading, Received, crediting_session, import_events, next_midnight_ms
from demo.simulator.site import Kind, Report, Site, User
from demo.simulator.site_generator import generate

TOKEN, CUSTOMER_ID, DATA_TOKEN = "a-token", "123456789", "a-data-token"
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
NINE = int(datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp() * 1000)
ADA = User("salesforce", "ada")


def page(at: int, visitor: str = "b1", path: str = "/") -> Report:
    return Report(visitor, NINE + at, Kind.PAGE, path)


def view(at: int, visitor: str = "b1", variation: str = "B") -> Report:
    return Report(visitor, NINE + at, Kind.VARIATION, variation, "headline")


def identify(at: int, user: str = "ada", visitor: str = "b1") -> Report:
    return Report(visitor, NINE + at, Kind.IDENTIFY, "salesforce", user)


def times(site: Site, visitor: str = "b1") -> list[tuple[int, int]]:
    return [(session.first_ms - NINE, session.last_ms - NINE) for session in site.sessions[visitor]]


# Sessions


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([page(0), page(30 * MINUTE - 1)], [(0, 30 * MINUTE - 1)]),
        ([page(0), page(30 * MINUTE)], [(0, 0), (30 * MINUTE, 30 * MINUTE)]),
        ([page(quarter * 15 * MINUTE) for quarter in range(98)], [(0, DAY - 15 * MINUTE), (DAY, DAY + 15 * MINUTE)]),
        ([view(0), page(5 * MINUTE)], [(0, 5 * MINUTE)]),
        ([page(5 * MINUTE), page(0)], [(0, 5 * MINUTE)]),
        ([page(0), identify(29 * MINUTE), page(31 * MINUTE)], [(0, 0), (31 * MINUTE, 31 * MINUTE)]),
    ],
)  # fmt: skip
def test_a_session_ends_after_30_minutes_without_activity_and_after_24_hours(reports: list[Report], expected: Any) -> None:
    assert times(Site(reports)) == expected


def test_reports_that_come_later_join_their_session() -> None:
    site = Site([page(0), page(40 * MINUTE)])
    assert len(site.sessions["b1"]) == 2
    site.add([page(20 * MINUTE)])
    assert times(site) == [(0, 40 * MINUTE)]


def test_an_id_holds_in_its_session_and_in_the_next_ones_only_if_ids_persist() -> None:
    reports = [page(0), identify(0), page(2 * HOUR)]
    assert [session.first_ms - NINE for session in Site(reports).sessions_of(ADA)] == [0]
    assert [session.first_ms - NINE for session in Site(reports, ids_persist=True).sessions_of(ADA)] == [0, 2 * HOUR]


def test_a_session_in_which_the_id_changes_belongs_to_both() -> None:
    site = Site([page(0), identify(0), page(MINUTE), identify(MINUTE, "bob")])
    [session] = site.sessions_of(ADA)
    assert site.sessions_of(User("salesforce", "bob")) == [session]
    assert [session.user_at(NINE + at) for at in (-1, 0, MINUTE - 1, MINUTE)] == [None, ADA, ADA, User("salesforce", "bob")]


# The import


@pytest.mark.parametrize(
    ("at", "reports", "credited"),
    [
        (MINUTE, [view(0)], "strict wide lenient"),
        (0, [view(0)], ""),
        (1, [view(0)], "strict wide lenient"),
        (30 * MINUTE - 1, [view(0)], "strict wide lenient"),
        (30 * MINUTE, [view(0)], "wide lenient"),
        (DAY - 1, [view(0)], "wide lenient"),
        (DAY, [view(0)], "lenient"),
        (DAY - 1, [view(0), *(page(quarter * 15 * MINUTE) for quarter in range(98))], "strict wide lenient"),
        (DAY, [view(0), *(page(quarter * 15 * MINUTE) for quarter in range(98))], "lenient"),
        (2 * HOUR + MINUTE, [view(0), page(2 * HOUR)], "wide lenient"),
        (MINUTE, [page(0)], ""),
        (MINUTE, [page(0), view(2 * MINUTE)], ""),
        (40 * DAY, [view(0)], "lenient"),
    ],
)  # fmt: skip
def test_a_conversion_is_credited_as_the_reading_says(at: int, reports: list[Report], credited: str) -> None:
    known = [identify(report.at_ms - NINE) for report in reports]
    site = Site([*reports, *known])
    found = [reading for reading in Reading if crediting_session(site, ADA, NINE + at, reading) is not None]
    assert " ".join(found) == credited


def test_any_browser_of_the_user_suffices_and_an_unknown_user_has_none() -> None:
    site = Site([page(0, "desk"), view(0, "phone"), identify(0, visitor="desk"), identify(0, visitor="phone")])
    found = crediting_session(site, ADA, NINE + MINUTE, Reading.STRICT)
    assert found is not None
    assert found.visitor == "phone"
    assert crediting_session(site, User("shop", "ada"), NINE + MINUTE, Reading.LENIENT) is None


@pytest.mark.parametrize(
    ("must_still_have_name", "expected"), [(False, ["1", "2", None, "2", None]), (True, [None, "2", None, "2", None])]
)
def test_a_goal_takes_the_name_that_it_had_when_the_conversion_happened(
    must_still_have_name: bool, expected: list[str | None]
) -> None:
    goals = Goals(
        [GoalName("1", "lead", NINE, NINE + HOUR), GoalName("2", "lead", NINE + HOUR), GoalName("3", "sale", NINE + 2 * HOUR)],
        must_still_have_name=must_still_have_name,
    )
    asked = [("lead", 0), ("lead", HOUR), ("lead", -1), ("lead", 5 * HOUR), ("sale", HOUR)]
    assert [goals.of(name, NINE + at, NINE + DAY) for name, at in asked] == expected


def test_the_variation_that_was_seen_last_is_credited() -> None:
    site = Site([view(0), identify(0), view(MINUTE, variation="C"), view(3 * MINUTE, variation="D")])
    [credit] = import_events(
        [Received("a1", "sale", ADA, NINE + 2 * MINUTE, "9.50")], site, Goals([GoalName("1", "sale")]), Reading.STRICT, NINE + DAY
    )
    assert (credit.optimization, credit.variation, credit.value) == ("headline", "C", "9.50")


def test_the_next_midnight_is_after_the_moment() -> None:
    midnight = NINE + 15 * HOUR
    assert [next_midnight_ms(at) for at in (NINE, midnight - 1, midnight)] == [midnight, midnight, midnight + DAY]


# The generator


def test_a_seed_always_makes_the_same_people() -> None:
    made = list(generate(3, 40, NINE, NINE + 5 * DAY))
    assert made == list(generate(3, 40, NINE, NINE + 5 * DAY))
    assert made != list(generate(4, 40, NINE, NINE + 5 * DAY))
    reports = [report for person in made for report in person.reports]
    assert {report.kind for report in reports} == set(Kind)
    assert all(NINE <= report.at_ms < NINE + 5 * DAY for report in reports)


# The exports

EXPORTED = [
    page(0, path="/pricing"),
    identify(MINUTE),
    page(MINUTE),
    view(MINUTE + 1),
    Report("b1", NINE + 2 * MINUTE, Kind.CLICK, "buy", "/pricing"),
]


def rows(cursor: Any) -> dict[str, list[Any]]:
    found = {}
    for table in TABLES:
        cursor.execute(f"SELECT * FROM {table} ORDER BY event_time")
        found[table] = cursor.fetchall()
    return found


def check_exported(found: dict[str, list[Any]]) -> None:
    nine = datetime(2026, 11, 23, 9)
    assert found == {
        "analyze_page_viewed": [
            (CUSTOMER_ID, "b1", "b1-1", "id-pricing", "https://www.example.com/pricing", nine, "20261123"),
            (CUSTOMER_ID, "ada", "b1-1", "id-home", "https://www.example.com/", nine.replace(minute=1), "20261123"),
        ],
        "optimize_variation_viewed": [
            (
                CUSTOMER_ID,
                "ada",
                "b1-1",
                "id-B",
                "B",
                "id-headline",
                "headline",
                nine.replace(minute=1, microsecond=1000),
                "20261123",
            )
        ],
        "analyze_element_clicked": [
            (
                CUSTOMER_ID,
                "ada",
                "b1-1",
                "id-pricing",
                "https://www.example.com/pricing",
                "id-buy",
                "buy",
                nine.replace(minute=2),
                "20261123",
            )
        ],
    }


def test_the_exports_are_the_tables_of_the_public_schema(database: Any) -> None:
    site = Site(EXPORTED)
    with closing(database()) as connection, connection, connection.cursor() as cursor:
        create_tables(cursor)
        assert export(cursor, site, CUSTOMER_ID, NINE, NINE + DAY) == 4
        check_exported(rows(cursor))
        assert export(cursor, site, CUSTOMER_ID, NINE + DAY, NINE + 2 * DAY) == 0
        create_tables(cursor)
        assert export(cursor, site, CUSTOMER_ID, NINE, NINE + MINUTE, into=["analyze_page_viewed"]) == 1
    with duckdb.connect() as other:
        create_tables(other)
        export(other, site, CUSTOMER_ID, NINE, NINE + DAY, placeholder="?")
        check_exported(rows(other))


# The simulator


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(
        tmp_path_factory.mktemp("simulator") / "received.db", TOKEN, CUSTOMER_ID, data_token=DATA_TOKEN
    ) as simulator:
        yield simulator


@pytest.fixture
def simulator(started: SimulatorProcess) -> SimulatorProcess:
    """A simulator of 23 November 2026, noon, with a goal and a visit at nine, and without events."""
    started.clear()
    started.clear_site()
    at_noon(started)
    started.goals([{"goal_id": "1234", "event_name": "sale"}, {"goal_id": "99", "event_name": "lead"}])
    started.report([page(0), identify(0), view(0), page(10 * MINUTE)])
    return started


def at_noon(simulator: SimulatorProcess, days: int = 0) -> None:
    simulator.clock((NINE + 3 * HOUR + days * DAY) / 1000 - datetime.now(UTC).timestamp())


def send(
    simulator: SimulatorProcess, action_id: str, at: int, name: str = "sale", user: str = "ada", value: float | None = None
) -> None:
    event: dict[str, Any] = {
        "customerId": CUSTOMER_ID,
        "eventName": name,
        "userDomain": "salesforce",
        "userId": user,
        "actionId": action_id,
        "actionTimestamp": NINE + at,
    }
    body = json.dumps(event if value is None else {**event, "value": value})
    with closing(http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=30)) as connection:
        connection.request("POST", "/event", body, {"Authorization": f"ApiKey {TOKEN}", "Content-Type": "application/json"})
        assert connection.getresponse().status == 200


def read(
    simulator: SimulatorProcess, path: str, token: str | None = DATA_TOKEN, method: str = "GET"
) -> tuple[int, Any, http.client.HTTPMessage]:
    with closing(http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=30)) as connection:
        connection.request(method, path, headers={} if token is None else {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers


def credited(simulator: SimulatorProcess) -> list[str]:
    return [credit["action_id"] for credit in simulator.credits()]


def test_nothing_is_credited_before_midnight_and_each_event_is_imported_once(simulator: SimulatorProcess) -> None:
    send(simulator, "a1", 20 * MINUTE)
    send(simulator, "a2", 50 * MINUTE)
    assert credited(simulator) == []
    at_noon(simulator, days=1)
    assert credited(simulator) == ["a1"]
    at_noon(simulator, days=2)
    assert credited(simulator) == ["a1"]


def test_an_import_on_command_takes_the_given_clock_and_reading(simulator: SimulatorProcess) -> None:
    send(simulator, "a1", 20 * MINUTE)
    send(simulator, "a2", 50 * MINUTE)
    send(simulator, "a3", -HOUR)
    assert simulator.run_import(at_ms=NINE)["events"] == 0
    assert simulator.run_import(at_ms=NINE + DAY, reading="wide") == {"at_ms": NINE + DAY, "events": 3, "credited": 2}
    assert simulator.run_import(at_ms=NINE + DAY)["events"] == 0
    assert credited(simulator) == ["a1", "a2"]


def test_an_import_can_be_undone_and_done_again_under_another_reading(simulator: SimulatorProcess) -> None:
    send(simulator, "a1", 20 * MINUTE)
    send(simulator, "a2", 50 * MINUTE)
    assert simulator.run_import(at_ms=NINE + DAY, reading="wide")["credited"] == 2
    simulator.clear_credits()
    assert credited(simulator) == []
    assert simulator.run_import(at_ms=NINE + DAY, reading="strict") == {"at_ms": NINE + DAY, "events": 2, "credited": 1}
    assert credited(simulator) == ["a1"]


def test_events_that_webflow_ignores_are_not_imported(simulator: SimulatorProcess) -> None:
    send(simulator, "old", -46 * HOUR)
    send(simulator, "future", 4 * HOUR)
    assert simulator.run_import(at_ms=NINE + DAY)["events"] == 0


def test_the_import_follows_the_settings(simulator: SimulatorProcess) -> None:
    simulator.report([view(-2 * HOUR)])
    simulator.report([page(2 * HOUR)])
    send(simulator, "a1", 2 * HOUR + MINUTE)
    simulator.account(reading="strict", ids_persist=True)
    assert simulator.run_import(at_ms=NINE + DAY)["credited"] == 0
    simulator.clear()
    send(simulator, "a1", 2 * HOUR + MINUTE)
    assert simulator.account(reading="lenient")["ids_persist"] is True
    assert simulator.run_import(at_ms=NINE + DAY)["credited"] == 1
    with pytest.raises(ValueError, match="reading"):
        simulator.account(reading="generous")
    with pytest.raises(ValueError, match="time_zone"):
        simulator.account(time_zone="Mars/Olympus")


def test_the_site_survives_a_restart(tmp_path: Path) -> None:
    simulator = SimulatorProcess(tmp_path / "received.db", TOKEN, CUSTOMER_ID)
    with simulator:
        simulator.report([page(0), view(MINUTE)])
        simulator.goals([{"goal_id": "1", "event_name": "sale", "from_ms": NINE}])
        simulator.account(reading="wide")
        simulator.kill()
        simulator.start()
        assert simulator.reports() == [page(0), view(MINUTE)]
        assert simulator.account()["reading"] == "wide"


def test_random_people_visit_the_site_on_request(simulator: SimulatorProcess) -> None:
    simulator.clear_site()
    people = simulator.people(seed=3, people=5, from_ms=NINE - DAY, to_ms=NINE)
    made = list(generate(3, 5, NINE - DAY, NINE))
    assert [person["key"] for person in people] == [person.key for person in made]
    assert sorted(simulator.reports()) == sorted(report for person in made for report in person.reports)
    with pytest.raises(ValueError, match="whole numbers"):
        simulator.people(seed=3, people=-1, from_ms=0, to_ms=1)


@pytest.mark.parametrize(
    "told",
    [
        {},
        [{}],
        [{"visitor": "b", "at_ms": "soon", "kind": "page", "subject": "/"}],
        [{"visitor": "b", "at_ms": 1, "kind": "dance", "subject": "/"}],
        [1],
    ],
)
def test_reports_that_are_none_are_refused(simulator: SimulatorProcess, told: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        simulator._call("POST", "/simulator/site/reports", told)
    for page, body in (("goals", told or {"goal_id": 1}), ("import", {"at_ms": "now"})):
        with pytest.raises(ValueError, match=r".+"):
            simulator._call("PUT" if page == "goals" else "POST", f"/simulator/site/{page}", body)


def test_the_pages_of_the_site_need_no_token_and_are_not_counted(simulator: SimulatorProcess) -> None:
    before = simulator.summary()["requests"]
    assert read(simulator, "/simulator/site/goals", token=None)[0] == 200
    assert read(simulator, "/simulator/site/nothing", token=None)[0] == 404
    assert read(simulator, "/simulator/site/import", token=None)[0] == 405
    assert read(simulator, f"/v2/sites/{SITE_ID}/analyze/goals")[0] == 200
    assert simulator.summary()["requests"] == before


# The Data API

GOALS = f"/v2/sites/{SITE_ID}/analyze/goals"
WINDOW = "startTime=2026-11-20T00:00:00Z&endTime=2026-11-30T00:00:00Z"


def test_the_goals_are_listed_with_their_names_only_if_the_account_says_so(simulator: SimulatorProcess) -> None:
    assert read(simulator, GOALS)[:2] == (
        200,
        {"goals": [{"goalId": goal, "goalType": "custom", "isSiteGoal": True} for goal in ("1234", "99")]},
    )
    simulator.account(goals_have_names=True)
    assert [goal["eventName"] for goal in read(simulator, GOALS)[1]["goals"]] == ["sale", "lead"]


def test_the_performance_of_a_goal_counts_each_visitor_once_a_day_in_the_zone(simulator: SimulatorProcess) -> None:
    simulator.account(reading="lenient")
    simulator.report([view(0, "b2"), identify(0, "bob", "b2")])
    for action_id, at, user in (("a1", MINUTE, "ada"), ("a2", 2 * MINUTE, "ada"), ("a3", MINUTE, "bob")):
        send(simulator, action_id, at, user=user)
    at_noon(simulator, days=1)
    send(simulator, "a4", 15 * HOUR, user="ada")
    at_noon(simulator, days=2)
    status, report, _ = read(simulator, f"{GOALS}/1234/performance?{WINDOW}")
    assert status == 200
    assert report["goal"] == {"goalId": "1234", "goalType": "custom", "isSiteGoal": True}
    assert report["data"] == [
        {"timestamp": "2026-11-23T00:00:00.000Z", "count": 2},
        {"timestamp": "2026-11-24T00:00:00.000Z", "count": 1},
    ]
    status, report, _ = read(simulator, f"{GOALS}/1234/performance?{WINDOW}&bucketTimeZone=America/New_York")
    assert report["data"] == [{"timestamp": "2026-11-23T05:00:00.000Z", "count": 2}]
    assert report["bucketing"] == {"granularityPeriod": "day", "bucketTimeZone": "America/New_York"}
    assert (
        read(simulator, f"{GOALS}/1234/performance?startTime=2026-11-23T00:00:00Z&endTime=2026-11-23T09:01:00Z")[1]["data"] == []
    )
    assert read(simulator, f"{GOALS}/99/performance?{WINDOW}")[1]["data"] == []


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        (GOALS, None, (401, "not_authorized")),
        (GOALS, "another", (401, "not_authorized")),
        (f"{GOALS}?limit=1", DATA_TOKEN, (400, "analyze_input_validation")),
        ("/v2/sites/65427cf400e02b306eaa04a1/analyze/goals", DATA_TOKEN, (404, "resource_not_found")),
        (f"{GOALS}/7/performance?{WINDOW}", DATA_TOKEN, (404, "resource_not_found")),
        (f"{GOALS}/1234/performance", DATA_TOKEN, (400, "analyze_input_validation")),
        (f"{GOALS}/1234/performance?startTime=2026-11-20T00:00:00%2B00:00&endTime=2026-11-30T00:00:00Z", DATA_TOKEN, (400, "analyze_input_validation")),
        (f"{GOALS}/1234/performance?startTime=2026-13-20T00:00:00Z&endTime=2026-11-30T00:00:00Z", DATA_TOKEN, (400, "analyze_input_validation")),
        (f"{GOALS}/1234/performance?startTime=2026-11-20T00:00:00Z&endTime=2026-11-20T00:00:00Z", DATA_TOKEN, (400, "analyze_input_validation")),
        (f"{GOALS}/1234/performance?startTime=2026-01-01T00:00:00Z&endTime=2026-04-11T00:00:00.001Z", DATA_TOKEN, (400, "analyze_input_validation")),
        (f"{GOALS}/1234/performance?{WINDOW}&bucketTimeZone=CEST", DATA_TOKEN, (400, "analyze_input_validation")),
        ("/v2/collections", DATA_TOKEN, (404, "route_not_found")),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_is_told_so_in_webflows_form(
    simulator: SimulatorProcess, path: str, token: str | None, expected: tuple[int, str]
) -> None:
    status, body, _ = read(simulator, path, token)
    assert (status, body["code"]) == expected
    assert set(body) == {"code", "message", "externalReference", "details"}


def test_exactly_100_days_can_be_read_and_only_by_get(simulator: SimulatorProcess) -> None:
    assert read(simulator, f"{GOALS}/1234/performance?startTime=2026-01-01T00:00:00Z&endTime=2026-04-11T00:00:00Z")[0] == 200
    assert read(simulator, GOALS, method="POST")[0] == 405


def test_a_token_without_the_scope_and_a_site_without_the_add_on_are_refused(simulator: SimulatorProcess) -> None:
    simulator.account(scopes=[])
    assert read(simulator, GOALS)[0] == 403
    simulator.account(scopes=["sites:read"], add_ons=["optimize"])
    assert read(simulator, GOALS)[0] == 403
    assert read(simulator, "/v2/optimize")[0] == 200


def test_an_api_that_is_away_answers_as_it_is_told(simulator: SimulatorProcess) -> None:
    simulator.account(answer_status=503)
    assert read(simulator, GOALS)[0] == 503
    simulator.account(answer_status=None)
    assert read(simulator, GOALS)[0] == 200


def test_a_second_request_at_once_is_told_to_wait(simulator: SimulatorProcess) -> None:
    simulator.account(answer_milliseconds=1_500)
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(read(simulator, GOALS)[0]))
    first.start()
    while True:
        status, body, headers = read(simulator, f"{GOALS}?unknown=1")
        if status == 429 or not first.is_alive():
            break
    first.join()
    # Which of the two came first is open; one of them had to wait.
    assert 429 in (status, *answers)
    if status == 429:
        assert (headers["Retry-After"], body["code"]) == ("1", "too_many_requests")
    simulator.account(answer_milliseconds=0)
    assert read(simulator, GOALS)[0] == 200


def test_a_client_that_goes_away_leaves_no_request_in_flight(simulator: SimulatorProcess) -> None:
    simulator.account(answer_milliseconds=60_000)
    with closing(http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=30)) as connection:
        connection.request("GET", GOALS, headers={"Authorization": f"Bearer {DATA_TOKEN}"})
        simulator.account(answer_milliseconds=0)
    while read(simulator, GOALS)[0] == 429:
        pass
    assert read(simulator, GOALS)[0] == 200


OPTIMIZATIONS = f"/v2/optimize/{OPTIMIZE_ID}/optimizations"
INTERVAL = "intervalStart=2026-11-20T00:00:00Z&intervalEnd=2026-11-30T00:00:00Z"


def test_the_optimizations_are_listed_in_pages(simulator: SimulatorProcess) -> None:
    simulator.report([Report("b3", NINE, Kind.VARIATION, "x", name) for name in ("alpha", "beta")])
    assert [one["optimizeId"] for one in read(simulator, "/v2/optimize")[1]["optimizeIds"]] == [OPTIMIZE_ID]
    names, cursor = [], ""
    while cursor is not None:
        _, answer, _ = read(simulator, f"{OPTIMIZATIONS}?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        names.append([one["optimizationId"] for one in answer["optimizations"]])
        cursor = answer["nextCursor"]
    assert names == [["alpha", "beta"], ["headline"]]
    assert read(simulator, f"{OPTIMIZATIONS}?limit=0")[0] == 400


def test_the_results_of_an_optimization_are_those_of_its_variations(simulator: SimulatorProcess) -> None:
    simulator.account(time_zone="America/New_York")
    simulator.report([view(0, "b2", "A"), identify(0, "bob", "b2"), view(2 * HOUR, "b2", "A"), view(0, "b3", "A")])
    send(simulator, "a1", MINUTE, value=20)
    send(simulator, "a2", 2 * MINUTE, value=10.5)
    at_noon(simulator, days=1)
    status, answer, _ = read(simulator, f"{OPTIMIZATIONS}/headline/summary?{INTERVAL}&goalId=1234")
    assert (status, answer["timeZone"]) == (200, "America/New_York")
    none = {"conversions": 0, "conversionRate": 0.0, "totalValue": 0.0, "averageValue": 0.0}
    assert answer["variations"] == [
        {"variationId": "A", "sessions": 3, "users": 2, **none},
        {
            "variationId": "B",
            "sessions": 1,
            "users": 1,
            "conversions": 1,
            "conversionRate": 1.0,
            "totalValue": 30.5,
            "averageValue": 30.5,
        },
    ]
    _, trend, _ = read(
        simulator,
        f"{OPTIMIZATIONS}/headline/trend?intervalStart=2026-11-23T05:00:00Z&intervalEnd=2026-11-25T05:00:00Z&goalId=1234",
    )
    assert [(day["timestamp"], sum(one["conversions"] for one in day["variations"])) for day in trend["data"]] == [
        ("2026-11-23T05:00:00.000Z", 1), ("2026-11-24T05:00:00.000Z", 0),
    ]  # fmt: skip
    for path in (f"nothing/summary?{INTERVAL}&goalId=1234", f"headline/summary?{INTERVAL}&goalId=7", "headline/summary"):
        assert read(simulator, f"{OPTIMIZATIONS}/{path}")[0] in (400, 404)


def test_the_demo_shares_no_code_with_the_package() -> None:
    for file in Path(__file__).parents[2].joinpath("demo", "simulator").glob("*.py"):
        assert "webflow_conversions" not in file.read_text(encoding="utf-8"), file


def test_the_exports_of_a_running_simulator_can_be_written_from_its_reports(
    simulator: SimulatorProcess, postgres: PostgresServer
) -> None:
    postgres.create_database("exported")
    with closing(postgres.connect("exported")) as connection, connection, connection.cursor() as cursor:
        create_tables(cursor)
        assert export(cursor, Site(simulator.reports()), CUSTOMER_ID, NINE, NINE + DAY) == 3
