"""A conversion goes to the user whom Webflow knew at its time, to the letter, or to nobody."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webflow_conversions.rules.identity import UnreadableTimes, choose_users, known_users_frame, with_users
from webflow_conversions.rules.personal_data import PersonalData, hashed, looks_like_personal_data
from webflow_conversions.rules.states import Reason, State
from webflow_conversions.rules.window import to_milliseconds

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
MILLISECOND, MINUTE, HOUR = timedelta(milliseconds=1), timedelta(minutes=1), timedelta(hours=1)


def user(user_id, identified_at=None, *, key="card-1", domain="shop", **visit):
    return {"identity_key": key, "user_domain": domain, "user_id": user_id, "identified_at": identified_at, **visit}


def chunk(rows):
    """Rows as the warehouse reader hands them over."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in columns}


def choose(*users, at=NOON, key="card-1", personal_data=PersonalData.REJECT):
    """The user of one conversion as (domain, user, reason); None if there is none."""
    conversions = pd.DataFrame(
        {"id": [7], "identity_key": [key], "action_timestamp_ms": pd.array([to_milliseconds(at)], dtype="Int64")}
    )
    chosen = choose_users(conversions, known_users_frame([chunk(users)] if users else []), personal_data)
    assert len(chosen) <= 1
    return next(chosen[["user_domain", "user_id", "reason"]].itertuples(index=False, name=None), None)


def chosen_id(*users, at=NOON):
    return choose(*users, at=at)[1]


# Of several users


def test_without_a_known_user_there_is_no_row():
    assert choose() is None
    assert choose(user("ada", key="card-2")) is None


def test_the_only_user_of_a_key_is_taken_even_if_identified_after_the_conversion():
    assert chosen_id(user("ada", NOON + HOUR)) == "ada"
    assert chosen_id(user("ada", NOON - HOUR)) == "ada"
    assert chosen_id(user("ada", None)) == "ada"


def test_of_those_identified_before_the_conversion_the_latest_is_taken():
    assert chosen_id(user("ada", NOON - 3 * HOUR), user("bob", NOON - HOUR), user("cyd", NOON - 2 * HOUR)) == "bob"


def test_nobody_identified_after_the_conversion_is_taken_if_somebody_was_before():
    assert chosen_id(user("ada", NOON - 30 * HOUR), user("bob", NOON + MILLISECOND)) == "ada"


def test_identified_at_the_very_moment_is_not_after_it():
    assert chosen_id(user("ada", NOON - HOUR), user("bob", NOON)) == "bob"


def test_if_all_were_identified_after_the_conversion_the_latest_is_taken():
    assert chosen_id(user("ada", NOON + HOUR), user("bob", NOON + 2 * HOUR)) == "bob"


def test_a_tie_goes_to_the_smaller_user_id():
    assert chosen_id(user("bob", NOON - HOUR), user("ada", NOON - HOUR), user("cyd", NOON - HOUR)) == "ada"


def test_of_equal_users_in_several_domains_the_smaller_domain_is_taken():
    users = [user("ada", NOON - HOUR, domain="shop"), user("ada", NOON - HOUR, domain="crm")]

    assert choose(*users) == choose(*users[::-1]) == ("crm", "ada", None)


def test_of_several_domains_the_one_identified_latest_is_taken():
    assert choose(user("ada", NOON - HOUR, domain="shop"), user("ada", NOON - 2 * HOUR, domain="crm"))[:2] == ("shop", "ada")


def test_no_identified_at_is_before_all_that_are_known():
    assert chosen_id(user("ada", None), user("bob", NOON - HOUR)) == "bob"
    assert chosen_id(user("ada", None), user("bob", NOON + HOUR)) == "ada"


@pytest.mark.parametrize(
    "form",
    [
        lambda moment: moment,
        str,
        lambda moment: moment.replace(tzinfo=None),
        lambda moment: str(moment.replace(tzinfo=None)),
        lambda moment: moment.timestamp(),
        lambda moment: int(moment.timestamp() * 1000),
        lambda moment: Decimal(str(moment.timestamp())),
        pd.Timestamp,
    ],
)
def test_identified_at_may_be_of_any_kind_and_without_an_offset_is_utc(form):
    assert chosen_id(user("ada", form(NOON - MINUTE)), user("bob", form(NOON + MINUTE)), user("cyd", form(NOON - HOUR))) == "ada"


def test_an_identified_at_that_is_no_moment_is_not_known():
    assert chosen_id(user("ada", "yesterday"), user("bob", NOON - HOUR)) == "bob"
    assert chosen_id(user("ada", "infinity"), user("bob", NOON + HOUR)) == "ada"


# To the letter


@pytest.mark.parametrize(
    "user_id", [" ada ", "ADA", "Ada", "ada\n", "日本", "🎉", "a,b\"c'd\\e", "'; DROP TABLE users; --", "x" * 5_000]
)
def test_domain_and_user_id_stay_as_set_user_id_got_them(user_id):
    assert choose(user(user_id, domain=" Shop ")) == (" Shop ", user_id, None)


@pytest.mark.parametrize("number", [72349876, 72349876.0, Decimal(72349876), Decimal("72349876.00"), "72349876"], ids=repr)
def test_ids_that_are_numbers_are_text_without_a_decimal_point(number):
    assert choose(user(number, key=number, domain=number), key="72349876") == ("72349876", "72349876", None)


def test_a_column_of_integers_with_a_null_keeps_its_integers():
    chunk_ = {
        "identity_key": pd.Series([7, None]),
        "user_domain": pd.Series(["shop", "shop"]),
        "user_id": pd.Series([72349876, None]),
        "identified_at": pd.Series([None, None], dtype=object),
    }
    conversions = pd.DataFrame({"id": [1], "identity_key": ["7"], "action_timestamp_ms": [to_milliseconds(NOON)]})

    assert choose_users(conversions, known_users_frame([chunk_]), PersonalData.REJECT)["user_id"].tolist() == ["72349876"]


def test_keys_match_to_the_letter():
    for key in ("CARD-1", "card-1 ", " card-1", "card-10"):
        assert choose(user("ada", key=key)) is None


def test_users_without_a_key_match_nobody():
    assert choose(user("ada", key=None), user("bob", key=""), user("cyd", key="  ")) is None


# Users that are none


@pytest.mark.parametrize("nothing", [None, "", "  ", "\t\n", b"", float("nan"), pd.NA], ids=repr)
def test_a_user_without_domain_or_id_is_invalid(nothing):
    assert choose(user(nothing, NOON)) == (None, None, Reason.INVALID_USER)
    assert choose(user("ada", NOON, domain=nothing)) == (None, None, Reason.INVALID_USER)


@pytest.mark.parametrize("personal_data", PersonalData)
@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "a\ud800@example.com", "a\x00@example.com"], ids=ascii)
def test_a_user_whom_the_ledger_cannot_hold_is_invalid(text, personal_data):
    assert choose(user(text, NOON), personal_data=personal_data) == (None, None, Reason.INVALID_USER)
    assert choose(user("ada", NOON, domain=text), personal_data=personal_data) == (None, None, Reason.INVALID_USER)


def test_a_user_that_is_none_loses_against_any_that_is_one():
    assert (
        chosen_id(user(" ", NOON), user(None, NOON - MINUTE), user("bob", NOON - HOUR, domain=""), user("ada", NOON + 9 * HOUR))
        == "ada"
    )


# Times that cannot be read


def test_a_time_that_cannot_be_read_and_would_decide_is_counted_and_named_by_its_form():
    unreadable = UnreadableTimes()
    users = [
        user("ada", "14/Mar/2026"),
        user("bob", "15.Apr/2026"),
        user("bob", None),
        user("bob", " "),
        user("bob", "2026-03-14"),
        user("eve", "junk", key="card-2"),
    ]

    known_users_frame([chunk(users)], unreadable)
    known_users_frame([chunk(users[:2])], unreadable)

    assert unreadable.rows == {"identified_at": 4}
    assert unreadable.sentence == (
        "known_users: identified_at of 4 rows (such as 99/Aaa/9999) could not be read as a time and counts as unknown"
    )


@pytest.mark.parametrize("value", ["ada@example.com", "+1 415 555 2671", "Łódź 7", "x" * 1000])
def test_nothing_of_what_cannot_be_read_is_told_but_its_form(value):
    unreadable = UnreadableTimes()
    known_users_frame([chunk([user("ada", value), user("bob", value)])], unreadable)
    form = unreadable.forms["identified_at"]
    assert len(form) <= 40
    assert set(form) <= set("9aA @.+")
    assert unreadable.rows == {"identified_at": 2}


def test_times_that_can_be_read_are_no_matter():
    unreadable = UnreadableTimes()
    given = [
        None,
        "",
        "2026-03-14",
        date(2026, 3, 14),
        NOON,
        NOON.replace(tzinfo=None),
        1773489600,
        1773489600.5,
        "1773489600000",
        Decimal(1773489600),
        "20260314T120000Z",
        float("nan"),
    ]
    known_users_frame([chunk([user(f"u{number}", at) for number, at in enumerate(given)])], unreadable)
    assert unreadable.sentence is None


# Personal data


@pytest.mark.parametrize(
    "text",
    ["ada@example.com", "ADA@EXAMPLE.CO.UK", " ada@example.com ", "ada.lovelace+shop@mail.example.org", "ünïcode@exämple.de", "ada@xn--exmple-cua.de",
     "+1 415 555 2671", "+14155552671", "+1-415-555-2671", "+1 (415) 555-2671", "(415) 555-2671", "415-555-2671", "415 555 2671", "415.555.2671",
     "+49 151 12345678", "+49 (0)30 1234567", "0151 12345678", "(030) 1234567", "06 12 34 56 78", "0170-1234567", "0170/1234567", "030/123 45 67", "1-555-123-4567", "1 555 123 4567", "1 (555) 123-4567",
     "ada%40example.com", "tel:+4915112345678", "Ada <ada@example.com>", "mailto:ada@example.com", "020 7946 0958", " +4915112345678 ",
     "ada＠example.com", "ada﹫example.com", "ada%2540example.com", "ada&#64;example.com", "ada&#x40;example.com", "ada&commat;example.com", "ada(at)example.com", "ada [AT] example.com", "ada @ example.com",
     "＋49 151 12345678", "+1 (415) 555-2671 x12", "415-555-2671 ext. 7", "+49\u00a0151\u00a012345678"],
)  # fmt: skip
def test_what_looks_like_an_e_mail_address_or_a_phone_number_is_personal_data(text):
    assert looks_like_personal_data(text)


@pytest.mark.parametrize(
    "text",
    ["72349876", "4155552671", "14155552671", "0015112345678", "491511234567890", "ada", "ada_lovelace", "@ada", "ada@", "user@host", "a@b@c", "003D000000QnPyLIAV",
     "8400e29b-41d4-4716-8466-554400000000", "550e8400-e29b-41d4-a716-446655440000", "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72", "2026-03-14", "192.168.100.1", "1.2.840.113619",
     "+1", "+", "GA1.2.1033501218.1368477899", "0012-34567890", "0030-000012", "0170-12", "1-2-3", "cus_NffrFeUfNV2Hib", "1033501218.1368477899", "日本", "-1"],
)  # fmt: skip
def test_numbers_and_ids_are_no_personal_data(text):
    assert not looks_like_personal_data(text)


@pytest.mark.parametrize("personal_data", PersonalData)
def test_an_address_as_the_domain_of_a_user_is_never_sent(personal_data):
    assert choose(user("ada", NOON, domain="ada@example.com"), personal_data=personal_data) == (
        None,
        None,
        Reason.PERSONAL_DATA_IN_USER_ID,
    )


@pytest.mark.parametrize("lost", [1e16, float("inf"), ["a"]], ids=repr)
def test_a_user_id_that_may_have_lost_digits_or_has_no_text_is_no_user(lost):
    assert choose(user(lost, NOON)) == choose(user("ada", NOON, domain=lost)) == (None, None, Reason.INVALID_USER)


def test_a_user_id_that_is_personal_data_is_rejected_and_kept_nowhere():
    assert choose(user("ada@example.com", NOON)) == (None, None, Reason.PERSONAL_DATA_IN_USER_ID)


ADA_HASHED = "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72"


def test_a_source_that_hashes_sends_the_sha_256_of_the_trimmed_lower_case_id():
    assert hashlib.sha256(b"ada@example.com").hexdigest() == ADA_HASHED
    for text in ("ada@example.com", " ADA@Example.com\n"):
        assert hashed(text) == ADA_HASHED
        assert choose(user(text, NOON), personal_data=PersonalData.SHA256) == ("shop", ADA_HASHED, None)


def test_what_is_no_personal_data_is_not_hashed():
    assert choose(user("Ada", NOON), personal_data=PersonalData.SHA256) == ("shop", "Ada", None)


def test_personal_data_does_not_make_another_user_the_chosen_one():
    users = user("ada", NOON - HOUR), user("ada@example.com", NOON - MINUTE)

    assert choose(*users)[2] is Reason.PERSONAL_DATA_IN_USER_ID


# Whatever the order

some_moments = st.none() | st.sampled_from(
    [NOON + distance for distance in (-25 * HOUR, -HOUR, -MINUTE, -MILLISECOND, timedelta(), MILLISECOND, HOUR)]
)
some_users = st.builds(
    user,
    st.sampled_from([None, "", "ada", "bob", "ada@example.com", "7", "a\x00"]),
    some_moments,
    key=st.sampled_from(["card-1", "card-2", None]),
    domain=st.sampled_from(["shop", "crm", " "]),
)
CONVERSIONS = pd.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "identity_key": ["card-1", "card-1", "card-2", "card-3"],
        "action_timestamp_ms": pd.array([to_milliseconds(moment) for moment in (NOON, NOON - HOUR, NOON, NOON)], dtype="Int64"),
    }
)


def as_set(chosen):
    return set(chosen[["id", "user_domain", "user_id", "reason"]].itertuples(index=False, name=None))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(some_users, max_size=6).flatmap(lambda users: st.tuples(st.just(users), st.permutations(users))),
    st.permutations(range(4)),
    st.integers(1, 6),
)
def test_the_order_and_the_chunks_in_which_rows_come_do_not_matter(users_and_shuffled, order, chunk_rows):
    users, shuffled = users_and_shuffled
    chunks = [chunk(shuffled[first : first + chunk_rows]) for first in range(0, len(shuffled), chunk_rows)]

    one = choose_users(CONVERSIONS, known_users_frame([chunk(users)] if users else []), PersonalData.REJECT)
    other = choose_users(CONVERSIONS.iloc[list(order)], known_users_frame(chunks), PersonalData.REJECT)

    assert as_set(one) == as_set(other)
    assert one["id"].is_unique


@settings(deadline=None, max_examples=60)
@given(st.lists(some_users, min_size=1, max_size=6))
def test_whoever_is_chosen_is_a_known_user_of_the_key_and_nobody_better_was_passed_over(users):
    for identifier, domain, user_id, reason in as_set(
        choose_users(CONVERSIONS, known_users_frame([chunk(users)]), PersonalData.REJECT)
    ):
        key, moment = {1: ("card-1", NOON), 2: ("card-1", NOON - HOUR), 3: ("card-2", NOON)}[identifier]
        whole = [
            row
            for row in users
            if row["identity_key"] == key and row["user_id"] not in (None, "", "a\x00") and row["user_domain"].strip()
        ]
        if reason is Reason.INVALID_USER:
            assert whole == []
            continue
        identified = {
            (row["user_domain"], row["user_id"], row["identified_at"] or datetime.min.replace(tzinfo=UTC)) for row in whole
        }
        before = {row for row in identified if row[2] <= moment}
        best = max(at for _, _, at in before or identified)
        winners = {(user_id, domain) for domain, user_id, at in before or identified if at == best}
        if reason is Reason.PERSONAL_DATA_IN_USER_ID:
            assert min(winners)[0] == "ada@example.com"
        else:
            assert (user_id, domain) == min(winners)


# What becomes of the conversion


def test_a_conversion_whose_user_is_known_is_ready_and_one_whose_user_gives_a_reason_is_rejected():
    conversions = pd.DataFrame(
        {
            "state": [State.HELD, State.HELD, State.HELD, State.FUTURE],
            "reason": [Reason.UNKNOWN_USER] * 3 + [None],
            "identity_key": list("abcd"),
        },
        dtype=object,
    )
    users = pd.DataFrame(
        {
            "id": [0, 2],
            "user_domain": ["shop", None],
            "user_id": ["ada", None],
            "reason": [None, Reason.PERSONAL_DATA_IN_USER_ID],
        },
        dtype=object,
    )

    joined = with_users(conversions, users)

    assert joined["state"].tolist() == ["ready", "held", "rejected", "future"]
    assert joined["reason"].where(joined["reason"].notna(), None).tolist() == [
        None,
        "unknown_user",
        "personal_data_in_user_id",
        None,
    ]
    assert joined["user_id"].where(joined["user_id"].notna(), None).tolist() == ["ada", None, None, None]
    assert joined["user_domain"].where(joined["user_domain"].notna(), None).tolist() == ["shop", None, None, None]


def test_without_any_known_user_all_stay_as_they_are():
    conversions = pd.DataFrame({"state": [State.HELD], "reason": [Reason.UNKNOWN_USER]}, dtype=object)
    nobody = pd.DataFrame({"id": [], "user_domain": [], "user_id": [], "reason": []}, dtype=object)

    joined = with_users(conversions, nobody)

    assert (joined["state"].tolist(), joined["reason"].tolist()) == (["held"], ["unknown_user"])


# Placeholders


@pytest.mark.parametrize(
    "text",
    ["undefined", "null", "NaN", " None ", "0", "(not set)", "[object Object]", "N/A", "00000000-0000-0000-0000-000000000000",
     "#N/A", "#REF!", "-", "''", '""', "(empty)", "distinctId", "{{ user.id }}", "{{user_id}}", "${userId}", "#{id}", "<%= user.id %>", "%%USER_ID%%", "[[uid]]", "{% id %}"],
)  # fmt: skip
def test_a_placeholder_is_no_user(text):
    assert choose(user(text, NOON)) == (None, None, Reason.PLACEHOLDER_USER_ID)
    assert choose(user("ada", NOON, domain=text)) == (None, None, Reason.PLACEHOLDER_USER_ID)


@pytest.mark.parametrize(
    "text", ["00", "10", "nullable", "undefined-1", "Nancy", "01", "#17", "-1", "{7}", "{{", "a{{b}}", "N", "${7", "[7]"]
)
def test_an_id_that_only_looks_a_little_like_one_is_a_user(text):
    assert choose(user(text, NOON))[1:] == (text, None)


@pytest.mark.parametrize("text", ["1.79547E+12", "1,79547e+12", " 8E+15 ", "\u200b", "\ufeff \u2060"])
def test_an_id_of_which_nothing_is_seen_or_only_the_first_digits_is_no_user(text):
    assert choose(user(text, NOON)) == (None, None, Reason.INVALID_USER)


def test_a_real_user_of_the_same_key_goes_before_a_placeholder():
    assert choose(user("undefined", NOON), user("ada", NOON - HOUR))[1] == "ada"


@pytest.mark.parametrize("as_type", [lambda day: day, str], ids=["date", "text"])
def test_a_date_is_its_first_moment(as_type):
    older, newer = as_type((NOON - 60 * 24 * HOUR).date()), as_type((NOON - 24 * HOUR).date())
    assert choose(user("A-old", older), user("B-new", newer))[1] == "B-new"
