"""Which notifiers are taken, and that what a notice says reaches them as text."""

import abc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseNotifier

from tests.mail import MailServer
from tests.surroundings import CONFIGURATION, Surroundings
from webflow_conversions.configuration import NoticeTo
from webflow_conversions.errors import Unusable
from webflow_conversions.operators import notices
from webflow_conversions.operators.notifiers import built, one_line, tell
from webflow_conversions.pipeline.notices import Notice, NoticeKind

CALLED: list[Any] = []
HELD: list[Any] = []


def a_function(**arguments: Any) -> None:
    CALLED.append(arguments)


class NoNotifier:
    def __init__(self, **arguments: Any) -> None:
        CALLED.append(arguments)


class Abstract(BaseNotifier, abc.ABC):
    def notify(self, context: Any) -> None:
        CALLED.append(context)

    @abc.abstractmethod
    def address(self) -> str: ...


class WithoutNotify(BaseNotifier):
    """It can only be awaited."""

    async def async_notify(self, context: Any) -> None:
        CALLED.append(context)


class Touchy(BaseNotifier):
    def __init__(self, webhook: str) -> None:
        super().__init__()
        raise ValueError(f"the address '{webhook}' is none")

    def notify(self, context: Any) -> None: ...


class Slackish(BaseNotifier):
    """Takes nested arguments, and a file's name as an argument, as notifiers of chats do."""

    template_fields = ("text", "blocks", "attachments")
    template_ext = (".html", ".txt", ".sql")

    def __init__(self, text: str = "", blocks: Any = None, attachments: Any = ()) -> None:
        super().__init__()
        self.text, self.blocks, self.attachments = text, blocks, attachments

    def notify(self, context: Any) -> None:
        HELD.append((self.text, self.blocks, self.attachments))


class Cause(str):
    """Nothing but a module attribute."""


AN_OBJECT = Slackish()


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLED.clear()
    HELD.clear()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that can be imported, and leaves a file where it was."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def here(name: str) -> str:
    return f"{__name__}.{name}"


@pytest.mark.parametrize(
    "path",
    [
        "subprocess.Popen",
        "os.system",
        "antigravity.webbrowser",
        "pip.__main__.sys",
        "webflow_conversions.__main__.main",
        here("a_function"),
        here("NoNotifier"),
        here("AN_OBJECT"),
        here("CALLED"),
        here("Abstract"),
        here("WithoutNotify"),
        here("Cause"),
        "airflow.sdk.BaseNotifier",
        "airflow.sdk.BaseOperator",
        "airflow.sdk.DAG",
    ],
)
def test_what_is_no_notifier_is_refused_and_never_called(path: str) -> None:
    with pytest.raises(Unusable, match="is no notifier: "):
        built(NoticeTo(notifier=path, arguments={"args": ["touch", "/nowhere"]}))
    assert CALLED == []


@pytest.mark.parametrize("path", ["turtle.Pen", "this.s", "antigravity.x", "idlelib.idle.x"])
def test_a_module_of_python_itself_is_not_even_imported(path: str) -> None:
    with pytest.raises(Unusable, match="was not imported"):
        built(NoticeTo(notifier=path))
    assert path.rpartition(".")[0] not in sys.modules


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "raise SystemExit(3)", "1 +", "import nowhere_at_all"])
def test_a_module_that_cannot_be_imported_is_one_sentence(module: Path, text: str) -> None:
    name = f"broken_{abs(hash(text))}"
    (module / f"{name}.py").write_text(text)
    with pytest.raises(Unusable, match=r"cannot be used here: .*Install its provider"):
        built(NoticeTo(notifier=f"{name}.Teller"))


def test_what_an_argument_holds_is_not_told() -> None:
    with pytest.raises(Unusable) as refused:
        built(NoticeTo(notifier=here("Touchy"), arguments={"webhook": "https://hooks.example.com/T0/canary"}))
    assert "canary" not in str(refused.value)
    with pytest.raises(Unusable, match="unexpected keyword argument 'colour'"):
        built(NoticeTo(notifier=here("Touchy"), arguments={"colour": "canary"}))


@pytest.mark.parametrize("path", ["subprocess.Popen", here("a_function")])
def test_plan_check_and_the_test_of_the_notices_refuse_what_is_no_notifier(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    from click.testing import CliRunner

    from webflow_conversions import notify
    from webflow_conversions.cli.main import cli

    mark = tmp_path / "mark"
    around.configure(CONFIGURATION + f"notices:\n  - {{notifier: {path}, arguments: {{args: [touch, {mark}]}}}}\n")

    with pytest.raises(Unusable, match="is no notifier"):
        around.plan()
    checked = CliRunner().invoke(cli, ["check", "--json"])
    assert (checked.exit_code, "is no notifier" in checked.output) == (1, True)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    with pytest.raises(SystemExit, match="is no notifier"):
        notify.main(["--test"])
    assert not mark.exists()
    assert CALLED == []


HOSTILE = [
    "{{ 7 * 7 }} {{ conn.webflow_default.password }}",
    "{% include '/etc/passwd' %}{% raw %}",
    "/etc/passwd.html",
    "notice.txt",
    "['a list', 1]",
    "{'a': 'dict'}",
    "41",
    "None",
    "{{ cause }}",
    "<script>alert(1)</script>",
    "{# gone #} {{ dag.task_ids }}",
]


@pytest.mark.parametrize("is_native", [True, False])
@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_others_reach_a_notifier_as_text(words: str, is_native: bool) -> None:
    arguments = {
        "text": "{{ cause }}",
        "blocks": {"type": "section", "fields": [{"text": "{{ cause }}"}, {"text": "{{ subject }}: {{ 1 + 1 }}"}]},
        "attachments": ["{{ remedy }}"],
    }
    dag = DAG("nightly", schedule=None, render_template_as_native_obj=is_native)
    notice = Notice(kind=NoticeKind.FAILED, subject=words, lead=words, cause=words, remedy=words)

    for context in ({"dag": dag}, {}):
        tell(built(NoticeTo(notifier=here("Slackish"), arguments=arguments)), context, notices._given(notice, "nightly"))

    blocks = {"type": "section", "fields": [{"text": words}, {"text": f"{words}: 2"}]}
    assert HELD == [(words, blocks, [words])] * 2


def test_a_template_of_the_configuration_gets_at_no_insides() -> None:
    route = NoticeTo(notifier=here("Slackish"), arguments={"text": "{{ subject.__class__.__mro__ }}"})
    with pytest.raises(Exception, match="unsafe"):
        tell(built(route), {"dag": DAG("nightly", schedule=None, render_template_as_native_obj=True)}, {"subject": "x"})


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"smtp://127.0.0.1:{server.server_address[1]}?disable_ssl=true&disable_tls=true"
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", address)
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    "words",
    [
        *HOSTILE,
        "two\r\nBcc: everybody@example.com\r\n\r\nlines",
        "one\u2028two\u2029three\x85four\x0bfive\x00six",
        "half a pair: \ud83d",
        "Größe für Ωμέγα 🙂",
        ".\r\nQUIT",
    ],
)
def test_words_of_others_are_the_text_of_a_mail_and_no_header_of_it(mail: MailServer, words: str) -> None:
    from email.header import decode_header, make_header

    route = NoticeTo(
        notifier="airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        arguments={
            "from_email": "airflow@example.com",
            "to": "oncall@example.com",
            "subject": "{{ subject }}",
            "html_content": "{{ html }}",
            "custom_headers": {"X-Cause": "{{ cause }}"},
        },
    )
    notice = Notice(kind=NoticeKind.FAILED, subject=words, lead=words, cause=words, remedy="None")

    tell(built(route), {"dag": DAG("nightly", schedule=None)}, notices._given(notice, "nightly"))

    (sent,) = mail.mails
    assert " ".join(str(make_header(decode_header(sent["Subject"]))).split()) == one_line(words)
    assert sent["Bcc"] is None
    assert [name for name in sent if name.lower() not in MAIL_HEADERS] == []
    assert notices.escape(one_line(words)) in mail.texts()[0]
    assert "<script" not in mail.texts()[0]


MAIL_HEADERS = {"content-type", "mime-version", "subject", "from", "to", "date", "x-cause"}


def test_a_log_line_of_a_notice_that_nobody_is_told_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    from webflow_conversions.configuration import Configuration

    config = Configuration.model_validate(
        {
            "sources": [{"name": "a", "sql": "a.sql", "timestamps": {"kind": "aware"}}],
            "known_users": {"sql": "k.sql"},
        }
    )
    notice = Notice(kind=NoticeKind.FAILED, subject="it failed", lead="so\n2026-01-01 ERROR forged", cause="{{ 7 * 7 }}")
    notices._tell(config, lambda _: notice, "nightly", {})
    assert caplog.messages == [
        "nobody is told, since the configuration names no notices: it failed {{ 7 * 7 }} so 2026-01-01 ERROR forged"
    ]
