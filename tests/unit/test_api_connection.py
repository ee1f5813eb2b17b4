"""What a connection of type webflow says is checked once, and a mistake is one sentence that never holds the token."""

import pytest

from webflow_conversions.errors import Unusable
from webflow_conversions.transport.api import Api

TOKEN = "Tok3n-of-the-account"


def parse(**fields):
    return Api.parse(
        "webflow_eu",
        **{"host": None, "port": None, "schema": None, "login": "123456789", "password": TOKEN, "extra": {}, **fields},
    )


def complaint(**fields):
    with pytest.raises(Unusable) as error:
        parse(**fields)
    sentence = str(error.value)
    assert "webflow_eu" in sentence
    assert TOKEN not in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_customer_and_token_are_enough():
    api = parse()

    assert (api.url, api.customer_id, api.token) == ("https://log.intellimize.co/event", "123456789", TOKEN)
    assert (api.concurrency, api.requests_per_second, api.timeout_seconds) == (32, None, 30.0)


def test_every_request_carries_the_key_as_the_contract_says():
    assert parse().headers == {"Authorization": f"ApiKey {TOKEN}", "Content-Type": "application/json"}


def test_the_token_is_not_in_the_representation():
    assert TOKEN not in repr(parse())
    assert TOKEN not in str(parse())


# The host


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": ""}, "https://log.intellimize.co/event"),
        ({"host": "  "}, "https://log.intellimize.co/event"),
        ({"host": "https://log.intellimize.co"}, "https://log.intellimize.co/event"),
        ({"host": "https://log.intellimize.co/"}, "https://log.intellimize.co/event"),
        ({"host": "https://log.intellimize.co/event"}, "https://log.intellimize.co/event"),
        ({"host": "https://log.intellimize.co/event/"}, "https://log.intellimize.co/event"),
        ({"host": " log.intellimize.co\n"}, "https://log.intellimize.co/event"),
        ({"host": "HTTPS://log.intellimize.co"}, "https://log.intellimize.co/event"),
        ({"host": "proxy.example.com/webflow"}, "https://proxy.example.com/webflow/event"),
        ({"host": "localhost", "schema": "http", "port": 8080}, "http://localhost:8080/event"),
        ({"host": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080/event"),
        ({"host": "http://127.0.0.1:8080", "port": 9090}, "http://127.0.0.1:8080/event"),
        ({"host": "http://[::1]", "port": 8080}, "http://[::1]:8080/event"),
        ({"host": "http://[::1]:8080"}, "http://[::1]:8080/event"),
    ],
)
def test_the_host_may_be_written_in_every_usual_way(fields, url):
    assert parse(**fields).url == url


@pytest.mark.parametrize(
    "host",
    ["https://", "ftp://log.intellimize.co", "file:///etc/passwd", "https://log.intellimize.co?x=1", "log.intellimize.co:99999", "log.intellimize.co:port", "::1", "http://[::1", "http://[::1]]", "//log.intellimize.co", "https://log.intellimize.co /", "https://log.\nintellimize.co", "javascript:alert(1)"],
)  # fmt: skip
def test_a_host_that_is_no_address_is_refused_with_an_example(host):
    assert "which is no address such as https://log.intellimize.co" in complaint(host=host)


@pytest.mark.parametrize(
    "host",
    [f"https://user:{TOKEN}@log.intellimize.co", f"https://:{TOKEN}@log.intellimize.co", f"https://{TOKEN}@log.intellimize.co"],
)
def test_a_secret_in_the_host_is_refused_and_not_repeated(host):
    complaint(host=host)


@pytest.mark.parametrize("allowed", [None, "", False, "false", "False"])
@pytest.mark.parametrize(
    "fields",
    [
        {"host": "http://proxy.example.com"},
        {"host": "HTTP://10.0.0.7:8080"},
        {"host": "proxy.example.com", "schema": "http"},
        {"host": "http://localhost.example.com"},
        {"host": "http://127.0.0.1.example.com"},
        {"host": "http://log.intellimize.co:443"},
        {"host": "http://2130706433"},
    ],
)
def test_a_token_that_would_cross_a_network_unencrypted_is_refused(fields, allowed):
    sentence = complaint(**fields, extra={"allow_http": allowed})
    assert "would send its token unencrypted to http://" in sentence
    assert "set allow_http to true" in sentence


@pytest.mark.parametrize("allowed", [True, "true", "True"])
def test_a_token_goes_unencrypted_only_where_the_connection_says_so(allowed):
    assert parse(host="http://proxy.example.com", extra={"allow_http": allowed}).url == "http://proxy.example.com/event"


@pytest.mark.parametrize("allowed", ["yes", 1, 0.5, ["true"], "verify"])
def test_allow_http_is_true_or_false(allowed):
    assert "set true or false" in complaint(host="http://proxy.example.com", extra={"allow_http": allowed})


@pytest.mark.parametrize(
    "host",
    ["https://proxy.example.com", "http://localhost:8080", "http://127.0.0.1", "http://[::1]:8080", "http://LOCALHOST"],
)
def test_what_stays_on_this_machine_or_is_encrypted_needs_no_permission(host):
    assert parse(host=host).url.endswith("/event")


# Customer and token


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_a_missing_customer_id_or_token_is_named_with_the_place_to_find_it(nothing):
    assert "has no customer ID" in complaint(login=nothing)
    assert "has no token" in complaint(password=nothing)


@pytest.mark.parametrize(
    "around",
    ["{}", " {}\n", "\t{} \r\n", "\"{}\"", "'{}'", "`{}`", "“{}”", "„{}“", "«{}»", "\ufeff{}\u200b", " ' {} ' ", "\u200b \"{}\u00a0\""],
    ids=ascii,
)  # fmt: skip
def test_blanks_quotes_and_invisible_characters_around_what_is_pasted_are_trimmed(around):
    api = parse(login=around.format("123456789"), password=around.format(TOKEN))
    assert (api.customer_id, api.token) == ("123456789", TOKEN)


@pytest.mark.parametrize(
    "before",
    [
        "ApiKey ",
        "apikey  ",
        "Bearer ",
        "bearer\t",
        "Authorization: ApiKey ",
        "authorization:Bearer ",
        "Authorization: ",
        "Token: ",
    ],
)
def test_a_header_s_words_before_a_token_are_trimmed(before):
    assert parse(password=f"{before}{TOKEN}").token == TOKEN
    assert parse(password=f'"{before}{TOKEN}"').token == TOKEN
    assert parse(password=f'{before}"{TOKEN}"').token == TOKEN


@pytest.mark.parametrize("token", ["Bearer", "apikey ", "Authorization:", '""', "\u200b", "“”"], ids=ascii)
def test_a_token_of_which_nothing_is_left_is_none(token):
    assert "has no token" in complaint(password=token)


@pytest.mark.parametrize("token", ["token", "bearer-of-news", "apikey123", "authorization", "it's", "'"])
def test_a_token_that_resembles_such_words_is_left_as_it_is(token):
    assert parse(password=token).token == token


@pytest.mark.parametrize(
    "token",
    [f"{TOKEN}\r\nX-Evil: 1", f"{TOKEN}\x00", f"{TOKEN}ü", f"two {TOKEN}", f"{TOKEN[:5]}\n{TOKEN[5:]}", f"“{TOKEN}"],
    ids=ascii,
)
def test_a_token_that_could_break_the_header_is_refused(token):
    assert "paste it anew" in complaint(password=token)


# What is mixed up


@pytest.mark.parametrize("password", ["123456789", " 123456789\n", "Bearer 123456789", "'123456789'"])
@pytest.mark.parametrize("login", [TOKEN, f"Bearer {TOKEN}", "me@example.com", "6f1d"])
def test_a_customer_id_and_a_token_that_are_swapped_are_told(login, password):
    assert complaint(login=login, password=password) == (
        "Customer ID and token of connection webflow_eu look swapped: a customer ID is a number, a token is not; exchange them."
    )


@pytest.mark.parametrize(
    ("login", "is_what"),
    [
        ("jane.doe@example.com", "an e-mail address"),
        ("65427cf400e02b306eaa04a0", "a site ID"),
        ("65427CF400E02B306EAA04A0", "a site ID"),
    ],
)
def test_another_thing_than_a_customer_id_is_named_with_the_place_of_the_right_one(login, is_what):
    assert complaint(login=login).startswith(
        f"Connection webflow_eu has {is_what} as customer ID: put your Analyze/Optimize account"
    )


@pytest.mark.parametrize("both", ["123456789", TOKEN])
def test_the_same_text_in_both_fields_is_told(both):
    with pytest.raises(Unusable, match="has its customer ID as token, too"):
        parse(login=both, password=both)


@pytest.mark.parametrize(
    "left", ["***", "${WEBFLOW_TOKEN}", "$WEBFLOW_TOKEN", "$(cat token)", "{{ var.value.token }}", "<token>"]
)
def test_a_placeholder_that_nobody_filled_in_is_told(left):
    assert "is a placeholder" in complaint(password=left)
    assert "is a placeholder" in complaint(login=left)


def test_the_host_of_the_data_api_takes_no_conversions():
    assert "is the Data API's" in complaint(host="https://api.webflow.com/v2")
    assert parse(host="https://api.webflow.com.proxy.example.com").url == "https://api.webflow.com.proxy.example.com/event"


def test_a_customer_id_that_is_no_number_is_left_to_webflow():
    assert parse(login="acme-7").customer_id == "acme-7"


@pytest.mark.parametrize("customer_id", ["123 456", "123\n456", "１２３"])
def test_a_customer_id_with_a_space_or_beyond_ascii_is_refused(customer_id):
    assert "paste it anew" in complaint(login=customer_id)


# Extras


def test_extras_are_numbers_or_their_text():
    for of_type in (lambda number: number, str, float):
        api = parse(extra={"concurrency": of_type(64), "requests_per_second": of_type(50), "timeout_seconds": of_type(5)})
        assert (api.concurrency, api.requests_per_second, api.timeout_seconds) == (64, 50.0, 5.0)
        assert isinstance(api.concurrency, int)


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_extra_is_the_default(nothing):
    assert parse(extra={"concurrency": nothing, "requests_per_second": nothing, "timeout_seconds": nothing}) == parse()


def test_the_extras_of_others_are_left_alone():
    assert parse(extra={"extra__webflow__note": "ours", "unknown": [1]}) == parse()


@pytest.mark.parametrize("name", ["concurrency", "requests_per_second", "timeout_seconds"])
@pytest.mark.parametrize(
    "wrong",
    [0, -1, "many", "nan", "inf", float("nan"), True, False, [1], {"a": 1}, 10**9, 10**400, "8x"],
    ids=lambda wrong: repr(wrong)[:20],
)
def test_an_extra_that_is_no_sensible_number_is_named_with_its_bounds(name, wrong):
    sentence = complaint(extra={name: wrong})

    assert sentence.startswith(f"{name} of connection webflow_eu is ")
    assert "set a number from " in sentence


def test_half_a_request_at_once_is_refused():
    assert complaint(extra={"concurrency": 2.5}).startswith("concurrency of connection webflow_eu is 2.5")
    assert parse(extra={"requests_per_second": 0.5, "timeout_seconds": 0.5}).requests_per_second == 0.5
