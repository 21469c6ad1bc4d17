"""Record a meeting into a folder: your side, the others' side, and both mixed.

python examples/meeting.py standup
"""

import sys

import stream_audio

with stream_audio.record_meeting(sys.argv[1]) as meeting:
    input("Recording. Press Enter to end the meeting.")
print(meeting.report())
