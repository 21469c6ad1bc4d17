/* How long before its hand-over the last frame of a packet was at the converter, by the host's
 * own word.
 *
 * PortAudio passes two times on with each packet: when its first frame was at the converter, and
 * what the host's clock said just before the callback. Their difference is the packet's length and
 * the age of its last frame, in which the lateness of the callback is contained; so where it can
 * be believed, times are free of the callbacks' jitter. Often it cannot be: some hosts say 0, and
 * PulseAudio's ALSA plugin is wrong by half a second while its sink wakes up and gives the second
 * packet of a pair no age at all. So an ADC time counts only if it is plausible:
 *   - it is not 0, and later than that of the packet before;
 *   - the first frame is not younger than the packet is long: its last frame has to have come;
 *   - nor older than the packet and the latency that the host reports, with some slack.
 *
 * The first packet says whether ADC times are used; after a second nearly all packets have to say
 * so, for good. So the times jump once at most, at their beginning: a jump in mid-stream would
 * harm whoever aligns two sources more than a constant error. Where they are used, a packet whose
 * own is not plausible is taken to be as late as the others were on the average. Each packet has
 * an age of its own, as a latency measured once would carry the jitter of that moment for ever.
 *
 * The times of a feed are the program's own, which knows best: they count whatever they say.
 */
#ifndef SA_ADC_H
#define SA_ADC_H

#include "capture.h"

typedef struct {
    bool used; /* the times of the capture are those at the converter */
    double
        age_ns; /* of the last packet's last frame at its hand-over; 0 if ADC times are not used */

    double frame_ns;
    double oldest_ns; /* age of a last frame that is believed at most */
    bool trusted;     /* any is */
    int64_t last_adc_ns;
    double mean_age_ns; /* of the plausible packets */
    int64_t plausible;
    int64_t packets; /* so far, until it is decided */
    int64_t first_entry_ns;
    bool decided;
} sa_adc;

/* `latency_ns` is the input latency that the host reports, 0 if it reports none; SA_ANY_AGE: every
 * time that is told is believed. */
#define SA_ANY_AGE INT64_MAX
void sa_adc_init(sa_adc *adc, double sample_rate, int64_t latency_ns);

/* Takes a packet's times in; then `age_ns` is that of its last frame. True if what it says of the
 * packets before has changed: times jump. */
bool sa_adc_take(sa_adc *adc, const sa_packet *packet);

#endif
