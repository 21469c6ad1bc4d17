"""PipeWire in PulseAudio's place: pipewire, WirePlumber and pipewire-pulse of the test's own."""

from pathlib import Path

from support.processes import require_program
from support.pulse import PulseAudio

# pipewire-pulse takes the shell's place, so that it is what is killed; the kernel then ends the
# others (PR_SET_PDEATHSIG).
_START = """
until_there() {
    while [ ! -S "$1" ]; do sleep .02; done
}
rm -f "$HOME/bus" "$HOME/pipewire-0" # what a killed one has left
setpriv --pdeathsig TERM dbus-daemon --session --nofork --address="unix:path=$HOME/bus" &
until_there "$HOME/bus"
setpriv --pdeathsig TERM pipewire &
until_there "$HOME/pipewire-0"
setpriv --pdeathsig TERM wireplumber &
exec pipewire-pulse
"""


class PipeWire(PulseAudio):
    """As `PulseAudio`, with the same sinks; pipewire-pulse is what clients meet and tests kill."""

    program = "pipewire-pulse"
    package = "pipewire-pulse"

    @property
    def _socket(self) -> Path:
        return self.folder / "run" / "native"

    def _prepare(self) -> None:
        super()._prepare()
        self.folder.chmod(0o700)
        # Without Bluetooth: for it WirePlumber 0.4 watches logind, and ends where there is none,
        # as in a container. A file of one's own takes the place of the system's of that name.
        bluetooth = self.folder / "wireplumber" / "bluetooth.lua.d"
        bluetooth.mkdir(parents=True)
        (bluetooth / "90-enable-all.lua").write_text("-- nothing is enabled\n")

    def _command(self) -> list[str]:
        self._loaded = False
        for program in ("pipewire", "wireplumber", "dbus-daemon"):
            require_program(program, program)
        return ["sh", "-c", _START]

    def _server_environment(self) -> dict[str, str]:
        return super()._server_environment() | {
            "PIPEWIRE_RUNTIME_DIR": str(self.folder),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.folder}/bus",
        }

    def _answers(self) -> bool:
        if not self._responds():
            return False
        if not self._loaded:
            # WirePlumber, which comes up later, makes the first of them the default.
            for sink in self.sinks:
                self.load_sink(sink)
            self._loaded = True
        if f"Default Sink: {self.sinks[0]}\n" not in self.ask("info"):
            return False
        # Newer ones, 1.6 say, make no monitor the default source unless it was chosen.
        self.ask("set-default-source", f"{self.sinks[0]}.monitor")
        return f"Default Source: {self.sinks[0]}.monitor\n" in self.ask("info")
