"""What people type of an ID leads to the ID, and to no other."""

import pytest

from webflow_conversions.rules.written import MOST_FORMS, written_forms

FOUND = [
    ("1001", "#1001"),
    ("#1001", "1001"),
    ("  1001 ", "1001"),
    ("No. 1001", "1001"),
    ("no.1001", "#1001"),
    ("Nr. 1001", "1001"),
    ("№ 1001", "1001"),
    ("Order 1001", "1001"),
    ("Order No. #SO-1001", "SO-1001"),
    ("order number: 1001", "1001"),
    ("Bestellung Nr. 1001", "1001"),
    ("so-1001", "SO-1001"),
    ("SO-1001", "so-1001"),
    ("order-1001", "Order-1001"),
    ("SO 1001", "SO-1001"),
    ("SO 1001", "SO1001"),
    ("so 1001", "SO1001"),
    ("10 01", "1001"),
    ("0001001", "1001"),
    ("1001", "0001001"),
    ("so-42", "SO-0042"),
    ("so-0042", "SO-42"),
    ("#0042", "#42"),
    ("'1001", "1001"),
    ('"SO-1001"', "SO-1001"),
    ("“SO-1001”", "SO-1001"),
    ("(1001),", "1001"),
    ("1001\u200b", "1001"),
    ("\ufeff1001\n", "1001"),
    ("10\u00a001", "1001"),
    ("https://shop.example/admin/orders/1001", "1001"),
    ("https://shop.example/admin/orders/1001/", "1001"),
    ("https://shop.example/orders/1001/edit?tab=2", "1001"),
    ("<https://shop.example/order?number=SO-1001>", "SO-1001"),
    ("https://shop.example/orders/SO%2F1001", "SO/1001"),
    ("HTTPS://SHOP.EXAMPLE/#/orders/1001", "#1001"),
    ("d-42/ä", "D-42/Ä"),
]


@pytest.mark.parametrize(("typed", "stored"), FOUND)
def test_an_id_is_found_as_people_type_it(typed: str, stored: str):
    assert stored in written_forms(typed)


@pytest.mark.parametrize(
    ("typed", "other"),
    [
        ("1001", "10010"),
        ("1001", "11001"),
        ("1001", "10001"),
        ("1010", "101"),
        ("1001-1", "1001"),
        ("SO-1001", "1001"),
        ("https://shop.example/orders/1001?page=2", "2"),
        ("https://shop.example/orders/1001", "orders"),
        ("1001", ""),
        ("#", ""),
        ("No.", ""),
    ],
)
def test_no_letter_and_no_digit_but_a_zero_before_a_number_is_guessed(typed: str, other: str):
    assert other not in written_forms(typed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "#",
        "No.",
        "id",
        "https://",
        "https://[",
        "http://x/%ff/1",
        "ﬁ 7",
        "٣٤",
        "ß1",
        "9" * 600,
        "a " * 300,
        "💥",
        "x\x00y",
    ],
)
def test_any_text_has_few_forms_and_the_first_is_the_text(text: str):
    forms = written_forms(text)

    assert len(forms) == len(set(forms)) <= MOST_FORMS
    assert all(form.strip() for form in forms)
    assert not text.strip() or forms[0] == text
