/* In the place of PortAudio's debug messages, which would go to the terminal and are a third of
 * its size. What a program must know comes as an error, with the host's own words. */
void stream_audio_quiet(void);
void stream_audio_quiet(void) {
}
