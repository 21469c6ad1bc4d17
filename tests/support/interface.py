"""Everything that users may rely on, as text: one line each, so that a difference is one line.

.venv/bin/python tests/support/interface.py        write tests/interface.txt anew
"""

import enum
import inspect
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import stream_audio
import stream_audio.nats
import stream_audio.testing

SNAPSHOT = Path(__file__).resolve().parents[1] / "interface.txt"
WIDTH = 99

HEAD = """\
# Everything public: names, signatures, defaults, fields, causes, options, keys of JSON.
# tests/test_interface.py compares it. A difference needs a line in CHANGELOG.md; then write it
# anew: .venv/bin/python tests/support/interface.py
"""


def lines() -> Iterator[str]:
    """Yield the whole of it."""
    yield from HEAD.splitlines()
    modules = {
        "stream_audio": stream_audio, "nats": stream_audio.nats, "testing": stream_audio.testing
    }  # fmt: skip
    for title, module in modules.items():
        yield from ("", f"[{title}]")
        for name in sorted({*module.__all__, *(["open"] if title == "stream_audio" else [])}):
            yield from _described(name, getattr(module, name))
    yield from ("", "[command line]")
    yield from _commands()
    yield from ("", "[keys of JSON]")
    yield from _keys()


def _described(name: str, value: Any) -> Iterator[str]:
    if not inspect.isclass(value):
        yield from _call(name, value)
        return
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    yield f"class {name}({bases})"
    if issubclass(value, enum.Enum):
        yield from (f"    {member.name} = {member.value!r}" for member in value)
        return
    yield from _call(f"    {name}", value)
    for attribute, found in sorted(_own(value).items()):
        if isinstance(found, property):
            yield f"    {attribute}: {found.fget.__annotations__.get('return', '?')}"
        elif isinstance(found, (staticmethod, classmethod)) or inspect.isfunction(found):
            function = getattr(value, attribute)
            kind = "async " if inspect.iscoroutinefunction(function) else ""
            yield from _call(f"    {kind}{attribute}", function)
        else:
            yield f"    {attribute} = {_plain(found)}"
    for attribute in sorted(_documented_attributes(value) - {*_own(value)}):
        yield f"    {attribute}"


def _own(cls: type) -> dict[str, Any]:
    """Return the public members that the class itself, or a private base of it, defines."""
    own: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is cls or base.__module__.startswith("stream_audio."):
            own.update(vars(base))
    fields = set(getattr(cls, "__dataclass_fields__", {}))
    return {
        name: found
        for name, found in own.items()
        if not name.startswith("_") and not (name in fields and not callable(found))
    }


def _documented_attributes(cls: type) -> set[str]:
    """Return the names in the section "Attributes" of a docstring."""
    pattern = r"Attributes\n\s*-+\n(.*?)(\n\s*\n\s*\w+\n\s*---|\Z)"
    section = re.search(pattern, cls.__doc__ or "", re.DOTALL)
    if section is None:
        return set()
    indented = re.findall(r"^ *([\w, ]+) : ", section[1], re.MULTILINE)
    return {name.strip() for names in indented for name in names.split(",")}


def _call(name: str, value: Any) -> Iterator[str]:
    """Yield a signature, on a line for each parameter if it is long."""
    signature = inspect.signature(value)
    parameters = [
        parameter.replace(
            default=_default(parameter.default), annotation=_annotation(parameter.annotation)
        )
        for each, parameter in signature.parameters.items()
        if not each.startswith("_")
    ]
    returned = _annotation(signature.return_annotation)
    whole = f"{name}{signature.replace(parameters=parameters, return_annotation=returned)}"
    if len(whole) <= WIDTH:
        yield whole
        return
    indent = " " * (len(name) - len(name.lstrip()) + 4)
    yield f"{name}("
    before = None
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and before is not parameter.kind:
            yield f"{indent}*"
        before = parameter.kind
        yield f"{indent}{parameter}"
    yield f"{indent[4:]}) -> {returned!r}"


class _Written:
    """Stands in a signature as it is written down."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _default(value: object) -> object:
    return value if value is inspect.Parameter.empty else _Written(_plain(value))


def _annotation(value: object) -> object:
    return _Written(value) if isinstance(value, str) else value


def _plain(value: object) -> str:
    return re.sub(r"<factory>|<function (\S+) at 0x\w+>|<.* at 0x\w+>", r"<\1>", repr(value))


def _commands() -> Iterator[str]:
    import typer

    from stream_audio.cli.app import app

    group: Any = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        yield f"stream-audio {name}"
        for parameter in command.params:
            options = [each for each in parameter.opts if each.startswith("-")]
            names = ", ".join(options) or parameter.name.upper()
            yield f"    {names} = {_plain(parameter.default)}"


def _keys() -> Iterator[str]:
    source = stream_audio.AudioSource.virtual("sine", frames=4800, pace="freewheel")
    sink = stream_audio.CallbackSink(lambda chunk: None)
    with tempfile.TemporaryDirectory() as folder:
        file = stream_audio.FileSink(f"{folder}/a.wav", ledger=True)
        with stream_audio.open(source, sinks=[sink, file]) as session:
            session.wait()
        ledger = json.loads(Path(f"{folder}/a.wav.json").read_text(encoding="utf-8"))
        mended = stream_audio.repair(f"{folder}/a.wav")
    for title, made in (
        ("report.to_dict()", session.report().to_dict()),
        ("stats().to_dict()", session.stats().to_dict()),
        ("ledger of a file", ledger),
        ("repair(path).to_dict()", mended.to_dict()),
    ):
        yield title
        yield from (f"    {path}" for path in sorted(set(_paths(json.loads(json.dumps(made))))))


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = "*" if path in (".sources", ".sinks") else key
            yield from _paths(inner, f"{path}.{name}")
    else:
        yield path.removeprefix(".")


def text() -> str:
    """Return the snapshot."""
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(text(), encoding="utf-8")
