"""A device by its name: the one that is meant, or an error that says what there is."""

import pytest

from stream_audio import AmbiguousDeviceError, DeviceNotFoundError, StreamAudioError
from stream_audio._native.portaudio import NativeDevice
from stream_audio.devices.find import find_input, full_name

JACK = "JACK Audio Connection Kit"


def device(name, host_api="ALSA", channels=2):
    return NativeDevice(
        index=0,
        name=name,
        host_api=host_api,
        host_api_type=8,
        max_input_channels=channels,
        is_default_input=False,
        is_host_api_default_input=False,
        default_sample_rate=48_000.0,
        low_latency=0.01,
        high_latency=0.1,
    )


DEVICES = [
    device("USB Mic"),
    device("usb mic"),
    device("USB Mic 2"),
    device("system"),
    device("system", JACK),
    device("Kamera Über"),
    device("HDMI Out", channels=0),
]
USB, LOWER, USB_2, ALSA_SYSTEM, JACK_SYSTEM, UMLAUT, OUTPUT = DEVICES


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
    assert caught.value.hint == "There are: " + "; ".join(
        full_name(one) for one in DEVICES if one is not OUTPUT
    )


def test_an_output_is_not_found_nor_offered():
    with pytest.raises(DeviceNotFoundError) as caught:
        find_input("HDMI Out", DEVICES)
    assert "HDMI Out," not in caught.value.hint


@pytest.mark.parametrize("devices", [[], [OUTPUT]])
def test_no_input_device_at_all(devices):
    with pytest.raises(DeviceNotFoundError, match="there is no input device") as caught:
        find_input("mic", devices)
    assert "Connect a microphone" in caught.value.hint
    assert isinstance(caught.value, StreamAudioError)
