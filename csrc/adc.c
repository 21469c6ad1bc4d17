#include "adc.h"

#include <math.h>

/* A callback may be later than the host's own figure allows for, and still be believed. */
static const double SLACK_NS = 25e6;

/* Rounding: a last frame may seem to come so much after its hand-over, and by no more than this
 * part of its packet. (A JACK client's port has no latency at all: that is no converter.) */
static const double ROUNDING_NS = 0.5e6;
static const double ROUNDING_PART = 0.25;

/* It is decided after this time and so many packets, by this majority: a host that is right once
 * and wrong once, as PulseAudio's ALSA plugin, is right by chance. */
static const int64_t TRIAL_NS = 1000 * 1000 * 1000;
enum { TRIAL_PACKETS = 8 };
static const double MAJORITY = 0.95;

/* The mean age forgets over so many packets. */
static const double MEMORY_PACKETS = 1000;

void sa_adc_init(sa_adc *adc, double sample_rate, int64_t latency_ns) {
    *adc = (sa_adc){
        .frame_ns = 1e9 / sample_rate,
        .oldest_ns = (double)latency_ns + SLACK_NS,
        .trusted = latency_ns == SA_ANY_AGE,
        .last_adc_ns = INT64_MIN,
    };
}

/* The age of the packet's last frame at its hand-over, or NaN if it is not plausible. */
static double plausible_age(sa_adc *adc, const sa_packet *packet) {
    double length = packet->frames * adc->frame_ns;
    if (adc->trusted && packet->host_adc_ns != 0) {
        return (double)(packet->host_now_ns - packet->host_adc_ns) - length;
    }
    bool later = packet->host_adc_ns > adc->last_adc_ns;
    adc->last_adc_ns = packet->host_adc_ns;
    if (!later || packet->host_adc_ns == 0 || packet->host_now_ns < packet->host_adc_ns) {
        return NAN;
    }
    /* Unsigned: a broken host's times may be centuries apart. */
    uint64_t since_adc = (uint64_t)packet->host_now_ns - (uint64_t)packet->host_adc_ns;
    double age = (double)since_adc - length;
    double youngest = -fmin(ROUNDING_NS, ROUNDING_PART * length);
    return age >= youngest && age <= adc->oldest_ns ? age : NAN;
}

/* Whether ADC times are to be used, as far as is known; true if that is another answer. */
static bool decide(sa_adc *adc, const sa_packet *packet) {
    if (adc->packets++ == 0) {
        adc->first_entry_ns = packet->entry_ns;
        adc->used = adc->plausible > 0;
        return false; /* nothing has been said yet */
    }
    if (adc->packets < TRIAL_PACKETS || packet->entry_ns - adc->first_entry_ns < TRIAL_NS) {
        return false;
    }
    adc->decided = true;
    bool before = adc->used;
    adc->used = (double)adc->plausible >= MAJORITY * (double)adc->packets;
    return adc->used != before;
}

bool sa_adc_take(sa_adc *adc, const sa_packet *packet) {
    if (adc->decided && !adc->used) {
        return false;
    }
    double age = plausible_age(adc, packet);
    if (!isnan(age)) {
        adc->plausible++;
        double weight = 1 / fmin((double)adc->plausible, MEMORY_PACKETS);
        adc->mean_age_ns += weight * (age - adc->mean_age_ns);
    }
    bool changed = !adc->decided && decide(adc, packet);
    adc->age_ns = !adc->used ? 0 : isnan(age) ? adc->mean_age_ns : age;
    return changed;
}
