"""Files that people write: their text, and YAML as a model. A mistake is one sentence (``errors.Unusable``)."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from errno import EFBIG, EINVAL
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from webflow_conversions.errors import Unusable

M = TypeVar("M", bound=BaseModel)

LARGEST_FILE = 1024 * 1024
"""Greatest size of a file, in bytes."""

_LONGEST_SHOWN = 60


def read_text(path: Path, name: str) -> str:
    """The text of a file, without a byte order mark. What is no file, such as a device, is not even opened.

    :param name: of the file, for people.
    :raises OSError: if it cannot be read, or is larger than ``LARGEST_FILE``; :func:`why` says it in words.
    :raises Unusable: if it is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "it is no file")
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(EFBIG, f"it has more than {LARGEST_FILE:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise Unusable(f"{name} is UTF-16: save it as UTF-8.") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise Unusable(f"{name} is not UTF-8 in line {line}: save it as UTF-8.") from error


def why(error: OSError) -> str:
    """The reason without the file's name."""
    return error.strerror or str(error)


class Loader(yaml.SafeLoader):
    """YAML as data: a key that is written twice is a mistake, and a date is left to the field that it is for.

    Only ``true`` and ``false`` are Booleans, as in YAML 1.2: the key ``on`` is a word.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - so the base class has it
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag != "tag:yaml.org,2002:timestamp" and (tag != "tag:yaml.org,2002:bool" or first in "tTfF")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse(path: Path, model: type[M], what: str, *, remedy: str = "", forms: Mapping[str, str] = MappingProxyType({})) -> M:
    """The content of a YAML file, as a model.

    :param what: what the file is, for people.
    :param remedy: the end of the sentence about a file that cannot be read.
    :param forms: what patterns of the model's texts ask for, in words.
    :raises Unusable: if it cannot be read, or is wrong.
    """
    try:
        text = read_text(path, f"The {what} {path}")
    except OSError as error:
        raise Unusable(f"The {what} {path} cannot be read ({why(error)}){remedy}.") from error
    try:
        document = yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unusable(
            f"The {what} {path} is no YAML in line {line}: it has the character U+{error.character:04X}, which cannot be seen: "
            "take it out."
        ) from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line_s = f" in line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        before = f"{getattr(error, 'context', None)}, " if problem.startswith("but ") else ""
        raise Unusable(f"The {what} {path} is no YAML{line_s}: {before}{problem}.") from error
    except (ValueError, RecursionError):  # of Python, at a number of thousands of digits, and at thousands of brackets
        raise Unusable(
            f"The {what} {path} is no YAML that can be read: a number in it is too long, or it is nested too deep."
        ) from None
    if not isinstance(document, dict):
        needed = [name for name, field in model.model_fields.items() if field.is_required()]
        raise Unusable(f"The {what} {path} is no mapping with {', '.join(needed[:-1])} and {needed[-1]}.")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = _first(error.errors(include_url=False))
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise Unusable(
            f"The {what} {path} is wrong at {_place(first['loc'], document)}: {_sentence(first, model, forms)}{more}."
        ) from error


def _place(location: Sequence[int | str], document: Any) -> str:
    parts: list[str] = []
    for step in location:
        if isinstance(step, int) and not isinstance(document, dict):
            try:
                document = document[step]
            except (LookupError, TypeError):
                document = None
            name = document.get("name") if isinstance(document, dict) else None
            parts.append(f"[{name if isinstance(name, str) and name.isprintable() and name else step + 1}]")
        else:
            document = document.get(step) if isinstance(document, dict) else None
            key = str(step)
            shown = key if key.isprintable() and not _may_hold_login(key) else "a key"
            parts.append(f".{shown}" if parts else shown)
    return "".join(parts) or "the top"


def _part_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel]:
    """The model of the mapping at a place of the document."""
    for step in location:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        model = next(_models_in(field.annotation), model) if field else model
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models within a type, such as that of a list's entries."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for within in get_args(annotation):
        yield from _models_in(within)


def _meant(key: int | str, keys: Iterable[str]) -> str | None:
    """The key for which another one was probably written."""
    word = str(key).lower().replace("-", "_").replace(" ", "_")
    return next(iter(get_close_matches(word, list(keys), n=1, cutoff=0.6)), None)


def _first(errors: Sequence[Any]) -> Any:
    """The error to tell: of a key that is missing, the one that was written in its place."""
    first = errors[0]
    if first["type"] == "missing":
        *inside, missing = first["loc"]
        for error in errors:
            *where, key = error["loc"]
            if error["type"] == "extra_forbidden" and where == inside and _meant(key, [missing]):
                return error
    return first


def _about_unknown(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """What to write in place of a key that is not known."""
    *inside, key = location
    fields = _part_at(model, inside).model_fields
    if meant := _meant(key, fields):
        return f"this key is not known: write {meant}"
    for name, field in fields.items():
        if any(key in within.model_fields for within in _models_in(field.annotation)):
            return f"this key is not known here: it belongs under {name}"
    return f"this key is not known: choose from {', '.join(fields)}"


def _sentence(error: Any, model: type[BaseModel], forms: Mapping[str, str]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return _about_unknown(error["loc"], model)
        case "invalid_key":
            return f"a key has to be text, not {_shown(error['input'])}: write it in quotes"
        case "missing":
            return "this key is missing"
        case "string_pattern_mismatch" if error["ctx"]["pattern"] in forms:
            return f"{forms[error['ctx']['pattern']]}, not {_shown(error['input'])}"
        case "too_short":
            return "it needs at least one entry"
        case "model_type":
            return f"this should be a mapping of keys, not {_shown(error['input'])}"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            message = error["msg"]
            return f"{message[0].lower()}{message[1:]}, not {_shown(error['input'])}"


def _shown(given: Any) -> str:
    """What stands there; of what is long or may hold a login its kind alone, since sentences reach the page and mails."""
    if isinstance(given, dict | list):
        return "a mapping" if isinstance(given, dict) else "a list"
    shown = repr(given)
    return "this text" if _may_hold_login(shown) else shown


def _may_hold_login(text: str) -> bool:
    return len(text) > _LONGEST_SHOWN or "@" in text or "://" in text
