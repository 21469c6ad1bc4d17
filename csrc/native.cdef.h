/* What cffi binds. Every function here is called with the GIL released. */

/* clock.h */
#define SA_NEVER ...
typedef struct sa_clock sa_clock;
typedef struct sa_sleeper sa_sleeper;
sa_clock *sa_clock_real(void);
int64_t sa_clock_now(const sa_clock *clock);
int64_t sa_clock_suspended(const sa_clock *clock);
sa_clock *sa_virtual_clock_create(int64_t start_ns, int64_t limit_ns);
void sa_virtual_clock_destroy(sa_clock *clock);
bool sa_virtual_clock_run_until(sa_clock *clock, int64_t limit_ns, int64_t timeout_ns);
void sa_virtual_clock_suspend(sa_clock *clock, int64_t span_ns);
void sa_ask_for_precise_timers(void);
sa_sleeper *sa_sleeper_create(sa_clock *clock);
void sa_sleeper_destroy(sa_sleeper *sleeper);
void sa_sleeper_retire(sa_sleeper *sleeper);
const sa_clock *sa_sleeper_clock(const sa_sleeper *sleeper);
bool sa_sleeper_sleep(sa_sleeper *sleeper, int64_t deadline_ns);
void sa_sleeper_wake(sa_sleeper *sleeper);

/* watch.h */
#define SA_LONG_YIELD_NS ...
#define SA_RUNG_WAITS ...
typedef struct {
    uint32_t rung_waits;
} sa_watch;
bool sa_watch_is_on(const sa_watch *watch);
void sa_watch_note_yield(sa_watch *watch, int64_t took_ns);
void sa_watch_note_audio(sa_watch *watch);

/* ring.h */
typedef struct {
    uint64_t capacity;
    ...;
} sa_ring;
bool sa_ring_create(sa_ring *ring, uint64_t capacity, size_t frame_bytes);
void sa_ring_destroy(sa_ring *ring);
uint64_t sa_ring_space(sa_ring *ring, uint64_t wanted);
void sa_ring_copy_in(sa_ring *ring, const void *frames, uint64_t count);
void sa_ring_publish(sa_ring *ring);
uint64_t sa_ring_available(sa_ring *ring, uint64_t wanted);
void sa_ring_copy_out(sa_ring *ring, void *frames, uint64_t count);
void sa_ring_skip(sa_ring *ring, uint64_t count);
void sa_ring_release(sa_ring *ring);

/* levels.h */
#define SA_MAX_CHANNELS ...
void sa_levels_add(const float *samples, int64_t frames, uint32_t channels, float *peak,
                   double *sum_of_squares);

/* channels.h */
void sa_channels_mix(const float *in, int64_t frames, uint32_t in_channels, const float *gains,
                     uint32_t out_channels, float *out);
void sa_channels_pick(const float *in, int64_t frames, uint32_t in_channels,
                      const uint32_t *channels, uint32_t out_channels, float *out);

/* samples.h */
int64_t sa_count_nonfinite(const float *samples, int64_t count);
int64_t sa_zero_nonfinite(const float *samples, int64_t count, float *out);
int64_t sa_to_int16(const float *samples, int64_t count, int16_t *out);
int64_t sa_to_int16_dithered(const float *samples, int64_t count, int16_t *out, uint64_t first,
                             uint32_t seed);
bool sa_are_int16(const float *samples, int64_t count);
int64_t sa_to_int32(const float *samples, int64_t count, uint32_t bits, int32_t *out);

/* capture.h */
#define SA_PACKET_OVERFLOW ...
#define SA_PACKET_SUSPENDED ...
#define SA_PACKET_IDLE ...
typedef struct {
    int64_t position;
    int64_t lost_before;
    int64_t stored_before;
    int64_t entry_ns;
    int64_t host_adc_ns;
    int64_t host_now_ns;
    uint32_t frames;
    uint32_t flags;
    uint32_t duration_ns;
    union {
        uint32_t host_frame;
        uint32_t left_out;
    };
} sa_packet;
typedef struct {
    sa_ring frames;
    sa_ring packets;
    double sample_rate;
    uint32_t channels;
    bool counted_by_host;
    bool source_waits;
    int64_t host_latency_ns;
    bool may_ring;
    ...;
} sa_capture;
typedef struct {
    int64_t stored;
    int64_t lost;
    int64_t unrecorded_loss;
    int64_t unrecorded_holes;
    int64_t callbacks;
} sa_capture_counts;
sa_capture *sa_capture_create(const sa_clock *clock, double sample_rate, uint32_t channels,
                              uint64_t ring_frames, uint64_t packet_slots);
void sa_capture_destroy(sa_capture *capture);
void sa_capture_finish(sa_capture *capture);
void sa_capture_abandon(sa_capture *capture);
sa_capture_counts sa_capture_count(sa_capture *capture);

/* realtime.h */
typedef struct {
    int64_t host_adc_ns;
    int64_t host_now_ns;
    uint32_t host_frame;
    uint32_t flags;
} sa_host_info;
void sa_capture_push(sa_capture *capture, const float *frames, uint32_t count,
                     const sa_host_info *host);
void sa_capture_leave_out(sa_capture *capture, int64_t count, uint32_t flags);

/* histogram.h */
#define SA_HISTOGRAM_BUCKETS ...
typedef struct {
    uint64_t counts[...];
} sa_histogram;
void sa_histogram_record(sa_histogram *histogram, int64_t ns);
int64_t sa_histogram_edge(uint32_t bucket);

/* adc.h, drift.h, timeline.h */
typedef struct {
    bool used;
    double mean_age_ns;
    ...;
} sa_adc;
typedef struct {
    double ppm;
    double error_ppm;
    ...;
} sa_drift;
typedef struct {
    sa_adc adc;
    sa_drift drift;
    ...;
} sa_timeline;
void sa_timeline_init(sa_timeline *timeline, double sample_rate, int64_t latency_ns);
void sa_timeline_advance(sa_timeline *timeline, const sa_packet *packet, int64_t position);
int64_t sa_timeline_time_of(const sa_timeline *timeline, double position);

/* pace.h */
#define SA_PACE_PACKETS ...
typedef struct {
    uint64_t packets;
    ...;
} sa_pace;
void sa_pace_note(sa_pace *pace, int64_t end, int64_t entry_ns);
int64_t sa_pace_due(const sa_pace *pace, int64_t end, double frame_ns);

/* gaps.h */
typedef struct {
    ...;
} sa_gaps;
void sa_gaps_look(sa_gaps *gaps, int64_t now_ns, int64_t suspended_ns, int64_t due_ns);

/* idle.h */
#define SA_IDLE_LOOK_NS ...
typedef struct {
    ...;
} sa_idle;
bool sa_idle_init(sa_idle *idle, sa_capture *capture, uint32_t period);
void sa_idle_free(sa_idle *idle);
void sa_idle_begin(sa_idle *idle, int64_t now_ns);
void sa_idle_look(sa_idle *idle, int64_t now_ns, bool asleep, bool alive);
void sa_idle_end(sa_idle *idle, int64_t now_ns, uint32_t frames, bool woken);

/* reader.h */
#define SA_CHUNK_FRAME ...
#define SA_CHUNK_FRAMES ...
#define SA_CHUNK_OFFSET ...
#define SA_CHUNK_TIME_NS ...
#define SA_CHUNK_ARRIVAL_NS ...
#define SA_CHUNK_RING_LOST ...
#define SA_CHUNK_HOST_LOST ...
#define SA_CHUNK_SUSPENDED ...
#define SA_CHUNK_OVERFLOWS ...
#define SA_CHUNK_MARKS ...
#define SA_CHUNK_ASLEEP_NS ...
#define SA_CHUNK_COLUMNS ...
#define SA_STAMP_FRAME ...
#define SA_STAMP_TIME_NS ...
#define SA_STAMP_ASLEEP_NS ...
#define SA_STAMP_COLUMNS ...
#define SA_MARK_NONFINITE ...
#define SA_MARK_SILENT ...
#define SA_MARK_LOUD ...
#define SA_MARK_IDLE ...
static const double SA_FULL_SCALE;
typedef struct {
    float *frames;
    int64_t *rows;
    float *peaks;
    double *squares;
    int64_t capacity_frames;
    int64_t capacity_rows;
    int64_t *stamps;
    int64_t capacity_stamps;
} sa_block;
typedef struct {
    int64_t rows;
    int64_t stamps;
    int64_t waiting;
    bool finished;
    int64_t captured;
    int64_t overwritten;
    int64_t ring_lost;
    int64_t host_lost;
    int64_t suspended;
    int64_t trailing_ring_lost;
    int64_t trailing_host_lost;
    int64_t trailing_suspended;
    int64_t unexplained;
    int64_t position;
    int64_t overflows;
    int64_t packets;
    int64_t ring_fill;
    int64_t ring_highest;
    int64_t last_entry_ns;
    int64_t longest_callback_ns;
    ...;
} sa_progress;
typedef struct {
    int64_t limit;
    int64_t chunks_at_once;
    int64_t stamp_frames;
    sa_gaps gaps;
    sa_timeline timeline;
    sa_block block;
    sa_progress progress;
    int64_t used_frames;
    bool chunk_open;
    sa_histogram callbacks;
    ...;
} sa_reader;
sa_reader *sa_reader_create(sa_capture *capture, int64_t chunk_frames, bool freewheel,
                            int64_t hold_ns);
void sa_reader_destroy(sa_reader *reader);
void sa_reader_lend(sa_reader *reader, const sa_block *block);
void sa_reader_read(sa_reader *reader);
int64_t sa_reader_join(sa_reader *reader, int64_t first, int64_t most_frames);

/* virtual_device.h, virtual_signal.h */
#define SA_NO_LATENCY ...
typedef struct {
    int64_t at_frame;
    int64_t amount;
    int32_t kind;
} sa_fault;
typedef struct {
    double sample_rate;
    double drift_ppm;
    double frequency;
    double amplitude;
    int64_t frames;
    int64_t jitter_ns;
    int64_t latency_ns;
    uint64_t seed;
    int64_t leaves_ns;
    uint32_t channels;
    uint32_t period;
    int32_t signal;
    int32_t leaving;
    bool freewheel;
} sa_virtual_settings;
typedef struct {
    int64_t from_ns;
    int64_t until_ns;
} sa_span;
typedef struct sa_virtual_device sa_virtual_device;
sa_virtual_device *sa_virtual_device_create(sa_clock *clock, sa_capture *capture,
                                            sa_virtual_settings settings, const sa_fault *faults,
                                            size_t fault_count, const sa_span *suspensions,
                                            size_t suspension_count);
int sa_virtual_device_start(sa_virtual_device *device);
void sa_virtual_device_stop(sa_virtual_device *device);
bool sa_virtual_device_active(sa_virtual_device *device);
bool sa_virtual_device_suspended(sa_virtual_device *device);
void sa_virtual_device_destroy(sa_virtual_device *device);

/* feed.h */
#define SA_STAMP_ON_ARRIVAL ...
#define SA_ANY_AGE ...
int64_t sa_feed_room(sa_capture *capture);
int64_t sa_feed_push(sa_capture *capture, int64_t left_out, const float *frames, uint32_t count,
                     int64_t time_ns);

/* feeder.h */
typedef struct sa_feeder sa_feeder;
sa_feeder *sa_feeder_create(sa_clock *clock, sa_capture *capture, uint32_t period, bool freewheel);
bool sa_feeder_push(sa_feeder *feeder, const float *frames, int64_t count);
void sa_feeder_end(sa_feeder *feeder);
void sa_feeder_stop(sa_feeder *feeder);
void sa_feeder_destroy(sa_feeder *feeder);

/* host_messages.h */
#define SA_HOST_MESSAGE_BYTES ...
bool sa_host_messages_take(char *line, size_t bytes);

/* portaudio_generation.h */
#define SA_CALL_OK ...
#define SA_CALL_FAILED ...
#define SA_CALL_NO_LIBRARY ...
#define SA_CALL_CONDEMNED ...
#define SA_CALL_NO_MEMORY ...
#define SA_CALL_ASSERTED ...
#define SA_CALL_UNCONFIGURED ...
typedef struct {
    int32_t status;
    int32_t code;
    int64_t host_code;
    char text[...];
    char host_text[...];
} sa_call_error;
typedef struct {
    char name[...];
    char host_api[...];
    int32_t index;
    int32_t host_api_type;
    int32_t max_input_channels;
    int32_t max_output_channels;
    bool takes_any_number;
    bool through_pulse;
    char pulse_device[...];
    bool is_default_input;
    bool is_host_api_default_input;
    bool is_default_output;
    double default_sample_rate;
    double default_low_input_latency;
    double default_high_input_latency;
    double default_low_output_latency;
    double default_high_output_latency;
} sa_device_info;
typedef struct sa_generation sa_generation;
sa_generation *sa_generation_open(const char *library_path, bool without_pulse, int64_t timeout_ns,
                                  sa_call_error *error);
void sa_generation_close(sa_generation *generation);
void sa_generation_condemn(sa_generation *generation);
bool sa_generation_is_condemned(sa_generation *generation);
int64_t sa_condemned_generations(void);
size_t sa_generation_device_count(const sa_generation *generation);
const sa_device_info *sa_generation_device(const sa_generation *generation, size_t index);

/* portaudio_stream.h */
typedef struct {
    int32_t device;
    int32_t channels;
    double sample_rate;
    double latency;
    int64_t period;
} sa_stream_settings;
typedef struct {
    int32_t device;
    int32_t channels;
    double latency;
} sa_stream_side;
typedef struct sa_stream sa_stream;
sa_stream *sa_stream_open(sa_generation *generation, sa_capture *capture,
                          sa_stream_settings settings, int64_t timeout_ns, sa_call_error *error);
bool sa_stream_start(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);
bool sa_stream_stop(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);
bool sa_stream_close(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);
int sa_stream_is_active(sa_stream *stream, int64_t timeout_ns, sa_call_error *error);
#define SA_UNKNOWN_LATENCY ...
double sa_stream_input_latency(const sa_stream *stream);
double sa_stream_output_latency(const sa_stream *stream);
double sa_stream_sample_rate(const sa_stream *stream);

/* pulse_connection.h */
#define SA_PULSE_OK ...
#define SA_PULSE_NO_LIBRARY ...
#define SA_PULSE_NO_SERVER ...
#define SA_PULSE_NO_ANSWER ...
#define SA_PULSE_NO_SOURCE ...
#define SA_PULSE_FAILED ...
#define SA_PULSE_NO_MEMORY ...
typedef struct {
    int32_t status;
    char text[...];
} sa_pulse_error;
typedef struct {
    char name[...];
    char description[...];
    char channel_map[...];
    uint32_t sample_rate;
    uint32_t channels;
    int32_t alsa_card;
    int32_t alsa_device;
    double latency;
    bool is_monitor;
} sa_pulse_source;
typedef struct {
    char name[...];
    char description[...];
    char monitor[...];
    uint32_t index;
} sa_pulse_output;
typedef struct {
    uint32_t index;
    uint32_t output;
    char name[...];
    char title[...];
    char binary[...];
    int32_t process;
    char channel_map[...];
    uint32_t sample_rate;
    uint32_t channels;
    bool paused;
} sa_pulse_program;
typedef struct {
    char name[...];
    char default_source[...];
    char default_output[...];
} sa_pulse_server;
typedef struct sa_pulse sa_pulse;
sa_pulse *sa_pulse_connect(const char *library_path, const char *application, int64_t timeout_ns,
                           sa_pulse_error *error);
void sa_pulse_disconnect(sa_pulse *pulse);
bool sa_pulse_list_again(sa_pulse *pulse, int64_t timeout_ns, sa_pulse_error *error);
size_t sa_pulse_source_count(const sa_pulse *pulse);
const sa_pulse_source *sa_pulse_source_at(const sa_pulse *pulse, size_t index);
size_t sa_pulse_output_count(const sa_pulse *pulse);
const sa_pulse_output *sa_pulse_output_at(const sa_pulse *pulse, size_t index);
size_t sa_pulse_program_count(const sa_pulse *pulse);
const sa_pulse_program *sa_pulse_program_at(const sa_pulse *pulse, size_t index);
void sa_pulse_server_now(sa_pulse *pulse, sa_pulse_server *server);
int64_t sa_pulse_changes(sa_pulse *pulse);
void sa_pulse_ring_at_changes(sa_pulse *pulse, int bell);

/* pulse_stream.h */
#define SA_PULSE_RUNNING ...
#define SA_PULSE_SUSPENDED ...
#define SA_PULSE_ENDED ...
typedef struct {
    const char *source;
    const char *channel_map;
    uint32_t sample_rate;
    uint32_t channels;
    uint32_t fragment;
    double source_latency;
    bool is_monitor;
    int64_t program;
} sa_pulse_settings;
typedef struct {
    int32_t state;
    bool moved;
    char reason[...];
    int64_t latency_ns;
} sa_pulse_status;
typedef struct sa_pulse_stream sa_pulse_stream;
sa_pulse_stream *sa_pulse_stream_open(sa_pulse *pulse, sa_capture *capture,
                                      sa_pulse_settings settings, int64_t timeout_ns,
                                      sa_pulse_error *error);
bool sa_pulse_stream_start(sa_pulse_stream *stream, sa_pulse_error *error);
void sa_pulse_stream_stop(sa_pulse_stream *stream);
void sa_pulse_stream_close(sa_pulse_stream *stream);
void sa_pulse_stream_look(sa_pulse_stream *stream, sa_pulse_status *status);
uint32_t sa_pulse_stream_fragment(const sa_pulse_stream *stream);

/* round_trip.h */
typedef struct {
    const float *signal;
    int64_t signal_frames;
    float *heard;
    int64_t heard_frames;
    uint32_t inputs;
    uint32_t outputs;
    ...;
} sa_round_trip;
typedef struct {
    int64_t frames;
    int64_t overflows;
    int64_t underflows;
} sa_round_trip_progress;
sa_stream *sa_round_trip_open(sa_generation *generation, sa_round_trip *trip, sa_stream_side input,
                              sa_stream_side output, double sample_rate, int64_t period,
                              int64_t timeout_ns, sa_call_error *error);
sa_round_trip_progress sa_round_trip_look(const sa_round_trip *trip);
void sa_round_trip_exchange(sa_round_trip *trip, const float *input, float *output, uint32_t count,
                            unsigned long flags);

/* jack_client.h, jack_library.h */
#define SA_JACK_INPUT ...
#define SA_JACK_OUTPUT ...
#define SA_JACK_PHYSICAL ...
#define SA_JACK_REASON_BYTES ...
typedef struct sa_jack_client sa_jack_client;
typedef struct {
    char name[...];
    uint32_t flags;
    uint32_t latency;
} sa_jack_port;
typedef enum { SA_JACK_OPEN, SA_JACK_ABSENT, SA_JACK_STANDS, SA_JACK_REFUSED, ... } sa_jack_status;
typedef struct {
    sa_capture *capture;
    sa_round_trip *trip;
    uint32_t inputs;
    uint32_t outputs;
    const char *const *sources;
    const char *const *targets;
} sa_jack_plan;
sa_jack_status sa_jack_client_open(const char *name, sa_jack_client **client, char *reason);
void sa_jack_client_close(sa_jack_client *client);
bool sa_jack_client_gone(const sa_jack_client *client);
bool sa_jack_client_server_runs(sa_jack_client *client);
bool sa_jack_client_server_ran(sa_jack_client *client);
uint32_t sa_jack_client_sample_rate(sa_jack_client *client);
uint32_t sa_jack_client_period(sa_jack_client *client);
const char *sa_jack_client_name(const sa_jack_client *client);
int64_t sa_jack_client_ports(sa_jack_client *client, uint32_t flags, sa_jack_port *ports,
                             size_t room);
bool sa_jack_client_ring_at_changes(sa_jack_client *client, int bell);
bool sa_jack_client_prepare(sa_jack_client *client, const sa_jack_plan *plan, char *reason);
bool sa_jack_client_start(sa_jack_client *client, char *reason);
bool sa_jack_client_rest(sa_jack_client *client);
bool sa_jack_client_look(sa_jack_client *client, char *reason);

/* wait.h */
int64_t sa_wait_and_read(sa_reader *const *readers, size_t count, sa_sleeper *sleeper,
                         int64_t deadline_ns, const int *bells, size_t bell_count);
bool sa_reader_is_regular(const sa_reader *reader, int64_t row);
void sa_read_more(sa_reader *const *readers, size_t count, const sa_sleeper *sleeper);
