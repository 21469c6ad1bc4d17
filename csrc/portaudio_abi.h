/* PortAudio's binary interface, as far as this library uses it.
 *
 * Facts of the interface in our own words, so that no header of PortAudio is needed to build.
 * PortAudio has kept them since version 19.6.0 (2016). "docs" in what follows is the manual that
 * the project publishes: www.portaudio.com/docs/v19-doxydocs/portaudio_8h.html, where each name
 * has an entry of its own. tests/native/test_portaudio_abi.py compares sizes, offsets, constants
 * and prototypes with the header of the system, where there is one.
 */
#ifndef SA_PORTAUDIO_ABI_H
#define SA_PORTAUDIO_ABI_H

/* Results: 0 or more is success, less is an error (docs: PaError, PaErrorCode). */
typedef int PaError;
enum {
    paNoError = 0,
    paUnanticipatedHostError = -9999, /* Pa_GetLastHostErrorInfo has the host's own error */
    paInvalidChannelCount = -9998,
    paInvalidSampleRate = -9997,
    paInternalError = -9986,
    paDeviceUnavailable = -9985,
    paHostApiNotFound = -9979,
};

/* Places in the lists that hold from Pa_Initialize to Pa_Terminate (docs: PaDeviceIndex). */
typedef int PaDeviceIndex;
typedef int PaHostApiIndex;
enum { paNoDevice = -1 };

/* Kinds of host API (docs: PaHostApiTypeId). An enumeration in C, so as wide as an int. */
typedef enum {
    paALSA = 8,
    paJACK = 12,
} PaHostApiTypeId;

/* Seconds on a clock of the host API's own (docs: PaTime). */
typedef double PaTime;

/* Samples as floats from -1 to 1; channels interleaved (docs: PaSampleFormat). */
typedef unsigned long PaSampleFormat;
#define paFloat32 ((PaSampleFormat)1)

/* Asks for samples as they are: neither clipped nor dithered (docs: PaStreamFlags). */
typedef unsigned long PaStreamFlags;
#define paClipOff ((PaStreamFlags)1)
#define paDitherOff ((PaStreamFlags)2)

/* What a callback is told (docs: PaStreamCallbackFlags) and what it answers (docs:
 * PaStreamCallbackResult). */
typedef unsigned long PaStreamCallbackFlags;
#define paInputOverflow ((PaStreamCallbackFlags)2)
#define paOutputUnderflow ((PaStreamCallbackFlags)4)
enum { paContinue = 0 };

/* The structures, each under its name in docs. Some begin with the version of their layout. */
typedef struct PaHostApiInfo { /* version 1 */
    int structVersion;
    PaHostApiTypeId type;
    const char *name; /* UTF-8 */
    int deviceCount;
    PaDeviceIndex defaultInputDevice;
    PaDeviceIndex defaultOutputDevice;
} PaHostApiInfo;

typedef struct PaDeviceInfo { /* version 2 */
    int structVersion;
    const char *name; /* UTF-8 */
    PaHostApiIndex hostApi;
    int maxInputChannels;
    int maxOutputChannels;
    PaTime defaultLowInputLatency;
    PaTime defaultLowOutputLatency;
    PaTime defaultHighInputLatency;
    PaTime defaultHighOutputLatency;
    double defaultSampleRate;
} PaDeviceInfo;

typedef struct PaHostErrorInfo {
    PaHostApiTypeId hostApiType;
    long errorCode;
    const char *errorText; /* may be empty; holds until the next call */
} PaHostErrorInfo;

typedef struct PaStreamParameters {
    PaDeviceIndex device;
    int channelCount;
    PaSampleFormat sampleFormat;
    PaTime suggestedLatency;
    void *hostApiSpecificStreamInfo; /* NULL: none */
} PaStreamParameters;

typedef struct PaStreamInfo { /* version 1; as the host reports them once the stream is open */
    int structVersion;
    PaTime inputLatency;
    PaTime outputLatency;
    double sampleRate;
} PaStreamInfo;

typedef struct PaStreamCallbackTimeInfo {
    PaTime inputBufferAdcTime;
    PaTime currentTime;
    PaTime outputBufferDacTime;
} PaStreamCallbackTimeInfo;

/* A stream; only PortAudio sees into it (docs: PaStream). */
typedef void PaStream;

/* Called on the host's audio thread (docs: PaStreamCallback). */
typedef int PaStreamCallback(const void *input, void *output, unsigned long frameCount,
                             const PaStreamCallbackTimeInfo *timeInfo,
                             PaStreamCallbackFlags statusFlags, void *userData);

/* The functions that are looked up by name (docs: each under its own name). They are declared for
 * their types: a member of sa_portaudio points to each, and none is ever linked. */
PaError Pa_Initialize(void);
PaError Pa_Terminate(void);
const char *Pa_GetErrorText(PaError errorCode);
const PaHostErrorInfo *Pa_GetLastHostErrorInfo(void);
const PaHostApiInfo *Pa_GetHostApiInfo(PaHostApiIndex hostApi);
PaHostApiIndex Pa_HostApiTypeIdToHostApiIndex(PaHostApiTypeId type);
PaDeviceIndex Pa_GetDeviceCount(void);
const PaDeviceInfo *Pa_GetDeviceInfo(PaDeviceIndex device);
PaDeviceIndex Pa_GetDefaultInputDevice(void);
PaDeviceIndex Pa_GetDefaultOutputDevice(void);
PaError Pa_OpenStream(PaStream **stream, const PaStreamParameters *inputParameters,
                      const PaStreamParameters *outputParameters, double sampleRate,
                      unsigned long framesPerBuffer, PaStreamFlags streamFlags,
                      PaStreamCallback *streamCallback, void *userData);
PaError Pa_StartStream(PaStream *stream);
PaError Pa_StopStream(PaStream *stream);
PaError Pa_CloseStream(PaStream *stream);
PaError Pa_IsStreamActive(PaStream *stream);
const PaStreamInfo *Pa_GetStreamInfo(PaStream *stream);

#endif
