/* A scripted device: a thread that pushes through the same capture_push as a sound card, with
 * drift, jitter, stalls and losses as told. Deterministic by seed on a virtual clock. */
#ifndef SA_VIRTUAL_DEVICE_H
#define SA_VIRTUAL_DEVICE_H

#include "capture.h"
#include "virtual_signal.h"

typedef enum {
    SA_FAULT_STALL = 0, /* `amount` ns without a callback, then all at once: nothing is lost */
    SA_FAULT_LOSE = 1,  /* `amount` periods never reach the callback; no flag */
    SA_FAULT_LOSE_FLAGGED = 2, /* the same, and the next callback carries the overflow flag */
    SA_FAULT_DIE = 3,          /* no callback ever again, and the device says it is dead */
    SA_FAULT_HANG = 4,         /* no callback ever again, and the device claims to be alive */
    SA_FAULT_ADC_OFF = 5,      /* from now on ADC times are `amount` ns too late; 0: right again */
    SA_FAULT_ADC_ZERO = 6,     /* from now on they are 0 */
    SA_FAULT_ADC_BACKWARDS = 7, /* from now on they run backwards */
} sa_fault_kind;

typedef struct {
    int64_t at_frame; /* happens before the period that holds this frame */
    int64_t amount;
    int32_t kind; /* sa_fault_kind */
} sa_fault;

/* How a device goes that leaves. */
typedef enum {
    SA_LEAVES_DEAD = 0,   /* it says that it is dead when it is asked */
    SA_LEAVES_TOLD = 1,   /* the host tells at once: the capture is finished */
    SA_LEAVES_SILENT = 2, /* it claims to be alive */
} sa_leaving;

/* A span of the world's time: the clock's, with the machine's sleep counted in. */
typedef struct {
    int64_t from_ns;
    int64_t until_ns;
} sa_span;

/* The device tells no ADC times, and hands each packet over as it is complete. */
#define SA_NO_LATENCY INT64_MIN

typedef struct {
    double sample_rate; /* nominal */
    double drift_ppm;   /* the device's clock against ours; positive: it runs fast */
    double frequency;
    double amplitude;
    int64_t frames;     /* ends after so many frames; 0: never */
    int64_t jitter_ns;  /* each callback is off by up to this much, either way */
    int64_t latency_ns; /* from the converter to the hand-over; SA_NO_LATENCY: no ADC times */
    uint64_t seed;
    int64_t leaves_ns; /* when it goes, in the world's time; SA_NEVER: it stays */
    uint32_t channels;
    uint32_t period;
    int32_t signal;  /* sa_signal */
    int32_t leaving; /* sa_leaving */
    bool freewheel;  /* as fast as the ring has room, instead of by the clock; loses nothing */
} sa_virtual_settings;

typedef struct sa_virtual_device sa_virtual_device;

/* `faults` (ordered by at_frame) and the spans in which it is suspended (in order, apart) are
 * copied. The capture must outlive the device. */
sa_virtual_device *sa_virtual_device_create(sa_clock *clock, sa_capture *capture,
                                            sa_virtual_settings settings, const sa_fault *faults,
                                            size_t fault_count, const sa_span *suspensions,
                                            size_t suspension_count);

/* Starts the device's thread; 0 or an errno. */
int sa_virtual_device_start(sa_virtual_device *device);

/* Stops the thread, if any, and waits for it. No callback runs after it returned. */
void sa_virtual_device_stop(sa_virtual_device *device);

/* False once it died or delivered its last frame. */
bool sa_virtual_device_active(sa_virtual_device *device);

/* Whether its host has put it to sleep. */
bool sa_virtual_device_suspended(sa_virtual_device *device);

void sa_virtual_device_destroy(sa_virtual_device *device);

#endif
