// What a model and a lane hold: plain data, read by the code of every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "pairs.h"
#include "team.h"

namespace seqway {

// Vectors are padded to so many floats, the depth of INT8 products to so many bytes.
constexpr int kLanes = 16;
constexpr int kDepth = 64;

constexpr int64_t padded(int64_t size, int64_t step) { return (size + step - 1) / step * step; }

// Memory that only grows, aligned for every instruction set. Its content is not kept.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  T* take(int64_t size) {
    if (size > size_) {
      std::free(data_);
      data_ = nullptr;
      size_ = 0;
      const size_t bytes = padded(static_cast<int64_t>(sizeof(T)) * size, 64);
      data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
      if (data_ == nullptr) throw std::bad_alloc();
      size_ = size;
    }
    return data_;
  }
  T* get() const { return data_; }

  // The same memory, of another type.
  template <typename U>
  U* as() const {
    return reinterpret_cast<U*>(data_);
  }

 private:
  void swap(Buffer& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  T* data_ = nullptr;
  int64_t size_ = 0;
};

// Numbers of 16 bits: IEEE binary16, and bfloat16, the first half of a float.
struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};

// Numbers in one of three types; the pointers of the others are null.
struct Numbers {
  const float* floats = nullptr;
  const Half* halves = nullptr;
  const Brain* brains = nullptr;

  bool exist() const { return floats != nullptr || halves != nullptr || brains != nullptr; }
  int bytes_each() const { return floats != nullptr ? sizeof(float) : sizeof(Half); }
};

enum class Activation : int32_t { none, relu, gelu, gelu_tanh, silu, tanh };

// y[out] = W x[in] + bias. INT8: inputs are multiplied with `inputs`, rounded to [-127, 127] and
// stored with 128 added; `sums` are 128 times the sums of W's columns, `scales` give floats back.
struct Product {
  int in = 0;
  int out = 0;                             // padded to kLanes
  const int8_t* int8_weights = nullptr;    // [out/16][in_bytes/4][16][4]
  Numbers weights;                         // [out/16][in][16], where they are not INT8
  const float* scales = nullptr;           // [out]
  const int32_t* sums = nullptr;           // [out]
  const float* inputs = nullptr;           // [in_bytes]
  const float* bias = nullptr;             // [out]
  std::shared_ptr<Pairs> pairs;            // of the weights, where they are INT8
  bool is_far = false;                     // whether weights come from memory, not from a cache

  bool is_int8() const { return int8_weights != nullptr; }
  int bytes_of_weight() const { return is_int8() ? 1 : weights.bytes_each(); }
  int in_bytes() const { return static_cast<int>(padded(in, kDepth)); }
};

struct Norm {
  int width = 0;
  const float* weight = nullptr;
  const float* bias = nullptr;
  bool exists() const { return weight != nullptr; }
};

enum class SublayerKind { attention, recurrence, cross_attention, feed_forward };

// `entry` is what reads the sub-layer's input (queries, keys and values; what is new and what is
// forgotten; queries; up or gate and up), `exit` what gives its output, which a recurrence has not.
struct Sublayer {
  SublayerKind kind = SublayerKind::attention;
  int layer = 0;
  Norm norm;
  Norm global_norm;  // of sums, where a model has them
  Product entry;
  Product exit;
};

// The embeddings of a vocabulary, [tokens][stride]; `scales` [stride] is what those in 16 bits are
// multiplied with, null where they are scaled.
struct Embedding {
  int tokens = 0;
  Numbers rows;
  const float* scales = nullptr;
};

// Heads are padded to `head` floats, `inner` is all of them; `relative`, and `global_relative` for
// sums, are [heads][2 furthest + 1].
// Both stacks have the same embedding, or one each where sources have a vocabulary of their own.
struct Stack {
  int heads = 0;
  int head = 0;
  int hidden = 0;
  int inner() const { return heads * head; }
  Embedding embedding;
  Numbers positions;  // [max_positions][stride]
  const float* relative = nullptr;
  const float* global_relative = nullptr;
  Norm embedding_norm;
  Norm final_norm;
  std::vector<Sublayer> sublayers;
  Product last;  // cross keys and values of all decoder layers, or the head
};

// What a model without a decoder has around its encoder. Embeddings are as wide as `norm` where they
// are projected to the model's width. A classifier's head is dense (the stack's `last`), an
// activation and `output`, on the first token of a text; a span head is `last` alone, on each token.
struct Reader {
  int labels = 0;  // 0: the model has a decoder
  bool spans = false;
  int token_types = 0;
  int stride = 0;  // of embeddings
  Numbers types;   // [token_types][stride]
  Norm norm;
  Product projection;
  Activation activation = Activation::none;
  Product output;
  bool projects() const { return projection.out > 0; }
};

// Lists of likely tokens, one behind the other: list 0 is every answer's, list t + 1 is for a token t
// of the source. Each list ends at its place in `ends`.
struct Shortlist {
  const int32_t* ends = nullptr;
  const int32_t* ids = nullptr;
  bool exists() const { return ids != nullptr; }
};

// Estimates an INT8 head's logits, and what they are off by at most (engine/export/native/screen.py):
// |rest| of_rest[token] + (|first| error + |what rounding took| norm) of_rounding[token], where
// `rotation` gives the first and the rest of a state's coordinates. `columns` [tokens][in_bytes] are
// the head's once more, one behind the other.
struct Screen {
  Product rotation;
  Product estimate;
  const int8_t* columns = nullptr;
  const float* of_rest = nullptr;
  const float* of_rounding = nullptr;
  float error = 0.0F;
  float norm = 0.0F;
  bool exists() const { return of_rest != nullptr; }
};

// `stride` is the padded width of the model, `vocabulary` counts the tokens of answers. Tokens of a
// source attend to those at most `local_radius` away, 0: to all, and with a `global_block` to the sums of
// each so many tokens (LongT5, arXiv:2112.07916).
struct Model {
  int vocabulary = 0;
  int width = 0;
  int stride = 0;
  int decoder_layers = 0;
  int max_positions = 0;
  int furthest = 0;
  int local_radius = 0;
  int global_block = 0;
  int pad_id = 0;
  bool pre_norm = false;
  bool rms = false;
  bool gated = false;
  bool pads_have_no_position = false;
  bool half_caches = false;  // keys and values are Half, not float
  bool recurrent = false;    // a decoder's layer has a recurrence in place of self-attention
  float epsilon = 1e-5F;
  Activation activation = Activation::relu;
  std::vector<int> suppressed;  // ascending
  Stack encoder;
  Stack decoder;
  mutable Team team;  // of its lanes
  Reader reader;
  Shortlist shortlist;
  Screen screen;

  // How many sums a source has: one for each full block, which the last shares with what is behind it.
  int sums_of(int length) const { return global_block == 0 ? 0 : length / global_block; }
  int64_t cached_bytes() const { return half_caches ? sizeof(Half) : sizeof(float); }
  // Bytes of a position of a cache, how many of these there are, and how many positions it has for
  // so many of an answer.
  int64_t row_bytes() const {
    return recurrent ? stride * static_cast<int64_t>(sizeof(float)) : decoder.inner() * cached_bytes();
  }
  int64_t cached_parts() const { return (recurrent ? 1LL : 2LL) * decoder_layers; }
  int cached_positions(int positions) const { return recurrent && positions > 0 ? 2 : positions; }
};

// The cross keys and values of an encoded source: per layer and head keys
// [positions/16][head][16], values [head/16][positions][16]. With a shortlist `likely` are the only
// tokens of its answer, ascending, and `head` has their columns.
struct Text {
  int length = 0;
  int positions = 0;  // length, padded to kLanes
  Buffer<uint8_t> keys;
  Buffer<uint8_t> values;
  std::vector<int32_t> likely;
  Product head;
  Buffer<uint8_t> head_weights;
  Buffer<float> head_scales, head_bias;
  Buffer<int32_t> head_sums;
};

// Positions of a cache that a slot keeps when its row has ended.
constexpr int kKeptPositions = 128;

// Keys and values of a row's own tokens: [layer][key, value][capacity][inner]. A recurrence has the
// state behind the last token and the one before, [layer][2][stride] floats: so a step may be made
// again.
struct Cache {
  int capacity = 0;
  Buffer<uint8_t> memory;

  template <typename T>
  T* at(const Model& model, int layer, bool values, int position) const {
    const int64_t part = static_cast<int64_t>(layer) * 2 + (values ? 1 : 0);
    return memory.as<T>() + (part * capacity + position) * model.decoder.inner();
  }

  float* state(const Model& model, int layer, int64_t position) const {
    return memory.as<float>() + (static_cast<int64_t>(layer) * 2 + position % 2) * model.stride;
  }

  // Makes room for so many positions of an answer, and keeps what is there.
  void grow(const Model& model, int of_answer) {
    const int positions = model.cached_positions(of_answer);
    if (positions <= capacity) return;
    Cache larger;
    larger.capacity = model.cached_positions(32);
    while (larger.capacity < positions) larger.capacity *= 2;
    larger.memory.take(model.cached_parts() * larger.capacity * model.row_bytes());
    if (capacity > 0) larger.copy(model, *this, capacity);
    *this = std::move(larger);
  }

  // Copies the first `length` positions of another, for which there is room.
  void copy(const Model& model, const Cache& from, int length) {
    const int64_t row = model.row_bytes();
    for (int64_t part = 0; part < model.cached_parts(); ++part) {
      std::memcpy(memory.get() + part * capacity * row, from.memory.get() + part * from.capacity * row,
                  model.cached_positions(length) * row);
    }
  }
};

// Rows that a product reads: floats, or bytes where the product is INT8.
struct Rows {
  int count = 0;
  const float* floats = nullptr;
  int stride = 0;
  const uint8_t* bytes = nullptr;
  int bytes_stride = 0;
};

// The state of one thread.
struct Lane {
  std::vector<Cache> caches;
  Buffer<float> x, normed, wide, context, scores, packed_keys, packed_values, logits;
  Buffer<uint8_t> bytes, middle_bytes;
  Rows heads;  // what the head read in the last step; none after `encode`
  std::vector<const Text*> head_texts;  // of those rows
  std::vector<uint64_t> marks;          // a bit for each token of a shortlist; all 0
};

// One decoder step of `rows` rows. Optional outputs are null where nobody wants them. Of each row
// the `wanted` [rows] best tokens are given, best first, equal ones by id; behind the vocabulary's
// end -1.
struct Step {
  int rows = 0;
  const int64_t* ids = nullptr;
  const int64_t* positions = nullptr;
  const int32_t* slots = nullptr;
  const Text* const* texts = nullptr;
  int64_t* next_ids = nullptr;
  float* log_probs = nullptr;
  float* logits = nullptr;             // [rows][vocabulary]
  float* suppressed_logits = nullptr;  // [rows][suppressed]
  float* const* cross_weights = nullptr;  // a pointer for each layer, [rows][heads][cross_width]
  int cross_width = 0;
  int most_candidates = 0;
  const int32_t* wanted = nullptr;
  int64_t* candidate_ids = nullptr;   // [rows][most_candidates]
  float* candidate_logits = nullptr;  // likewise
};

// The state of the running rows, in the caller's arrays; `longest` is of answers. A forced token is
// not below 0, `runs` [rows][cycles] count repetitions (engine/runtime/decoding/repetition.py), of
// which `loops` [cycles] make a loop where a row is watched.
struct State {
  int rows = 0;
  int longest = 0;
  int cycles = 0;
  int64_t end = 0;
  int64_t* ids = nullptr;
  int64_t* positions = nullptr;
  const int64_t* limits = nullptr;
  const int64_t* forced = nullptr;  // [rows][longest]
  int64_t* history = nullptr;       // [rows][1 + longest]
  float* log_probs = nullptr;       // [rows][longest]
  int32_t* runs = nullptr;
  const int32_t* loops = nullptr;
  const uint8_t* watched = nullptr;
  uint8_t* ended = nullptr;    // [rows], likewise
  uint8_t* looping = nullptr;
};

// Takes the tokens of a step, or those that are forced; says whether a row ended or loops. Where it
// `fails`, a row also ends without a finite log-probability.
bool advance(const State& state, const int64_t* next_ids, const float* log_probs, bool fails);

// The code of one instruction set.
struct Backend {
  const char* name;
  void (*encode)(const Model&, Lane&, const int32_t* ids, const int32_t* lengths, int count,
                 Text* const* texts);
  // Logits [count][labels], or [tokens][labels] of a span head; null `types` are all 0.
  void (*read)(const Model&, Lane&, const int32_t* ids, const int32_t* types,
               const int32_t* lengths, int count, float* logits);
  void (*step)(const Model&, Lane&, const Step&);
  // The logits of a row of the last step.
  void (*logits)(const Model&, Lane&, int row, float* logits);
  // y [rows][out] = W x + bias, x [rows][in]: what the tests of the kernels look at.
  void (*multiply)(const Product&, Lane&, const float* x, int rows, Activation, float* y);
};

extern const Backend generic_backend;
#if defined(__x86_64__)
extern const Backend avx2_backend;
extern const Backend avx512_backend;
extern const Backend amx_backend;
#endif

}  // namespace seqway
