// The C ABI. Functions that return int give 0, or -1 with the reason in seqway_error(); those that
// return a pointer give null then. A model may be used by many threads, a lane by one at a time.
#pragma once

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define SEQWAY_ABI 9

// `source_vocabulary` is 0 where sources have the tokens of answers, `shortlist` is how many tokens
// its lists have together, 0 where there is none, `screen` the depth of the estimates of the head,
// likewise. `local_radius` is 0 where tokens attend to all of their source, `global_block` where there
// are no sums of blocks.
typedef struct {
  int32_t vocabulary, source_vocabulary, width, max_positions, furthest, pad_id;
  int32_t encoder_layers, encoder_heads, encoder_head, encoder_hidden;
  int32_t decoder_layers, decoder_heads, decoder_head, decoder_hidden;
  int32_t pre_norm, rms, gated, pads_have_no_position, half_caches, recurrent, shortlist, screen;
  int32_t local_radius, global_block, activation;
  float epsilon, screen_error, screen_norm;
} SeqwayConfig;

// An encoder with a head, see Reader in model.h.
typedef struct {
  int32_t vocabulary, width, embedding_width, max_positions, token_types;
  int32_t layers, heads, head, hidden, labels;
  int32_t pre_norm, embedding_norm, projects, spans, activation, head_activation;
  float epsilon;
} SeqwayEncoderConfig;

typedef struct {
  const char* name;
  const void* data;
  int64_t bytes;
} SeqwayTensor;

// See Step in model.h. Slots are below the lane's capacity and differ; null outputs are not made.
typedef struct {
  int32_t rows, cross_width, most_candidates;
  const int64_t* ids;
  const int64_t* positions;
  const int32_t* slots;
  const void* const* texts;
  int64_t* next_ids;
  float* log_probs;
  float* logits;
  float* suppressed_logits;
  float* const* cross_weights;
  const int32_t* wanted;
  int64_t* candidate_ids;
  float* candidate_logits;
} SeqwayStep;

// See State in model.h.
typedef struct {
  int32_t rows, longest, cycles, end;
  int64_t* ids;
  int64_t* positions;
  const int64_t* limits;
  const int64_t* forced;
  int64_t* history;
  float* log_probs;
  int32_t* runs;
  const int32_t* loops;
  const uint8_t* watched;
  uint8_t* ended;
  uint8_t* looping;
} SeqwayState;

// The beams of `texts` texts with `width` each, after a step. Slots are the first of `capacity`; of
// `candidate_*` [capacity][most_candidates] the first 2 * width of each beam are looked at.
typedef struct {
  int32_t texts, width, capacity, longest, most_candidates, suppressed, renormalizes;
  int64_t end;
  const int64_t* slots;  // [texts][width], best first
  const int64_t* positions;
  const int64_t* limits;
  const int64_t* forced;  // [capacity][longest]
  const float* scores;
  const float* log_probs;
  const int64_t* candidate_ids;
  const float* candidate_logits;
  const float* suppressed_logits;  // [rows][suppressed], or null
  // How they go on, [texts][width], best first, and [texts] whether all their continuations end.
  int64_t* placed;
  int64_t* next_ids;
  float* next_log_probs;
  float* next_scores;
  uint8_t* is_over;
  // Which slots are to be copied to which; the beams that end. There is room for all.
  int32_t copies, ended;
  int64_t* sources;
  int64_t* targets;
  int64_t* ended_texts;
  int64_t* ended_slots;
  int64_t* ended_ids;
  float* ended_scores;
  float* ended_log_probs;
} SeqwayBeams;

int seqway_abi(void);
const char* seqway_error(void);

// The instruction sets that run here, the fastest first, with commas between.
const char* seqway_backends(void);

// Tensors stay the caller's and must outlive the model; they are aligned to 64 bytes.
void* seqway_model_new(const SeqwayConfig* config, const SeqwayTensor* tensors, int count,
                       const int32_t* suppressed, int suppressed_count);
void* seqway_encoder_new(const SeqwayEncoderConfig* config, const SeqwayTensor* tensors, int count);
void seqway_model_free(void* model);

// `backend` "" is the fastest. The model must outlive its lanes.
void* seqway_lane_new(const void* model, int capacity, const char* backend);
void seqway_lane_free(void* lane);

// Encodes `count` sources, whose ids lie one behind the other; gives a text for each.
int seqway_encode(void* lane, const int32_t* ids, const int32_t* lengths, int count, void** texts);
void seqway_text_free(void* text);

// Logits of `count` texts, or with a span head of all their tokens, of a model of
// seqway_encoder_new(). `types` are as many as `ids`; null where all are 0.
int seqway_read(void* lane, const int32_t* ids, const int32_t* types, const int32_t* lengths,
                int count, float* logits);

int seqway_step(void* lane, const SeqwayStep* step);

// The logits [vocabulary] of a row of the last step; not after sources were encoded.
int seqway_logits(void* lane, int row, float* logits);

// Takes the tokens of the last step.
int seqway_advance(void* lane, const SeqwayStep* step, const SeqwayState* state);

// Makes and takes steps, `most` at most, until a row ends or loops, `seconds` have passed, or
// `interrupt` is not 0. Gives how many, or -1.
int seqway_run(void* lane, const SeqwayStep* step, const SeqwayState* state, int most,
               double seconds, const volatile int32_t* interrupt);

// Chooses the next beams after a step; takes and copies nothing.
int seqway_join(SeqwayBeams* beams);

// Copies the first `lengths[i]` positions of the keys and values of slot `sources[i]` to slot
// `targets[i]`, which is none of the sources.
int seqway_copy(void* lane, const int32_t* sources, const int32_t* targets, const int32_t* lengths,
                int count);

// Gives up the memory of `count` slots without rows, but for what most rows need.
int seqway_trim(void* lane, const int32_t* slots, int count);

// y [rows][out] = activation(W x + bias) with the tensors "product.*", for tests of the kernels.
int seqway_multiply(const char* backend, const SeqwayTensor* tensors, int count, int in, int out,
                    const float* x, int rows, int activation, float* y);

#if defined(__cplusplus)
}
#endif
