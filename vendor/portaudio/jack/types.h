/* JACK's types and constants, as far as PortAudio's JACK part uses them; see jack.h. */
#ifndef STREAM_AUDIO_JACK_TYPES_H
#define STREAM_AUDIO_JACK_TYPES_H

#include <pthread.h> /* as JACK's own header does, which PortAudio counts on */
#include <stdint.h>

typedef struct _jack_client jack_client_t;
typedef struct _jack_port jack_port_t;
typedef uint32_t jack_nframes_t;
typedef float jack_default_audio_sample_t;
typedef int jack_options_t; /* an enumeration there: passed as an int */
typedef int jack_status_t;  /* likewise, a set of bits */

enum { JackNoStartServer = 1 };                           /* of jack_options_t */
enum { JackPortIsInput = 1, JackPortIsOutput = 2 };       /* of a port's flags */
#define JACK_DEFAULT_AUDIO_TYPE "32 bit float mono audio" /* the type of an audio port */

typedef int (*JackProcessCallback)(jack_nframes_t, void *);
typedef int (*JackSampleRateCallback)(jack_nframes_t, void *);
typedef int (*JackXRunCallback)(void *);
typedef void (*JackShutdownCallback)(void *);
typedef void (*JackErrorCallbackFunction)(const char *);

#endif
