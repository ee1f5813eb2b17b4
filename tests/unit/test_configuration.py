"""A mistake in the configuration is one sentence that names the file, the place and what is wrong there."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from webflow_conversions.configuration import ConfigurationFile, InDoubt, digest
from webflow_conversions.errors import Unusable
from webflow_conversions.pipeline.notices import NoticeKind
from webflow_conversions.rules.personal_data import PersonalData, PersonalDataInIds
from webflow_conversions.rules.source import Ambiguous, Goal, Nonexistent, TimestampKind

DESIGNED = """
    sources:
      - name: offline_sales
        sql: sources/offline_sales.sql
        event_name: offline-purchase
        timestamps: {kind: local, timezone: America/New_York}
        warehouse_conn_id: warehouse
        webflow_conn_id: webflow_default
    known_users: {sql: known_users.sql}
    goals:
      - event_name: offline-purchase
        valid_from: 2026-01-05T09:00:00Z
        valid_to: null
    delivery: {workers: 2, in_doubt: resend}
"""
SMALLEST = """
    sources:
      - name: shop
        sql: shop.sql
        timestamps: {kind: aware}
    known_users: {sql: known_users.sql}
"""


@pytest.fixture
def write(tmp_path):
    """Writes a configuration, and gives it back as read."""

    def write(text):
        path = tmp_path / "conversions.yaml"
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return ConfigurationFile(path)

    return write


@pytest.fixture
def complaint(write, tmp_path):
    """The sentence about a configuration, after its opening, which names the file."""

    def complaint(text):
        with pytest.raises(Unusable) as error:
            write(text)
        sentence = str(error.value)
        opening = f"The configuration {tmp_path / 'conversions.yaml'} "
        assert sentence.startswith(opening)
        assert sentence.endswith(".")
        assert "\n" not in sentence
        return sentence.removeprefix(opening)

    return complaint


# What is right


def test_the_designed_configuration_is_read(write):
    configuration = write(DESIGNED).configuration

    (source,) = configuration.sources
    assert (source.name, source.event_name, source.timestamps.kind) == ("offline_sales", "offline-purchase", TimestampKind.LOCAL)
    rules = configuration.rules(source)
    assert (rules.destination, rules.source, rules.event_name, rules.timezone) == (
        "webflow_default",
        "offline_sales",
        "offline-purchase",
        "America/New_York",
    )
    assert rules.goals == [Goal(event_name="offline-purchase", valid_from=datetime(2026, 1, 5, 9, tzinfo=UTC), valid_to=None)]
    assert (configuration.delivery.workers, configuration.delivery.in_doubt) == (2, InDoubt.RESEND)


def test_the_configuration_of_the_repository_is_read_and_its_sql_is_there():
    file = ConfigurationFile(Path(__file__).parents[2] / "include" / "conversions.yaml")

    for name in (*(source.sql for source in file.configuration.sources), file.configuration.known_users.sql):
        assert "SELECT" in file.sql(name)


def test_what_is_left_out_has_the_designed_default(write):
    configuration = write(SMALLEST).configuration

    (source,) = configuration.sources
    assert (source.warehouse_conn_id, source.webflow_conn_id, source.event_name) == ("warehouse", "webflow_default", None)
    assert (source.timestamps.ambiguous, source.timestamps.nonexistent) == (Ambiguous.LATER, Nonexistent.OFFSET_BEFORE)
    assert (configuration.delivery.workers, configuration.delivery.in_doubt) == (2, InDoubt.RESEND)
    assert configuration.known_users.personal_data is PersonalData.REJECT
    assert source.personal_data is configuration.rules(source).personal_data is PersonalDataInIds.REJECT
    assert configuration.retention_days == 90
    assert configuration.rules(source).goals is None
    assert configuration.people_retention_days == 30


def test_a_notifier_is_told_of_everything_unless_it_says_of_what(write):
    routes = "notices: [{notifier: a.B}, {notifier: a.B, on: [deadline], sources: [shop]}]\n"

    everything, some = write(dedent(SMALLEST) + routes).configuration.notices

    assert (everything.on, everything.sources) == (list(NoticeKind), None)
    assert (some.on, some.sources) == (["deadline"], ["shop"])


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ("on: [failed, panic]", "is wrong at notices[1].on[2]: input should be 'failed', 'attention', 'deadline' or 'recovered', not 'panic'."),
        ("on: []", "is wrong at notices[1].on: it needs at least one entry."),
        ("sources: [nowhere]", "is wrong at the top: notices[1].sources names 'nowhere', and there is no such source."),
    ],
)  # fmt: skip
def test_a_notifier_that_asks_for_what_is_not_there_is_refused(complaint, route, sentence):
    assert complaint(dedent(SMALLEST) + f"notices: [{{notifier: a.B, {route}}}]\n") == sentence


def test_an_empty_list_of_goals_is_not_the_same_as_none(write):
    configuration = write(SMALLEST + "    goals: []\n").configuration

    assert configuration.rules(configuration.sources[0]).goals == []


@pytest.mark.parametrize("setting", ["volume_factor", "value_factor", "rejected_share"])
def test_null_switches_a_guard_off(write, setting):
    assert getattr(write(SMALLEST + f"    guards: {{{setting}: null}}\n").configuration.guards, setting) is None


def test_sources_are_found_by_name_and_grouped_by_destination(write):
    configuration = write(
        """
        sources:
          - {name: shop, sql: a.sql, timestamps: {kind: aware}}
          - {name: crm, sql: b.sql, timestamps: {kind: aware}, webflow_conn_id: webflow_eu}
          - {name: kiosk, sql: c.sql, timestamps: {kind: aware}}
        known_users: {sql: u.sql}
        """
    ).configuration

    assert configuration.source("crm").sql == "b.sql"
    assert configuration.destinations(["shop", "crm", "kiosk"]) == {"webflow_default": ["shop", "kiosk"], "webflow_eu": ["crm"]}
    with pytest.raises(Unusable, match=r"There is no source 'Shop' in the configuration: choose from shop, crm, kiosk."):
        configuration.source("Shop")


# The file


def test_a_missing_file_is_named_with_the_way_to_name_another(tmp_path):
    with pytest.raises(Unusable) as error:
        ConfigurationFile(tmp_path / "nowhere.yaml")

    assert str(error.value) == (
        f"The configuration {tmp_path / 'nowhere.yaml'} cannot be read (No such file or directory): "
        "put it there, or name another in WEBFLOW_CONVERSIONS_CONFIG."
    )


def test_a_folder_in_place_of_the_file_cannot_be_read(tmp_path):
    with pytest.raises(Unusable, match="cannot be read"):
        ConfigurationFile(tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing yet", "null", "just text", "- a\n- b", "7"])
def test_an_empty_file_or_one_that_is_no_mapping_is_named_as_such(complaint, text):
    assert complaint(text) == "is no mapping with sources and known_users."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sources: [", 1),
        ("sources:\n  - name: a\n sql: b", 3),
        ("a: *nothing", 1),
        ("a: 'open", 1),
        ("a: b: c", 1),
        ("sources:\n\t- a", 2),
        ("? [a]\n: b", 1),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(complaint, text, line):
    assert complaint(text).startswith(f"is no YAML in line {line}: ")


@pytest.mark.parametrize(("text", "code"), [(b"a:\n \x00", "0000"), (b"a:\n \x07b", "0007"), (b"a: 1\nb: \xc2\x80", "0080")])
def test_a_character_that_yaml_does_not_take_is_told_with_its_line(complaint, text, code):
    assert complaint(text) == f"is no YAML in line 2: it has the character U+{code}, which cannot be seen: take it out."


def test_a_second_document_is_told_in_a_whole_sentence(complaint):
    assert complaint("a: 1\n---\nb: 2\n") == (
        "is no YAML in line 2: expected a single document in the stream, but found another document."
    )


@pytest.mark.parametrize("text", ["a: " + "[" * 3_000, "a: " + "{a: " * 3_000, f"a: {'9' * 10_000}"], ids=lambda text: text[:9])
def test_what_python_cannot_read_is_one_sentence(complaint, text):
    assert complaint(text) == "is no YAML that can be read: a number in it is too long, or it is nested too deep."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: ü".encode("utf-16"), "is UTF-16: save it as UTF-8."),
        (b"sources: \xe4", "is not UTF-8 in line 1: save it as UTF-8."),
        ("a: 1\nname: Müller".encode("latin-1"), "is not UTF-8 in line 2: save it as UTF-8."),
    ],
)
def test_a_file_that_is_not_utf_8_is_named_as_such(complaint, text, sentence):
    assert complaint(text) == sentence


def test_yaml_cannot_run_code(complaint):
    assert "is no YAML" in complaint("sources: !!python/object/apply:os.system ['true']")


# Places


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("surces: []", "is wrong at surces: this key is not known: write sources."),
        ("sources: []", "is wrong at sources: it needs at least one entry."),
        ("sources: {shop: 1}", "is wrong at sources: input should be a valid list, not a mapping."),
        ("sources: [shop]", "is wrong at sources[1]: this should be a mapping of keys, not 'shop'."),
        ("known_users: known_users.sql", "is wrong at known_users: this should be a mapping of keys, not 'known_users.sql'."),
        ("known_users: {}", "is wrong at known_users.sql: this key is missing."),
        ("known_users: {sql: u.sql, personal_data: hash}", "is wrong at known_users.personal_data: input should be 'reject' or 'sha256', not 'hash'."),
        ("delivery: {workers: two}", "is wrong at delivery.workers: input should be a valid integer, not 'two'."),
        ("delivery: {workers: 0}", "is wrong at delivery.workers: input should be greater than or equal to 1, not 0."),
        ("delivery: {workers: 1.5}", "is wrong at delivery.workers: input should be a valid integer, not 1.5."),
        ("delivery: {wrokers: 2}", "is wrong at delivery.wrokers: this key is not known: write workers."),
        ("delivery: {in-doubt: hold}", "is wrong at delivery.in-doubt: this key is not known: write in_doubt."),
        ("Delivery: {}", "is wrong at Delivery: this key is not known: write delivery."),
        ("workers: 2", "is wrong at workers: this key is not known here: it belongs under delivery."),
        ("3: 2", "is wrong at 3: a key has to be text, not 3: write it in quotes."),
        ("readback: {goals: {anna@example.com: x}}", "is wrong at readback.goals.a key.[key]: an event name has 1 to 40 printable ASCII characters, no space and no e-mail address."),
        ("notices: [{notifier: smtp}]", "is wrong at notices[1].notifier: name a notifier by its module and class, such as airflow.providers.smtp.notifications.smtp.SmtpNotifier, not 'smtp'."),
        ("retention_days: 999999", "is wrong at retention_days: input should be less than or equal to 36500, not 999999."),
        ("people_retention_days: 999999", "is wrong at people_retention_days: input should be less than or equal to 36500, not 999999."),
        ("delivery: {in_doubt: maybe}", "is wrong at delivery.in_doubt: input should be 'resend' or 'hold', not 'maybe'."),
        ("guards: {rejected_share: 50}", "is wrong at guards.rejected_share: input should be less than or equal to 1, not 50."),
        ("guards: {volume_factor: 1}", "is wrong at guards.volume_factor: input should be greater than 1, not 1."),
        ("people_retention_days: 2", "is wrong at people_retention_days: input should be greater than or equal to 3, not 2."),
        ("currency: euro", "is wrong at currency: write a currency as three capital letters, such as EUR, not 'euro'."),
        ("retention_days: 2", "is wrong at retention_days: input should be greater than or equal to 31, not 2."),
        ("goals: [{event_name: a b}]", "is wrong at goals[1].event_name: an event name has 1 to 40 printable ASCII characters, no space and no e-mail address."),
        (f"goals: [{{event_name: {'x' * 41}}}]", "is wrong at goals[1].event_name: an event name has 1 to 40 printable ASCII characters, no space and no e-mail address."),
        ("goals: [{event_name: a, valid_from: 2026-01-05T09:00:00Z, valid_to: 2026-01-05T09:00:00Z}]", "is wrong at goals[1]: valid_from must lie before valid_to."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_place(complaint, wrong, sentence):
    key = wrong.split(":")[0]
    kept = (
        SMALLEST
        if key not in ("sources", "known_users")
        else "    known_users: {sql: u.sql}\n"
        if key == "sources"
        else SMALLEST.rsplit("    known_users", 1)[0]
    )

    assert complaint(f"{kept}    {wrong}\n") == sentence


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("timestamps: {kind: local, timezone: Europe/Berln}", "is wrong at sources[shop].timestamps.timezone: this is no name of the IANA time zone database, such as Europe/Berlin."),
        ("timestamps: {kind: lokal}", "is wrong at sources[shop].timestamps.kind: input should be 'local', 'aware', 'epoch_seconds' or 'epoch_milliseconds', not 'lokal'."),
        ("timestamps: {}", "is wrong at sources[shop].timestamps.kind: this key is missing."),
        ("timestamps: {kind: local, ambiguous: first}", "is wrong at sources[shop].timestamps.ambiguous: input should be 'later' or 'reject', not 'first'."),
        ("timestamps: {kind: local, zone: UTC}", "is wrong at sources[shop].timestamps.zone: this key is not known: write timezone."),
        ("event_name: offline purchase", "is wrong at sources[shop].event_name: an event name has 1 to 40 printable ASCII characters, no space and no e-mail address."),
        ("sql: ''", "is wrong at sources[shop].sql: string should have at least 1 character, not ''."),
        ("sql: 7", "is wrong at sources[shop].sql: input should be a valid string, not 7."),
        ("colour: red", "is wrong at sources[shop].colour: this key is not known: choose from name, sql, event_name, timestamps, personal_data, warehouse_conn_id, webflow_conn_id, returns_all."),
        ("timezone: UTC", "is wrong at sources[shop].timezone: this key is not known here: it belongs under timestamps."),
    ],
)  # fmt: skip
def test_a_wrong_value_in_a_source_is_named_with_the_name_of_the_source(complaint, wrong, sentence):
    parts = {"name": "name: shop", "sql": "sql: shop.sql", "timestamps": "timestamps: {kind: aware}"} | {
        wrong.split(":")[0]: wrong
    }

    assert complaint(f"sources:\n  - {{{', '.join(parts.values())}}}\nknown_users: {{sql: u.sql}}\n") == sentence


@pytest.mark.parametrize("key", ["name", "sql", "timestamps"])
def test_a_missing_key_of_a_source_is_named(complaint, key):
    parts = {"name": "name: shop", "sql": "sql: shop.sql", "timestamps": "timestamps: {kind: aware}"}
    del parts[key]
    place = "sources[1]" if key == "name" else "sources[shop]"

    assert (
        complaint(f"sources:\n  - {{{', '.join(parts.values())}}}\nknown_users: {{sql: u.sql}}\n")
        == f"is wrong at {place}.{key}: this key is missing."
    )


@pytest.mark.parametrize("key", ["sources", "known_users"])
def test_a_missing_part_is_named(complaint, key):
    parts = {"sources": "sources: [{name: a, sql: a.sql, timestamps: {kind: aware}}]", "known_users": "known_users: {sql: u.sql}"}
    del parts[key]

    assert complaint("\n".join(parts.values())) == f"is wrong at {key}: this key is missing."


def test_of_a_key_that_is_missing_the_one_in_its_place_is_told(complaint):
    assert complaint("sources: [{name: a, sql: a.sql, timestamps: {kind: aware}}]\nknown_user: {sql: u.sql}") == (
        "is wrong at known_user: this key is not known: write known_users (and 1 more)."
    )
    assert complaint("sources: [{name: a, sql: a.sql, timestamp: {kind: aware}}]\nknown_users: {sql: u.sql}") == (
        "is wrong at sources[a].timestamp: this key is not known: write timestamps (and 1 more)."
    )


def test_a_source_name_that_is_used_twice_is_named(complaint):
    one = "{name: shop, sql: a.sql, timestamps: {kind: aware}}"

    assert "the source name 'shop' is used twice" in complaint(f"sources: [{one}, {one}]\nknown_users: {{sql: u.sql}}")


@pytest.mark.parametrize("name", ["a b", "", "-a", "a/b", "ä", "x" * 61, "a\nb"])
def test_a_source_name_that_would_not_fit_into_an_id_is_refused(complaint, name):
    sentence = complaint(
        f"sources: [{{name: {json.dumps(name)}, sql: a.sql, timestamps: {{kind: aware}}}}]\nknown_users: {{sql: u.sql}}"
    )

    assert ".name: a source's name has 1 to 60 letters from A to Z, digits and _ . -" in sentence


def test_of_several_mistakes_the_first_is_told_and_the_others_are_counted(complaint):
    assert complaint("colour: red\nsize: xl\n").endswith("(and 3 more).")


# Times


@pytest.mark.parametrize("naive", ["2026-01-05T09:00:00", "2026-01-05 09:00:00", "2026-01-05", "'2026-01-05 09:00'"])
def test_a_goals_time_without_a_zone_is_refused(complaint, naive):
    sentence = complaint(SMALLEST + f"    goals: [{{event_name: sale, valid_from: {naive}}}]\n")

    assert sentence.startswith("is wrong at goals[1].valid_from: input should have timezone info")


def test_a_goals_time_with_an_offset_is_taken_as_that_moment(write):
    configuration = write(SMALLEST + "    goals: [{event_name: sale, valid_from: 2026-01-05T09:00:00+02:00}]\n").configuration

    assert configuration.goals[0].valid_from == datetime(2026, 1, 5, 7, tzinfo=UTC)


@pytest.mark.parametrize("nowhere", ["2026-02-30T09:00:00Z", "2026-02-30", "2026-01-05T25:00:00Z"])
def test_a_goals_time_that_the_calendar_does_not_have_is_one_sentence(complaint, nowhere):
    assert complaint(SMALLEST + f"    goals: [{{event_name: sale, valid_from: {nowhere}}}]\n")


@pytest.mark.parametrize("wrong", ["2026", "true", "soon", "[2026]"])
def test_a_goals_time_that_is_no_time_is_one_sentence(complaint, wrong):
    assert "goals[1].valid_from" in complaint(SMALLEST + f"    goals: [{{event_name: sale, valid_from: {wrong}}}]\n")


@pytest.mark.parametrize(
    "wrong",
    [
        "delivery: {workers: true}",
        "retention_days: true",
        "guards: {min_rows: false}",
        "guards: {rejected_share: true}",
        "guards: {empty_source: 7}",
    ],
)
def test_yes_and_no_are_not_numbers(complaint, wrong):
    assert complaint(SMALLEST + f"    {wrong}\n").startswith("is wrong at ")


def test_a_key_that_is_written_twice_is_a_mistake(complaint):
    assert "sources" in complaint(SMALLEST + "    sources: [{name: other, sql: other.sql, timestamps: {kind: aware}}]\n")


# The SQL beside it


@pytest.mark.parametrize(
    "given",
    [
        b"\nSELECT '\xc3\xbc' -- comment\n;\n",
        b"\xef\xbb\xbf\nSELECT '\xc3\xbc' -- comment\n;\n",
        b"\r\nSELECT '\xc3\xbc' -- comment\r\n;\r\n",
    ],
    ids=["plain", "byte order mark", "CRLF"],
)
def test_the_sql_of_a_source_is_read_line_for_line_from_the_folder_beside_the_file(write, tmp_path, given):
    file = write(SMALLEST)
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "shop.sql").write_bytes(given)

    assert file.sql("shop.sql") == "\nSELECT 'ü' -- comment\n;\n"
    assert file.sql("shop.sql").file == "sql/shop.sql"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"", "is empty."),
        (b" \r\n ", "is empty."),
        (b"SELECT 1,\n'\xff'", "is not UTF-8 in line 2: save it as UTF-8."),
        ("SELECT 1".encode("utf-16"), "is UTF-16: save it as UTF-8."),
        (b"\xfe\xff" + "SELECT 1".encode("utf-16-be"), "is UTF-16: save it as UTF-8."),
        ("SELECT 1".encode("utf-16-le"), "holds NUL characters, as UTF-16 does: save it as UTF-8."),
    ],
    ids=["missing", "empty", "blank", "not UTF-8", "UTF-16 LE", "UTF-16 BE", "UTF-16 without a mark"],
)
def test_an_sql_file_that_cannot_be_read_is_named_with_the_file_that_names_it(write, tmp_path, given, what):
    file, path = write(SMALLEST), tmp_path / "sql" / "shop.sql"
    path.parent.mkdir()
    if given is not None:
        path.write_bytes(given)

    with pytest.raises(Unusable) as error:
        file.sql("shop.sql")
    assert str(error.value) == f"The SQL file {path} that conversions.yaml names {what}"


def test_a_query_lies_in_the_folder_of_queries_or_where_a_link_in_it_leads_to_that_folder(write, tmp_path):
    file, folder = write(SMALLEST), tmp_path / "elsewhere"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data" / "shop.sql").write_text("SELECT 1")
    (folder / "shop.sql").symlink_to("..data/shop.sql")
    (tmp_path / "sql").symlink_to(folder)

    assert file.sql("shop.sql") == "SELECT 1"
    assert file.sql("..data/../shop.sql") == "SELECT 1"
    assert file.sql(str(folder / "shop.sql")) == "SELECT 1"


@pytest.mark.parametrize(
    "relative", ["../secret.sql", "/etc/passwd", "out.sql", "far/out.sql", "out/secret.sql", "up.sql/secret.sql"]
)
def test_a_query_outside_its_folder_is_refused_unread(write, tmp_path, relative):
    file, folder = write(SMALLEST), tmp_path / "sql"
    (folder / "far").mkdir(parents=True)
    (tmp_path / "secret.sql").write_text("SELECT 'canary'")
    (folder / "out.sql").symlink_to(tmp_path / "secret.sql")
    (folder / "far" / "out.sql").symlink_to("../../secret.sql")
    (folder / "out").symlink_to(tmp_path)
    (folder / "up.sql").symlink_to("..")

    with pytest.raises(Unusable) as error:
        file.sql(relative)
    path = tmp_path / "sql" / relative
    assert str(error.value) == f"The SQL file {path} that conversions.yaml names lies outside the folder {folder}: put it there."


@pytest.mark.parametrize("relative", ["shop.txt", "/etc/passwd", ".env", "a\0.sql", "a\n.sql", "sql/"])
def test_what_is_not_named_as_a_query_is_refused_by_the_configuration(complaint, relative):
    text = dedent(SMALLEST).replace("shop.sql", json.dumps(relative), 1)
    assert "name a file that ends in .sql, below the folder sql" in complaint(text)


def test_a_file_that_never_ends_a_pipe_a_folder_and_a_huge_one_are_refused_at_once(write, tmp_path):
    file, folder = write(SMALLEST), tmp_path / "sql"
    folder.mkdir()
    os.mkfifo(folder / "pipe.sql")
    (folder / "folder.sql").mkdir()
    with (folder / "huge.sql").open("wb") as huge:
        huge.truncate(1 << 30)
    (folder / "loop.sql").symlink_to("loop.sql")

    for name, why in {
        "pipe.sql": "it is no file",
        "folder.sql": "it is no file",
        "huge.sql": "it has more than 1,048,576 bytes",
        "loop.sql": "Too many levels",
    }.items():
        with pytest.raises(Unusable, match=why):
            file.sql(name)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/proc/self"])
def test_a_configuration_that_is_no_file_is_refused_at_once(path):
    with pytest.raises(Unusable, match="it is no file"):
        ConfigurationFile(Path(path))


@pytest.mark.parametrize(
    "line",
    [
        "known_users: postgres://reader:canary@warehouse.example.com/shop",
        "delivery: {workers: 'postgres://reader:canary@warehouse'}",
        "delivery: {mode: {password: canary}}",
        "delivery: [canary]",
        "guards: {min_rows: [canary]}",
        "currency: canary-canary-canary-canary-canary-canary-canary-canary-canary",
        "delivery: {password: canary}",
        "password: canary",
    ],
)
def test_what_may_be_a_secret_in_the_wrong_place_is_not_repeated(complaint, line):
    key = line.partition(":")[0]
    rest = "\n".join(one for one in dedent(SMALLEST).splitlines() if not one.startswith(f"{key}:"))
    assert "canary" not in complaint(f"{rest}\n{line}\n")


# Its fingerprint


def test_the_fingerprint_tells_any_change_and_only_a_change(write):
    one, other = write(DESIGNED).configuration, write(DESIGNED.replace("09:00:00Z", "09:00:01Z")).configuration

    assert digest(one.goals, "123") == digest(write(DESIGNED).configuration.goals, "123")
    assert len({digest(one.goals, "123"), digest(other.goals, "123"), digest(one.goals, "124"), digest(None, "123")}) == 4
