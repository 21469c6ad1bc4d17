/* A private copy of the PortAudio library, opened at run time.
 *
 * PortAudio keeps its state in static variables: one device list, fixed from Pa_Initialize to
 * Pa_Terminate, and one fate. A copy under an inode of its own gets static variables of its own,
 * so a new list needs no end of the streams that run, and a copy whose host died can be left
 * alone.
 */
#ifndef SA_PORTAUDIO_LIBRARY_H
#define SA_PORTAUDIO_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "portaudio_abi.h"

typedef struct {
    void *handle;

    PaError (*initialize)(void);
    PaError (*terminate)(void);
    const char *(*get_error_text)(PaError);
    const PaHostErrorInfo *(*get_last_host_error)(void);
    const PaHostApiInfo *(*get_host_api)(PaHostApiIndex);
    PaDeviceIndex (*get_device_count)(void);
    const PaDeviceInfo *(*get_device)(PaDeviceIndex);
    PaDeviceIndex (*get_default_input)(void);
    PaDeviceIndex (*get_default_output)(void);
    PaError (*open_stream)(PaStream **, const PaStreamParameters *, const PaStreamParameters *,
                           double, unsigned long, PaStreamFlags, PaStreamCallback *, void *);
    PaError (*start_stream)(PaStream *);
    PaError (*stop_stream)(PaStream *);
    PaError (*close_stream)(PaStream *);
    PaError (*is_stream_active)(PaStream *);
    const PaStreamInfo *(*get_stream_info)(PaStream *);
} sa_portaudio;

/* Opens a fresh copy of the library at `path` (NULL: where the system's linker finds it). On
 * failure returns false and says why in `reason`. */
bool sa_portaudio_load(sa_portaudio *library, const char *path, char *reason, size_t reason_bytes);
void sa_portaudio_unload(sa_portaudio *library);

#endif
