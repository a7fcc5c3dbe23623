#include "api.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "beams.h"
#include "model.h"
#include "processor.h"
#include "shortlist.h"

namespace seqway {
namespace {

thread_local std::string last_error;

void require(bool holds, const char* rule) {
  if (!holds) throw std::runtime_error(rule);
}

// What a step may leave in the caches for the next one.
constexpr int64_t kCachedBytes = int64_t{16} << 20;

bool ends_with(const std::string& name, const std::string& end) {
  return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

// Tensors by name, each of the size that is expected.
class Tensors {
 public:
  Tensors(const SeqwayTensor* tensors, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string name = tensors[i].name;
      found_[name] = &tensors[i];
      for (const char* kind : {".int8", ".float", ".half", ".brain"}) {
        if (ends_with(name, kind)) weight_bytes_ += tensors[i].bytes;
      }
    }
  }

  template <typename T>
  const T* get(const std::string& name, int64_t size) const {
    const T* data = find<T>(name, size);
    if (data == nullptr) throw std::runtime_error("the tensor " + name + " is missing");
    return data;
  }

  template <typename T>
  const T* find(const std::string& name, int64_t size) const {
    const auto place = found_.find(name);
    if (place == found_.end()) return nullptr;
    const int64_t wanted = size * static_cast<int64_t>(sizeof(T));
    if (place->second->bytes != wanted) {
      throw std::runtime_error("the tensor " + name + " has " + std::to_string(place->second->bytes) +
                               " bytes, not " + std::to_string(wanted));
    }
    return static_cast<const T*>(place->second->data);
  }

  // Those in 16 bits have the name and their type, others are floats named `plain`.
  Numbers numbers(const std::string& name, const std::string& plain, int64_t size) const {
    Numbers numbers;
    numbers.halves = find<Half>(name + ".half", size);
    numbers.brains = find<Brain>(name + ".brain", size);
    if (!numbers.exist()) numbers.floats = get<float>(plain, size);
    return numbers;
  }

  Numbers table(const std::string& name, int64_t rows, int64_t stride) const {
    return numbers(name, name, rows * stride);
  }

  Embedding embedding(const std::string& name, int tokens, int stride) const {
    Embedding embedding;
    embedding.tokens = tokens;
    embedding.rows = table(name, tokens, stride);
    if (embedding.rows.floats == nullptr) embedding.scales = get<float>(name + ".scales", stride);
    return embedding;
  }

  Product product(const std::string& name, int in, int out) const {
    Product p;
    p.in = in;
    p.out = out;
    p.is_far = weight_bytes_ > kCachedBytes;
    p.bias = get<float>(name + ".bias", out);
    p.int8_weights = find<int8_t>(name + ".int8", static_cast<int64_t>(out) * p.in_bytes());
    if (p.is_int8()) {
      p.scales = get<float>(name + ".scales", out);
      p.sums = get<int32_t>(name + ".sums", out);
      p.inputs = get<float>(name + ".inputs", p.in_bytes());
      p.pairs = std::make_shared<Pairs>(p.int8_weights, static_cast<int64_t>(out) * p.in_bytes());
    } else {
      p.weights = numbers(name, name + ".float", static_cast<int64_t>(out) * in);
    }
    return p;
  }

  Norm norm(const std::string& name, int width, bool rms) const {
    const int64_t stride = padded(width, kLanes);
    Norm norm;
    norm.width = width;
    norm.weight = get<float>(name + ".weight", stride);
    if (!rms) norm.bias = get<float>(name + ".bias", stride);
    return norm;
  }

  bool has(const std::string& name) const { return found_.count(name) != 0; }

 private:
  std::map<std::string, const SeqwayTensor*> found_;
  int64_t weight_bytes_ = 0;  // of matrices
};

// What sub-layers of every kind have.
Sublayer sublayer_of(const Tensors& tensors, const Model& model, SublayerKind kind, int layer,
                     const std::string& name) {
  Sublayer sublayer;
  sublayer.kind = kind;
  sublayer.layer = layer;
  sublayer.norm = tensors.norm(name + ".norm", model.width, model.rms);
  return sublayer;
}

void add_attention(const Tensors& tensors, const Model& model, Stack& stack, SublayerKind kind,
                   int layer, const std::string& name) {
  const bool crosses = kind == SublayerKind::cross_attention;
  Sublayer sublayer = sublayer_of(tensors, model, kind, layer, name);
  sublayer.entry = tensors.product(name + (crosses ? ".query" : ".qkv"), model.width,
                                   (crosses ? 1 : 3) * stack.inner());
  sublayer.exit = tensors.product(name + ".output", stack.inner(), model.stride);
  if (stack.global_relative != nullptr) {
    sublayer.global_norm = tensors.norm(name + ".global_norm", model.width, model.rms);
  }
  stack.sublayers.push_back(sublayer);
}

void add_recurrence(const Tensors& tensors, const Model& model, Stack& stack, int layer,
                    const std::string& name) {
  Sublayer sublayer = sublayer_of(tensors, model, SublayerKind::recurrence, layer, name);
  sublayer.entry = tensors.product(name + ".input_forget", model.width, 2 * model.stride);
  stack.sublayers.push_back(sublayer);
}

void add_feed_forward(const Tensors& tensors, const Model& model, Stack& stack, int layer,
                      const std::string& name) {
  Sublayer sublayer = sublayer_of(tensors, model, SublayerKind::feed_forward, layer, name);
  sublayer.entry = model.gated ? tensors.product(name + ".gate_up", model.width, 2 * stack.hidden)
                               : tensors.product(name + ".up", model.width, stack.hidden);
  sublayer.exit = tensors.product(name + ".down", stack.hidden, model.stride);
  stack.sublayers.push_back(sublayer);
}

void read_layers(const Tensors& tensors, const Model& model, Stack& stack, const std::string& name,
                 int layers, bool decodes) {
  if (model.pre_norm) stack.final_norm = tensors.norm(name + ".norm", model.width, model.rms);
  for (int layer = 0; layer < layers; ++layer) {
    const std::string prefix = name + "." + std::to_string(layer);
    if (decodes && model.recurrent) {
      add_recurrence(tensors, model, stack, layer, prefix + ".recurrence");
    } else {
      add_attention(tensors, model, stack, SublayerKind::attention, layer, prefix + ".attention");
    }
    if (decodes) {
      add_attention(tensors, model, stack, SublayerKind::cross_attention, layer,
                    prefix + ".cross_attention");
    }
    add_feed_forward(tensors, model, stack, layer, prefix + ".ffn");
  }
}

void read_stack(const Tensors& tensors, const Model& model, Stack& stack, const std::string& name,
                int layers, bool decodes) {
  const int64_t distances = static_cast<int64_t>(stack.heads) * (2 * model.furthest + 1);
  stack.relative = tensors.find<float>(name + ".relative", distances);
  if (!decodes && model.global_block > 0) {
    stack.global_relative = tensors.get<float>(name + ".global_relative", distances);
  }
  if (stack.relative == nullptr) {
    stack.positions = tensors.table(name + ".positions", model.max_positions, model.stride);
  }
  if (tensors.has(name + ".embedding_norm.weight")) {
    stack.embedding_norm = tensors.norm(name + ".embedding_norm", model.width, model.rms);
  }
  read_layers(tensors, model, stack, name, layers, decodes);
}

// Bounds what the sizes of tensors do not, so that no sum or product of sizes overflows.
void check_stack(int layers, int heads, int head, int hidden) {
  require(layers > 0 && layers <= 1024, "the model's layers are not between 1 and 1,024");
  require(heads > 0 && head > 0 && hidden > 0, "the model has a size below 1");
  require(head % kLanes == 0 && hidden % kLanes == 0, "the model's heads are not padded to 16");
  require(static_cast<int64_t>(heads) * head <= 1 << 18 && hidden <= 1 << 24,
          "the model has a size that is too large");
}

void check_sizes(std::initializer_list<int> sizes) {
  for (const int size : sizes) {
    require(size > 0, "the model has a size below 1");
    require(size <= 1 << 24, "the model has a size that is too large");
  }
}

Activation activation_of(int32_t number) {
  require(number >= 0 && number <= static_cast<int>(Activation::tanh),
          "the model's activation does not exist");
  return static_cast<Activation>(number);
}

Shortlist read_shortlist(const Tensors& tensors, const Model& model, int size) {
  const int64_t lists = int64_t{1} + model.encoder.embedding.tokens;
  Shortlist shortlist;
  shortlist.ends = tensors.get<int32_t>("shortlist.ends", lists);
  shortlist.ids = tensors.get<int32_t>("shortlist.ids", size);
  require(shortlist.ends[0] > 0, "the shortlist has no token that every answer may hold");
  for (int64_t list = 1; list < lists; ++list) {
    require(shortlist.ends[list] >= shortlist.ends[list - 1], "the shortlist's ends do not ascend");
  }
  require(shortlist.ends[lists - 1] <= size, "a list ends behind the shortlist");
  for (int i = 0; i < size; ++i) {
    require(shortlist.ids[i] >= 0 && shortlist.ids[i] < model.vocabulary,
            "the shortlist holds a token that does not exist");
  }
  return shortlist;
}

Screen read_screen(const Tensors& tensors, const Model& model, const SeqwayConfig& config) {
  require(model.decoder.last.is_int8(), "the model has a screen for a head that is not INT8");
  const int tokens = model.decoder.last.out;
  Screen screen;
  screen.rotation = tensors.product("screen_rotation", model.stride, model.stride);
  screen.estimate = tensors.product("screen", config.screen, tokens);
  require(!screen.rotation.is_int8() && screen.estimate.is_int8() && config.screen % kDepth == 0,
          "the model's screen is of other numbers");
  screen.columns =
      tensors.get<int8_t>("screen.columns", static_cast<int64_t>(tokens) * model.decoder.last.in_bytes());
  screen.of_rest = tensors.get<float>("screen.of_rest", tokens);
  screen.of_rounding = tensors.get<float>("screen.of_rounding", tokens);
  screen.error = config.screen_error;
  screen.norm = config.screen_norm;
  return screen;
}

void check_attention(const SeqwayConfig& config) {
  require(config.local_radius >= 0 && config.local_radius <= 1 << 24, "the model's window does not exist");
  require(config.global_block >= 0 && config.global_block <= 1 << 24, "the model's blocks do not exist");
  require(config.global_block == 0 || (config.local_radius > 0 && config.pre_norm != 0),
          "the model's sums of blocks take windows, and norms before its sub-layers");
}

std::unique_ptr<Model> read_model(const SeqwayConfig& config, const Tensors& tensors) {
  check_stack(config.encoder_layers, config.encoder_heads, config.encoder_head, config.encoder_hidden);
  check_stack(config.decoder_layers, config.decoder_heads, config.decoder_head, config.decoder_hidden);
  check_sizes({config.vocabulary, config.width, config.max_positions});
  require(config.furthest >= 0 && config.furthest <= 1 << 24, "the model's distances do not exist");
  require(config.source_vocabulary >= 0 && config.source_vocabulary <= 1 << 24,
          "the model's vocabulary of sources does not exist");
  check_attention(config);
  auto model = std::make_unique<Model>();
  model->vocabulary = config.vocabulary;
  model->width = config.width;
  model->stride = static_cast<int>(padded(config.width, kLanes));
  model->local_radius = config.local_radius;
  model->global_block = config.global_block;
  model->decoder_layers = config.decoder_layers;
  model->max_positions = config.max_positions;
  model->furthest = config.furthest;
  model->pad_id = config.pad_id;
  model->pre_norm = config.pre_norm != 0;
  model->rms = config.rms != 0;
  model->gated = config.gated != 0;
  model->pads_have_no_position = config.pads_have_no_position != 0;
  model->half_caches = config.half_caches != 0;
  model->recurrent = config.recurrent != 0;
  model->epsilon = config.epsilon;
  model->activation = activation_of(config.activation);
  model->decoder.embedding = tensors.embedding("embedding", config.vocabulary, model->stride);
  model->encoder.embedding =
      config.source_vocabulary == 0
          ? model->decoder.embedding
          : tensors.embedding("source_embedding", config.source_vocabulary, model->stride);
  model->encoder.heads = config.encoder_heads;
  model->encoder.head = config.encoder_head;
  model->encoder.hidden = config.encoder_hidden;
  model->decoder.heads = config.decoder_heads;
  model->decoder.head = config.decoder_head;
  model->decoder.hidden = config.decoder_hidden;
  read_stack(tensors, *model, model->encoder, "encoder", config.encoder_layers, false);
  require(config.local_radius == 0 || model->encoder.relative != nullptr,
          "the model's windows take positions that are relative");
  read_stack(tensors, *model, model->decoder, "decoder", config.decoder_layers, true);
  model->encoder.last = tensors.product("cross_projections", config.width,
                                        config.decoder_layers * 2 * model->decoder.inner());
  model->decoder.last = tensors.product(
      "head", config.width, static_cast<int>(padded(config.vocabulary, kLanes)));
  require(config.shortlist >= 0, "the model's shortlist does not exist");
  if (config.shortlist > 0) model->shortlist = read_shortlist(tensors, *model, config.shortlist);
  require(config.screen >= 0 && config.screen <= model->stride, "the model's screen does not exist");
  if (config.screen > 0) model->screen = read_screen(tensors, *model, config);
  return model;
}

void read_head(const Tensors& tensors, Model& model) {
  const Product output = tensors.product("head_output", model.width,
                                         static_cast<int>(padded(model.reader.labels, kLanes)));
  model.reader.output = output;
  model.encoder.last = model.reader.spans ? output : tensors.product("head_dense", model.width, model.stride);
}

std::unique_ptr<Model> read_encoder(const SeqwayEncoderConfig& config, const Tensors& tensors) {
  check_stack(config.layers, config.heads, config.head, config.hidden);
  check_sizes({config.vocabulary, config.width, config.embedding_width, config.max_positions,
               config.labels});
  require(config.token_types >= 0 && config.token_types <= 1 << 24, "the model's token types do not exist");
  require(config.projects != 0 || config.embedding_width == config.width,
          "the model's embeddings have another width");
  auto model = std::make_unique<Model>();
  Reader& reader = model->reader;
  reader.labels = config.labels;
  reader.spans = config.spans != 0;
  reader.token_types = config.token_types;
  reader.stride = static_cast<int>(padded(config.embedding_width, kLanes));
  reader.activation = activation_of(config.head_activation);
  model->vocabulary = config.vocabulary;
  model->width = config.width;
  model->stride = static_cast<int>(padded(config.width, kLanes));
  model->max_positions = config.max_positions;
  model->pre_norm = config.pre_norm != 0;
  model->epsilon = config.epsilon;
  model->activation = activation_of(config.activation);
  model->encoder.heads = config.heads;
  model->encoder.head = config.head;
  model->encoder.hidden = config.hidden;
  model->encoder.embedding.tokens = config.vocabulary;
  model->encoder.embedding.rows = tensors.table("embedding", config.vocabulary, reader.stride);
  model->encoder.positions = tensors.table("positions", config.max_positions, reader.stride);
  if (config.token_types > 0) {
    reader.types = tensors.table("token_types", config.token_types, reader.stride);
  }
  if (config.embedding_norm != 0) reader.norm = tensors.norm("embedding_norm", config.embedding_width, false);
  if (config.projects != 0) {
    reader.projection = tensors.product("projection", config.embedding_width, model->stride);
  }
  read_layers(tensors, *model, model->encoder, "encoder", config.layers, false);
  read_head(tensors, *model);
  return model;
}

struct OpenLane {
  OpenLane(const Model* model, const Backend* backend) : model(model), backend(backend) {
    model->team.join();
  }
  OpenLane(const OpenLane&) = delete;
  OpenLane& operator=(const OpenLane&) = delete;
  ~OpenLane() { model->team.leave(); }

  const Model* model;
  const Backend* backend;
  Lane lane;
};

// What a lane computes in this thread, with the help of idle cores.
class Turn {
 public:
  explicit Turn(const OpenLane& open) : team_(open.model->team) {
    team_.begin();
    current_team = &team_;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    current_team = nullptr;
    team_.end();
  }

 private:
  Team& team_;
};

const Backend& require_backend(const char* name) {
  const Backend* backend = backend_of(name);
  if (backend == nullptr) {
    throw std::runtime_error(std::string(name) + " does not run on this processor, which has " +
                             seqway_backends());
  }
  return *backend;
}

// Gives how many tokens the sources have.
int64_t check_sources(const Model& model, const int32_t* ids, const int32_t* lengths, int count) {
  int64_t tokens = 0;
  for (int i = 0; i < count; ++i) {
    require(lengths[i] > 0, "a source has no tokens");
    require(!model.encoder.positions.exist() || lengths[i] <= model.max_positions,
            "a source is longer than the model's positions");
    tokens += lengths[i];
  }
  for (int64_t i = 0; i < tokens; ++i) {
    require(ids[i] >= 0 && ids[i] < model.encoder.embedding.tokens,
            "a source holds a token that does not exist");
  }
  return tokens;
}

void forward(OpenLane& open, const SeqwayStep& step) {
  const Model& model = *open.model;
  require(model.reader.labels == 0, "the model has no decoder");
  for (int row = 0; row < step.rows; ++row) {
    const int64_t id = step.ids[row], position = step.positions[row];
    require(id >= 0 && id < model.vocabulary, "a row goes on from a token that does not exist");
    require(position >= 0 && (!model.decoder.positions.exist() || position < model.max_positions),
            "a row is longer than the model's positions");
    require(step.slots[row] >= 0 && step.slots[row] < static_cast<int>(open.lane.caches.size()),
            "a slot does not exist");
    require(step.texts[row] != nullptr, "a row has no source");
    require(step.wanted[row] >= 0 && step.wanted[row] <= step.most_candidates,
            "a row wants more candidates than there is room for");
    require(step.cross_weights == nullptr ||
                static_cast<const Text*>(step.texts[row])->length <= step.cross_width,
            "cross weights have no room for a source");
  }
  Step call;
  call.rows = step.rows;
  call.ids = step.ids;
  call.positions = step.positions;
  call.slots = step.slots;
  call.texts = reinterpret_cast<const Text* const*>(step.texts);
  call.next_ids = step.next_ids;
  call.log_probs = step.log_probs;
  call.logits = step.logits;
  call.suppressed_logits = step.suppressed_logits;
  call.cross_weights = step.cross_weights;
  call.cross_width = step.cross_width;
  call.most_candidates = step.most_candidates;
  call.wanted = step.wanted;
  call.candidate_ids = step.candidate_ids;
  call.candidate_logits = step.candidate_logits;
  if (call.rows > 0) open.backend->step(model, open.lane, call);
}

State state_of(const SeqwayState& from) {
  State state;
  state.rows = from.rows;
  state.longest = from.longest;
  state.cycles = from.cycles;
  state.end = from.end;
  state.ids = from.ids;
  state.positions = from.positions;
  state.limits = from.limits;
  state.forced = from.forced;
  state.history = from.history;
  state.log_probs = from.log_probs;
  state.runs = from.runs;
  state.loops = from.loops;
  state.watched = from.watched;
  state.ended = from.ended;
  state.looping = from.looping;
  return state;
}

// Runs `work`, and keeps the reason of its failure for seqway_error().
template <typename Work>
int guarded(Work work) {
  try {
    work();
    return 0;
  } catch (const std::exception& error) {
    last_error = error.what();
  }
  return -1;
}

}  // namespace
}  // namespace seqway

using namespace seqway;

int seqway_abi(void) { return SEQWAY_ABI; }

const char* seqway_error(void) { return last_error.c_str(); }

const char* seqway_backends(void) {
  static const std::string names = [] {
    std::string all;
    for (const Backend* backend : backends()) all += (all.empty() ? "" : ",") + std::string(backend->name);
    return all;
  }();
  return names.c_str();
}

void* seqway_model_new(const SeqwayConfig* config, const SeqwayTensor* tensors, int count,
                       const int32_t* suppressed, int suppressed_count) {
  std::unique_ptr<Model> model;
  guarded([&] {
    auto made = read_model(*config, Tensors(tensors, count));
    made->suppressed.assign(suppressed, suppressed + suppressed_count);
    std::sort(made->suppressed.begin(), made->suppressed.end());
    for (const int id : made->suppressed) {
      require(id >= 0 && id < made->vocabulary, "a token is suppressed that does not exist");
    }
    model = std::move(made);
  });
  return model.release();
}

void* seqway_encoder_new(const SeqwayEncoderConfig* config, const SeqwayTensor* tensors, int count) {
  std::unique_ptr<Model> model;
  guarded([&] { model = read_encoder(*config, Tensors(tensors, count)); });
  return model.release();
}

void seqway_model_free(void* model) { delete static_cast<Model*>(model); }

void* seqway_lane_new(const void* model, int capacity, const char* backend) {
  std::unique_ptr<OpenLane> lane;
  guarded([&] {
    auto made = std::make_unique<OpenLane>(static_cast<const Model*>(model), &require_backend(backend));
    made->lane.caches.resize(capacity);
    lane = std::move(made);
  });
  return lane.release();
}

void seqway_lane_free(void* lane) { delete static_cast<OpenLane*>(lane); }

int seqway_encode(void* lane, const int32_t* ids, const int32_t* lengths, int count, void** texts) {
  return guarded([&] {
    OpenLane& open = *static_cast<OpenLane*>(lane);
    const Model& model = *open.model;
    require(model.reader.labels == 0, "the model has no decoder");
    check_sources(model, ids, lengths, count);
    std::vector<std::unique_ptr<Text>> made(count);
    std::vector<Text*> places(count);
    for (int i = 0; i < count; ++i) {
      made[i] = std::make_unique<Text>();
      places[i] = made[i].get();
    }
    const Turn turn(open);
    open.backend->encode(model, open.lane, ids, lengths, count, places.data());
    for (int i = 0; model.shortlist.exists() && i < count; ids += lengths[i], ++i) {
      open.lane.marks.resize(padded(model.vocabulary, 64) / 64);
      narrow_head(model, ids, open.lane.marks, *places[i]);
    }
    for (int i = 0; i < count; ++i) texts[i] = made[i].release();
  });
}

int seqway_read(void* lane, const int32_t* ids, const int32_t* types, const int32_t* lengths,
                int count, float* logits) {
  return guarded([&] {
    OpenLane& open = *static_cast<OpenLane*>(lane);
    const Model& model = *open.model;
    require(model.reader.labels > 0, "the model has a decoder");
    const int64_t tokens = check_sources(model, ids, lengths, count);
    for (int64_t i = 0; types != nullptr && model.reader.types.exist() && i < tokens; ++i) {
      require(types[i] >= 0 && types[i] < model.reader.token_types, "a token is of a type that does not exist");
    }
    const Turn turn(open);
    open.backend->read(model, open.lane, ids, types, lengths, count, logits);
  });
}

void seqway_text_free(void* text) { delete static_cast<Text*>(text); }

int seqway_step(void* lane, const SeqwayStep* step) {
  return guarded([&] {
    OpenLane& open = *static_cast<OpenLane*>(lane);
    const Turn turn(open);
    forward(open, *step);
  });
}

int seqway_logits(void* lane, int row, float* logits) {
  return guarded([&] {
    OpenLane& open = *static_cast<OpenLane*>(lane);
    require(row >= 0 && row < open.lane.heads.count, "the last step had no such row");
    open.backend->logits(*open.model, open.lane, row, logits);
  });
}

int seqway_advance(void*, const SeqwayStep* step, const SeqwayState* state) {
  return guarded([&] { advance(state_of(*state), step->next_ids, step->log_probs, false); });
}

int seqway_run(void* lane, const SeqwayStep* step, const SeqwayState* state, int most,
               double seconds, const volatile int32_t* interrupt) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  int steps = 0;
  const int status = guarded([&] {
    const State rows = state_of(*state);
    OpenLane& open = *static_cast<OpenLane*>(lane);
    const Turn turn(open);
    bool goes_on = true;
    while (goes_on) {
      forward(open, *step);
      ++steps;
      const bool ends = advance(rows, step->next_ids, step->log_probs, true);
      goes_on = !ends && steps < most && *interrupt == 0 && Clock::now() < deadline;
    }
  });
  return status == 0 ? steps : -1;
}

int seqway_join(SeqwayBeams* beams) {
  return guarded([&] {
    require(beams->width > 0 && beams->width <= kMostBeams, "a text has too many beams");
    require(2 * beams->width <= beams->most_candidates, "beams need more candidates");
    require(beams->texts >= 0 && beams->texts <= beams->capacity / beams->width,
            "there are more beams than slots");
    for (int i = 0; i < beams->texts * beams->width; ++i) {
      const int64_t slot = beams->slots[i];
      require(slot >= 0 && slot < beams->capacity, "a slot does not exist");
      require(beams->positions[slot] >= 0 && beams->positions[slot] < beams->longest,
              "a row is longer than its answer may be");
    }
    join_beams(*beams);
  });
}

int seqway_copy(void* lane, const int32_t* sources, const int32_t* targets, const int32_t* lengths,
                int count) {
  return guarded([&] {
    OpenLane& open = *static_cast<OpenLane*>(lane);
    std::vector<Cache>& caches = open.lane.caches;
    const int capacity = static_cast<int>(caches.size());
    for (int i = 0; i < count; ++i) {
      require(sources[i] >= 0 && sources[i] < capacity && targets[i] >= 0 && targets[i] < capacity,
              "a slot does not exist");
      require(sources[i] != targets[i], "a slot is copied to itself");
      const Cache& from = caches[sources[i]];
      require(lengths[i] >= 0 && open.model->cached_positions(lengths[i]) <= from.capacity,
              "a slot holds fewer positions");
      caches[targets[i]].grow(*open.model, lengths[i]);
      caches[targets[i]].copy(*open.model, from, lengths[i]);
    }
  });
}

int seqway_trim(void* lane, const int32_t* slots, int count) {
  return guarded([&] {
    std::vector<Cache>& caches = static_cast<OpenLane*>(lane)->lane.caches;
    for (int i = 0; i < count; ++i) {
      Cache& cache = caches.at(slots[i]);
      if (cache.capacity > kKeptPositions) cache = Cache();
    }
  });
}

int seqway_multiply(const char* backend, const SeqwayTensor* tensors, int count, int in, int out,
                    const float* x, int rows, int activation, float* y) {
  return guarded([&] {
    const Product product = Tensors(tensors, count).product("product", in, out);
    Lane lane;
    require_backend(backend).multiply(product, lane, x, rows, static_cast<Activation>(activation), y);
  });
}
