"""What ALSA has is known without opening anything, from /proc/asound and the last listing."""

import pytest

from stream_audio import InputDevice
from stream_audio.devices.alsa_cards import LastListing
from stream_audio.devices.candidate import Candidate, Way

CARDS = """\
 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xf7c10000 irq 33
 1 [Mic            ]: USB-Audio - Røde NT-USB
                      RØDE Microphones at usb-0000:00:14.0-2, high speed
"""
PCM = """\
00-00: ALC892 Analog : ALC892 Analog : playback 1 : capture 1
00-03: HDMI 0 : HDMI 0 : playback 1
01-00: USB Audio : USB Audio : playback 1 : capture 1
"""
STREAM = """\
RØDE Microphones at usb-0000:00:14.0-2, high speed : USB Audio

Playback:
  Interface 1
    Channels: 2
    Rates: 48000

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: S24_3LE
    Channels: 1
    Rates: 44100, 48000
"""


def known(name, identity, way, channels=4):
    shown = InputDevice(name, "ALSA", channels, 44_100, 0.02, 0.2, False, id=identity)
    return Candidate(shown, identity, way, native=object())


PLUGIN = known("upmix", "alsa:upmix", Way.PLUGIN)
CARD = known("HDA Intel PCH: ALC892 Analog (hw:0,0)", "alsa:hw:CARD=PCH,DEV=0", Way.HARDWARE)
GONE = known("Old: Mic (hw:5,0)", "alsa:hw:CARD=Old,DEV=0", Way.HARDWARE)


@pytest.fixture
def cards(tmp_path):
    (tmp_path / "cards").write_text(CARDS, "utf-8")
    (tmp_path / "pcm").write_text(PCM, "utf-8")
    for number, identity in (("0", "PCH"), ("1", "Mic")):
        (tmp_path / f"card{number}").mkdir()
        (tmp_path / f"card{number}" / "id").write_text(f"{identity}\n", "utf-8")
    (tmp_path / "card1" / "stream0").write_text(STREAM, "utf-8")
    return tmp_path


def test_cards_are_those_that_are_there_and_plug_ins_those_that_were(cards):
    listing = LastListing()
    listing.remember([PLUGIN, CARD, GONE])
    built_in, usb, plugin = listing.now(cards)
    assert built_in.device == CARD.device  # what PortAudio said of it
    assert plugin.device == PLUGIN.device
    assert (usb.name, usb.id) == ("Røde NT-USB: USB Audio (hw:1,0)", "alsa:hw:CARD=Mic,DEV=0")
    assert (usb.device.channels, usb.device.sample_rate, usb.source) == (1, 44_100, "alsa:1,0")


def test_a_card_that_was_never_listed_has_what_is_usual(cards):
    built_in, _ = LastListing().now(cards)
    assert (built_in.name, built_in.id) == (CARD.name, CARD.id)
    assert (built_in.device.channels, built_in.device.sample_rate) == (2, 48_000)


def test_other_settings_of_alsa_make_the_last_listing_worthless(cards, monkeypatch):
    listing = LastListing()
    listing.remember([PLUGIN])
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(cards / "another"))
    assert PLUGIN.id not in [each.id for each in listing.now(cards)]


def test_a_machine_without_sound_cards_has_none(tmp_path):
    assert LastListing().now(tmp_path / "nothing") == []
