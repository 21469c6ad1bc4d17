"""Which PortAudio is opened: the one that the user names, the package's own, the system's."""

import os

import pytest

import stream_audio
from stream_audio import BackendError
from stream_audio._native import portaudio
from support.stubborn import DEVICE, build_library


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(autouse=True)
def no_wish(monkeypatch):
    monkeypatch.delenv(portaudio.LIBRARY_VARIABLE, raising=False)


def names():
    return [device.name for device in stream_audio.list_input_devices()]


def test_the_packaged_library_is_opened_before_the_systems(library, monkeypatch):
    monkeypatch.setattr(portaudio, "PACKAGED_LIBRARY", library)
    assert names() == [DEVICE]


def test_the_library_that_the_user_names_comes_first(library, monkeypatch):
    monkeypatch.setattr(portaudio, "PACKAGED_LIBRARY", library)
    monkeypatch.setenv(portaudio.LIBRARY_VARIABLE, "/nonexistent/libportaudio.so.2")
    with pytest.raises(BackendError) as caught:
        names()
    assert "/nonexistent/libportaudio.so.2" in caught.value.host_text


def test_without_either_the_system_is_asked(library, monkeypatch):
    monkeypatch.setattr(portaudio, "PACKAGED_LIBRARY", library.with_name("gone.so"))
    assert portaudio.library_path() is None


def test_a_path_in_any_encoding_is_found(library, monkeypatch, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.so")
    odd.write_bytes(library.read_bytes())
    monkeypatch.setattr(portaudio, "PACKAGED_LIBRARY", odd)
    assert names() == [DEVICE]


def test_no_host_api_at_all_is_told_as_no_audio_backend(library, monkeypatch):
    monkeypatch.setattr(portaudio, "PACKAGED_LIBRARY", library)
    monkeypatch.setenv("STUBBORN", "initialize")
    with pytest.raises(BackendError, match="no audio backend") as caught:
        names()
    assert "libasound2" in caught.value.hint
