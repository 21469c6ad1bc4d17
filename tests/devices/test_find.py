"""A device that is meant, in whatever words: the one, or an error that says what there is."""

import re
from types import SimpleNamespace

import pytest

from stream_audio import (
    AmbiguousDeviceError,
    AudioSource,
    ConfigError,
    ConfigTypeError,
    DeviceNotFoundError,
    HostUnresponsiveError,
    InputDevice,
    StreamAudioError,
)
from stream_audio.devices import find
from stream_audio.devices.candidate import Candidate, Way, merge
from stream_audio.devices.find import full_name

JACK = "JACK Audio Connection Kit"


def device(name, host_api="ALSA", identity=None, source=None, way=Way.HARDWARE, default=False):
    identity = identity or f"{host_api}:{name}"
    shown = InputDevice(name, host_api, 2, 48_000, 0.01, 0.1, default, id=identity)
    return Candidate(shown, source or identity, way, native=object())


def listing(devices, others=(), failures=()):
    return SimpleNamespace(
        candidates=list(devices), every=[*devices, *others], failures=list(failures)
    )


def find_input(wanted, devices, **more):
    return find.find_input(wanted, listing(devices, **more))


DEVICES = [
    device("USB Mic"),
    device("usb mic"),
    device("USB Mic 2"),
    device("system"),
    device("system", JACK),
    device("Kamera Über"),
]
USB, LOWER, USB_2, ALSA_SYSTEM, JACK_SYSTEM, UMLAUT = DEVICES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("USB Mic", USB, id="exact"),
        pytest.param("usb mic", LOWER, id="exact, though others differ in case alone"),
        pytest.param("kamera über", UMLAUT, id="without regard to case"),
        pytest.param("KAMERA ÜBER", UMLAUT, id="upper case"),
        pytest.param(f"system, {JACK}", JACK_SYSTEM, id="with the host API"),
        pytest.param("SYSTEM, alsa", ALSA_SYSTEM, id="with the host API, in any case"),
        pytest.param("mic 2", USB_2, id="a part"),
        pytest.param("kamera", UMLAUT, id="the beginning"),
        pytest.param("jack", JACK_SYSTEM, id="a part of the host API"),
    ],
)
def test_the_device_that_is_meant(name, expected):
    assert find_input(name, DEVICES) is expected


def test_a_whole_name_wins_over_a_part_of_another():
    devices = [device("Mic 2"), device("Mic")]
    assert find_input("mic", devices) is devices[1]


@pytest.mark.parametrize("wanted", [USB, USB_2, ALSA_SYSTEM, JACK_SYSTEM, UMLAUT])
def test_each_device_can_be_had_by_its_full_name(wanted):
    devices = [one for one in DEVICES if one is not LOWER]
    assert find_input(full_name(wanted), devices) is wanted


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(ALSA_SYSTEM, id="host APIs differ"),
        pytest.param(JACK_SYSTEM, id="host APIs differ, the other one"),
        pytest.param(LOWER, id="only the case differs"),
    ],
)
def test_each_name_that_an_ambiguity_offers_is_a_way_out(wanted):
    with pytest.raises(AmbiguousDeviceError) as caught:
        find_input(wanted.name.upper(), DEVICES)
    assert full_name(wanted) in caught.value.hint
    assert find_input(full_name(wanted), DEVICES) is wanted


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        pytest.param("system", ["system, ALSA", f"system, {JACK}"], id="same name"),
        pytest.param("USB MIC", ["USB Mic, ALSA", "usb mic, ALSA"], id="differ in case"),
        pytest.param("mic", ["USB Mic, ALSA", "usb mic, ALSA", "USB Mic 2, ALSA"], id="a part"),
    ],
)
def test_an_ambiguous_name_lists_the_candidates(name, candidates):
    with pytest.raises(AmbiguousDeviceError, match=f"{len(candidates)} input devices") as caught:
        find_input(name, DEVICES)
    assert caught.value.hint == f"Give one of these: {'; '.join(candidates)}"
    assert repr(name) in str(caught.value)
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Kamara Uber", "Kamera Über, ALSA"),
        ("sistem", "system, ALSA"),
        ("USB Mick 2", "USB Mic 2, ALSA"),
        (f"sytem, {JACK}", f"system, {JACK}"),
    ],
)
def test_a_mistyped_name_is_answered_with_near_ones(name, meant):
    with pytest.raises(DeviceNotFoundError, match="no input device is called") as caught:
        find_input(name, DEVICES)
    assert caught.value.hint.startswith("Did you mean ")
    assert meant in caught.value.hint


@pytest.mark.parametrize("host_apis", [("ALSA", JACK), (JACK, "ALSA")])
def test_near_names_on_two_host_apis_are_both_offered(host_apis):
    devices = [device("system", host_api) for host_api in host_apis]
    with pytest.raises(DeviceNotFoundError) as caught:
        find_input("sistem", devices)
    assert "system, ALSA" in caught.value.hint
    assert f"system, {JACK}" in caught.value.hint


def test_a_name_like_no_other_is_answered_with_all_there_are():
    with pytest.raises(DeviceNotFoundError) as caught:
        find_input("xylophone", DEVICES)
    assert caught.value.hint == "There are: " + "; ".join(full_name(one) for one in DEVICES)


def test_devices_of_one_name_are_told_apart_by_their_ids():
    devices = [device("Monitor", identity="pulse:a"), device("Monitor", identity="pulse:b")]
    with pytest.raises(DeviceNotFoundError) as caught:
        find_input("xylophone", devices)
    assert caught.value.hint == "There are: pulse:a; pulse:b"


def test_no_input_device_at_all():
    with pytest.raises(DeviceNotFoundError, match="there is no input device") as caught:
        find_input("mic", [])
    assert "Connect a microphone" in caught.value.hint
    assert isinstance(caught.value, StreamAudioError)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param("ALSA:USB Mic", USB, id="id"),
        pytest.param(JACK_SYSTEM.device, JACK_SYSTEM, id="an InputDevice"),
        pytest.param(
            InputDevice("system", JACK, 9, 44_100, 0, 0, True), JACK_SYSTEM, id="made by hand"
        ),
        pytest.param(re.compile(r"^USB Mic$"), USB, id="pattern"),
        pytest.param(re.compile(r"system, J"), JACK_SYSTEM, id="pattern of the full name"),
        pytest.param(re.compile(r"^ALSA:sys"), ALSA_SYSTEM, id="pattern of the id"),
        pytest.param(lambda each: each.host_api == JACK, JACK_SYSTEM, id="function"),
    ],
)
def test_other_words_for_a_device(wanted, expected):
    AudioSource.device(wanted)
    assert find_input(wanted, DEVICES) is expected


@pytest.mark.parametrize(
    ("wanted", "candidates"),
    [
        (re.compile("USB"), "USB Mic, ALSA; USB Mic 2, ALSA"),
        (lambda each: each.name == "system", f"system, ALSA; system, {JACK}"),
    ],
)
def test_what_fits_several_lists_the_candidates(wanted, candidates):
    with pytest.raises(AmbiguousDeviceError, match="2 input devices fit") as caught:
        find_input(wanted, DEVICES)
    assert caught.value.hint == f"Give one of these: {candidates}"


def test_two_devices_of_one_name_are_told_apart_by_their_ids():
    twins = [device("Mic", identity=f"alsa:hw:CARD={card},DEV=0") for card in ("A", "B")]
    with pytest.raises(AmbiguousDeviceError) as caught:
        find_input("Mic", twins)
    assert caught.value.hint == "Give one of these: alsa:hw:CARD=A,DEV=0; alsa:hw:CARD=B,DEV=0"
    assert find_input(twins[1].id, twins) is twins[1]


@pytest.mark.parametrize(
    "wanted",
    [
        USB.device.__class__("gone", "ALSA", 2, 48_000, 0, 0, False, id="ALSA:gone"),
        re.compile("nothing like it"),
        lambda each: False,
    ],
)
def test_what_fits_none_says_what_there_is(wanted):
    with pytest.raises(DeviceNotFoundError, match="no input device") as caught:
        find_input(wanted, DEVICES)
    assert "USB Mic, ALSA" in caught.value.hint


@pytest.mark.parametrize("number", [0, 3, -1, True])
def test_a_number_is_refused_with_the_way_round(number):
    with pytest.raises(ConfigTypeError, match="does not identify a device") as caught:
        AudioSource.device(number)
    assert f"list_input_devices()[{number!r}]" in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (None, ConfigTypeError),
        (1.5, ConfigTypeError),
        (b"mic", ConfigTypeError),
        (re.compile(b"mic"), ConfigTypeError),
        ("  ", ConfigError),
    ],
)
def test_what_can_mean_no_device_is_refused_at_once(wrong, error):
    with pytest.raises(error):
        AudioSource.device(wrong)


def test_a_host_that_did_not_answer_is_named_where_its_device_is_not_found():
    hangs = HostUnresponsiveError("JACK does not answer")
    with pytest.raises(DeviceNotFoundError) as caught:
        find_input("studio", DEVICES, failures=[hangs])
    assert "JACK does not answer" in str(caught.value)


def test_each_source_is_listed_once_by_the_best_way_to_it():
    server = device("Built-in", "PulseAudio", "pulse:pci", "alsa:0,0", Way.SERVER)
    card = device("HDA: ALC (hw:0,0)", "ALSA", "alsa:hw:CARD=PCH,DEV=0", "alsa:0,0", default=True)
    other = device("USB (hw:1,0)", "ALSA", "alsa:hw:CARD=USB,DEV=0", "alsa:1,0")
    best, others = merge([[card, other], [server]])
    assert [(each.name, each.device.is_default) for each in best] == [
        ("Built-in", True),
        ("USB (hw:1,0)", False),
    ]
    assert [(each.name, each.device.is_default) for each in others] == [(card.name, False)]


def test_another_way_to_a_source_is_found_by_its_whole_name_only():
    server = device("Built-in", "PulseAudio", source="alsa:0,0", way=Way.SERVER)
    card = device("HDA: ALC (hw:0,0)", source="alsa:0,0")
    assert find_input("HDA: ALC (hw:0,0)", [server], others=[card]) is card
    assert find_input(card.id, [server], others=[card]) is card
    assert find_input(card.device, [server], others=[card]) is card
    with pytest.raises(DeviceNotFoundError):
        find_input("ALC", [server], others=[card])


def test_the_first_default_is_the_one():
    lists = [[device("a")], [device("b", default=True)], [device("c", default=True)]]
    best, _ = merge(lists)
    assert [each.name for each in best if each.device.is_default] == ["b"]
