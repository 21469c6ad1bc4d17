#include "virtual_device.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "platform.h"
#include "realtime.h"

/* A freewheeling device that finds the ring full looks again after this long. */
static const int64_t ROOM_LOOK_NS = 200 * 1000;

struct sa_virtual_device {
    sa_clock *clock;
    sa_capture *capture;
    sa_virtual_settings settings;
    sa_fault *faults;
    size_t fault_count;
    sa_span *suspensions;
    size_t suspension_count;

    pthread_t thread;
    bool running;
    sa_sleeper *sleeper;
    _Atomic bool stop;
    _Atomic bool active;
    _Atomic bool suspended;

    /* The device thread's own. */
    float *period;
    size_t next_fault;
    size_t next_suspension;
    int64_t started_ns;
    int64_t frame; /* the next frame to be played, lost ones counted in */
    int64_t last_callback_ns;
    int64_t stalled_until_ns;
    uint32_t pending_flags;
    sa_fault_kind adc_fault; /* the last of those kinds; at first SA_FAULT_ADC_OFF by 0 */
    int64_t adc_fault_ns;    /* its amount, or the ADC time at which it came */
};

/* When the frame is at the converter, on the device's own clock. */
static int64_t converted_ns(const sa_virtual_device *device, int64_t frame) {
    const sa_virtual_settings *s = &device->settings;
    double rate = s->sample_rate * (1 + s->drift_ppm * 1e-6);
    return device->started_ns + (int64_t)((double)frame / rate * 1e9);
}

/* What the host says of it. */
static int64_t told_adc_ns(const sa_virtual_device *device, int64_t frame) {
    if (device->settings.latency_ns == SA_NO_LATENCY) {
        return 0;
    }
    int64_t converted = converted_ns(device, frame);
    switch (device->adc_fault) {
    case SA_FAULT_ADC_ZERO:
        return 0;
    case SA_FAULT_ADC_BACKWARDS:
        return 2 * device->adc_fault_ns - converted;
    default:
        return converted + device->adc_fault_ns;
    }
}

/* Relaxed, both: they say nothing of other memory, and the wake that follows ends a sleep. */
static bool stopped(sa_virtual_device *device) {
    return atomic_load_explicit(&device->stop, memory_order_relaxed);
}

static void set_active(sa_virtual_device *device, bool active) {
    atomic_store_explicit(&device->active, active, memory_order_relaxed);
}

/* Applies the faults that are due; false if the device is dead. */
static bool apply_faults(sa_virtual_device *device) {
    const sa_virtual_settings *s = &device->settings;
    while (device->next_fault < device->fault_count &&
           device->faults[device->next_fault].at_frame < device->frame + s->period) {
        const sa_fault *fault = &device->faults[device->next_fault++];
        switch ((sa_fault_kind)fault->kind) {
        case SA_FAULT_STALL: {
            int64_t now = sa_clock_now(device->clock);
            device->stalled_until_ns = now + fault->amount;
            break;
        }
        case SA_FAULT_LOSE_FLAGGED:
            device->pending_flags = SA_PACKET_OVERFLOW;
            device->frame += fault->amount * s->period;
            break;
        case SA_FAULT_LOSE:
            device->frame += fault->amount * s->period;
            break;
        case SA_FAULT_DIE:
            set_active(device, false);
            return false;
        case SA_FAULT_HANG:
            return false;
        case SA_FAULT_ADC_OFF:
        case SA_FAULT_ADC_ZERO:
        case SA_FAULT_ADC_BACKWARDS:
            device->adc_fault = (sa_fault_kind)fault->kind;
            device->adc_fault_ns = fault->kind == SA_FAULT_ADC_OFF
                                       ? fault->amount
                                       : converted_ns(device, device->frame);
            break;
        }
    }
    return true;
}

/* Sleeps until then; false if the device is to stop. */
static bool sleep_until(sa_virtual_device *device, int64_t when_ns) {
    while (!stopped(device) && sa_clock_now(device->clock) < when_ns) {
        sa_sleeper_sleep(device->sleeper, when_ns);
    }
    return !stopped(device);
}

/* When the period that ends at `end` frames is handed over: on the device's own clock, off by the
 * jitter, never before the one before it. */
static int64_t due_ns(sa_virtual_device *device, int64_t end) {
    const sa_virtual_settings *s = &device->settings;
    int64_t due = converted_ns(device, end);
    if (s->latency_ns != SA_NO_LATENCY) {
        due += s->latency_ns;
    }
    if (s->jitter_ns > 0) {
        due += (int64_t)(sa_uniform((uint64_t)end ^ sa_mix(s->seed)) * (double)s->jitter_ns);
    }
    due = due > device->stalled_until_ns ? due : device->stalled_until_ns;
    return due > device->last_callback_ns ? due : device->last_callback_ns;
}

static bool wait_for_room(sa_virtual_device *device, uint32_t count) {
    sa_capture *capture = device->capture;
    while (sa_ring_space(&capture->packets, 1) == 0 ||
           sa_ring_space(&capture->frames, count) < count) {
        if (!sleep_until(device, sa_clock_now(device->clock) + ROOM_LOOK_NS)) {
            return false;
        }
    }
    return !stopped(device);
}

static int64_t world_ns(const sa_virtual_device *device, int64_t when_ns) {
    return when_ns + sa_clock_suspended(device->clock);
}

/* Sleeps until a moment of the world's time, of which the machine may sleep through a part. */
static bool sleep_until_world(sa_virtual_device *device, int64_t when_ns) {
    bool on = !stopped(device);
    while (on && world_ns(device, sa_clock_now(device->clock)) < when_ns) {
        on = sleep_until(device, when_ns - sa_clock_suspended(device->clock));
    }
    return on;
}

static void leave(sa_virtual_device *device) {
    if (device->settings.leaving != SA_LEAVES_SILENT) {
        set_active(device, false);
    }
    if (device->settings.leaving == SA_LEAVES_TOLD) {
        sa_capture_finish(device->capture);
    }
}

typedef enum { GOES_ON, HAS_SLEPT, IS_GONE } presence;

/* Sleeps until a packet is due, unless the device goes or is suspended before: then that is done,
 * and the packet is another one, or none. */
static presence be_there_until(sa_virtual_device *device, int64_t due_ns) {
    const sa_virtual_settings *s = &device->settings;
    /* Once to know how long, and once for what a sleep of the machine has changed. */
    for (int look = 0; look < 2; look++) {
        int64_t due = world_ns(device, due_ns);
        const sa_span *span = device->next_suspension < device->suspension_count
                                  ? &device->suspensions[device->next_suspension]
                                  : NULL;
        if (span && due > span->from_ns && span->from_ns < s->leaves_ns) {
            int64_t until_ns = span->until_ns < s->leaves_ns ? span->until_ns : s->leaves_ns;
            device->next_suspension++;
            bool on = sleep_until_world(device, span->from_ns);
            atomic_store_explicit(&device->suspended, true, memory_order_relaxed);
            on = on && sleep_until_world(device, until_ns);
            atomic_store_explicit(&device->suspended, false, memory_order_relaxed);
            double passed = (double)(sa_clock_now(device->clock) - device->started_ns) * 1e-9;
            device->frame = (int64_t)(passed * s->sample_rate * (1 + s->drift_ppm * 1e-6));
            device->pending_flags |= SA_PACKET_SUSPENDED;
            return on ? HAS_SLEPT : IS_GONE;
        }
        if (due > s->leaves_ns) {
            if (sleep_until_world(device, s->leaves_ns)) {
                leave(device);
            }
            return IS_GONE;
        }
        if (!sleep_until(device, due_ns)) {
            return IS_GONE;
        }
    }
    return GOES_ON;
}

static void fill(sa_virtual_device *device, uint32_t count) {
    const sa_virtual_settings *s = &device->settings;
    sa_signal signal = (sa_signal)s->signal;
    if (sa_signal_is_of_time(signal)) {
        double step = 1 / (s->sample_rate * (1 + s->drift_ppm * 1e-6));
        double started = (double)world_ns(device, device->started_ns) * 1e-9;
        sa_signal_fill_at(signal, device->period, started + (double)device->frame * step, step,
                          count, s->channels, s->amplitude, s->seed);
    } else {
        sa_signal_fill(signal, device->period, device->frame, count, s->channels,
                       s->frequency / s->sample_rate, s->amplitude, s->seed);
    }
}

static void *run(void *argument) {
    sa_virtual_device *device = argument;
    const sa_virtual_settings *s = &device->settings;
    sa_ask_for_precise_timers();
    device->started_ns = sa_clock_now(device->clock);
    while (apply_faults(device) && (s->frames == 0 || device->frame < s->frames)) {
        uint32_t count = s->period;
        if (s->frames != 0 && s->frames - device->frame < count) {
            count = (uint32_t)(s->frames - device->frame);
        }
        int64_t end = device->frame + count;
        presence is;
        if (s->freewheel) {
            is = wait_for_room(device, count) ? GOES_ON : IS_GONE;
        } else {
            is = be_there_until(device, due_ns(device, end));
        }
        if (is == IS_GONE) {
            break;
        }
        if (is == HAS_SLEPT) {
            continue;
        }
        fill(device, count);
        sa_host_info host = {
            .host_frame = (uint32_t)device->frame,
            .host_adc_ns = told_adc_ns(device, device->frame),
            .host_now_ns = sa_clock_now(device->clock),
            .flags = device->pending_flags,
        };
        device->pending_flags = 0;
        device->last_callback_ns = sa_clock_now(device->clock);
        sa_capture_push(device->capture, device->period, count, &host);
        device->frame = end;
    }
    if (s->frames != 0 && device->frame >= s->frames) {
        /* It has said all it had to say: the reader may end after the last packet. */
        set_active(device, false);
        sa_capture_finish(device->capture);
    }
    /* A thread that ended must not hold virtual time up. */
    sa_sleeper_retire(device->sleeper);
    return NULL;
}

sa_virtual_device *sa_virtual_device_create(sa_clock *clock, sa_capture *capture,
                                            sa_virtual_settings settings, const sa_fault *faults,
                                            size_t fault_count, const sa_span *suspensions,
                                            size_t suspension_count) {
    sa_virtual_device *device = calloc(1, sizeof *device);
    if (!device) {
        return NULL;
    }
    device->clock = clock;
    device->capture = capture;
    capture->counted_by_host = true;
    capture->host_latency_ns = settings.latency_ns == SA_NO_LATENCY ? 0 : settings.latency_ns;
    device->settings = settings;
    device->adc_fault = SA_FAULT_ADC_OFF;
    device->period = calloc((size_t)settings.period * settings.channels, sizeof(float));
    device->faults = calloc(fault_count + 1, sizeof *faults);
    device->suspensions = calloc(suspension_count + 1, sizeof *suspensions);
    if (!device->period || !device->faults || !device->suspensions) {
        sa_virtual_device_destroy(device);
        return NULL;
    }
    if (fault_count > 0) {
        memcpy(device->faults, faults, fault_count * sizeof *faults);
    }
    device->fault_count = fault_count;
    if (suspension_count > 0) {
        memcpy(device->suspensions, suspensions, suspension_count * sizeof *suspensions);
    }
    device->suspension_count = suspension_count;
    device->stalled_until_ns = device->last_callback_ns = INT64_MIN;
    return device;
}

int sa_virtual_device_start(sa_virtual_device *device) {
    device->sleeper = sa_sleeper_create(device->clock);
    if (!device->sleeper) {
        return ENOMEM;
    }
    set_active(device, true);
    int error = pthread_create(&device->thread, NULL, run, device);
    device->running = error == 0;
    if (error) {
        sa_sleeper_destroy(device->sleeper);
        device->sleeper = NULL;
    }
    return error;
}

void sa_virtual_device_stop(sa_virtual_device *device) {
    if (!device->running) {
        return;
    }
    atomic_store_explicit(&device->stop, true, memory_order_relaxed);
    sa_sleeper_wake(device->sleeper);
    pthread_join(device->thread, NULL);
    device->running = false;
    set_active(device, false);
    sa_sleeper_destroy(device->sleeper);
    device->sleeper = NULL;
}

bool sa_virtual_device_active(sa_virtual_device *device) {
    return atomic_load_explicit(&device->active, memory_order_relaxed);
}

bool sa_virtual_device_suspended(sa_virtual_device *device) {
    return atomic_load_explicit(&device->suspended, memory_order_relaxed);
}

void sa_virtual_device_destroy(sa_virtual_device *device) {
    sa_virtual_device_stop(device);
    free(device->period);
    free(device->faults);
    free(device->suspensions);
    free(device);
}
