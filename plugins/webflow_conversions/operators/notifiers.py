"""Airflow's notifiers, as the configuration names them: which classes are taken, and how a notice gets into their arguments."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from webflow_conversions.errors import ConversionsError, Unusable, described, first_line, without_data

if TYPE_CHECKING:
    from webflow_conversions.configuration import NoticeTo

_REMEDY = "Install its provider, or correct its path and arguments."


def built(route: NoticeTo) -> BaseNotifier:
    """The notifier of an entry of ``notices``.

    Its module is imported, which runs it, as Airflow does with every module of a Dag; a module of Python's own library and a
    program (``__main__``) are refused before. Of what the module has, a subclass of Airflow's ``BaseNotifier`` alone is called.

    :raises Unusable: if there is no such class here, it is no notifier, or it does not take the arguments.
    """
    notifier = _class_of(route)
    try:
        return notifier(**route.arguments)
    except Exception as error:
        raise _unusable(route, error) from error


def tell(notifier: BaseNotifier, context: Mapping[str, Any], values: Mapping[str, str]) -> None:
    """Let a notifier tell a notice: its arguments are templates, the values are text and are never rendered themselves.

    :param context: of the callback.
    """
    dag = context.get("dag")
    given: Any = dict(context) | dict(values)
    # The Dag's own environment evaluates what a template results in, as Python.
    notifier.render_template_as_native_obj = False  # type: ignore[attr-defined]
    sandbox = notifier.get_template_env() if dag is None else dag.get_template_env(force_sandboxed=True)
    notifier.render_template_fields(given, sandbox)
    notifier.notify(given)


def trouble_of(error: BaseException) -> str:
    """What went wrong in a notifier, as the end of a sentence: without its text, since that may hold the address of a webhook,
    which is a secret, or those of people. The codes of HTTP and SMTP are told, and what Jinja says of a template.
    """
    if isinstance(error, ConversionsError):
        return str(error).rstrip(".")
    code = getattr(error, "smtp_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    words = f": {first_line(error)}" if type(error).__module__.startswith("jinja2.") else ""
    return f"{f'code {code}, ' if code else ''}{described(error)}{words}"


def one_line(text: str) -> str:
    """The text without line breaks and other control characters, which would end the header of a mail."""
    readable = text.encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in readable).split())


def _class_of(route: NoticeTo) -> type[BaseNotifier]:
    module, _, name = route.notifier.rpartition(".")
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names or "__main__" in parts:
        raise _no_notifier(route, "it is none of Airflow's, and was not imported")
    try:
        found = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:
        raise _unusable(route, error) from error
    if not inspect.isclass(found) or not issubclass(found, BaseNotifier):
        raise _no_notifier(route, "it is no subclass of airflow.sdk.BaseNotifier")
    if inspect.isabstract(found) or found.notify is BaseNotifier.notify:
        raise _no_notifier(route, "it has no notify() of its own")
    return found


def _no_notifier(route: NoticeTo, why: str) -> Unusable:
    return Unusable(f"The notifier {route.notifier} of the configuration is no notifier: {why}. Name a notifier's class.")


def _unusable(route: NoticeTo, error: BaseException) -> Unusable:
    """The sentence, without what an argument holds: a webhook's address is a secret."""
    known = re.findall(r"\w+", f"{route.notifier} {' '.join(route.arguments)}".lower())
    what = without_data(first_line(error), known)
    return Unusable(f"The notifier {route.notifier} of the configuration cannot be used here: {what}. {_REMEDY}")
