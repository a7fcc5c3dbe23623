// The encoder and the decoder step. Included once for each instruction set.

constexpr int kEncodedTogether = 256;  // tokens; more would not stay in the caches
constexpr int kFedTogether = 1024;     // tokens of a long source: their hidden layers are wide
constexpr int kHeadGroups = 32;        // of logits that are looked at together
constexpr double kTokensPerMicrosecond = 2e3;  // whose logits a core looks at
constexpr int kHeadRows = 32;          // times kHeadGroups are made at once, that helpers get large parts
constexpr int kBlock = 8 * kLanes;     // of logits that are looked at when their largest is large

// x [stride] = the row of a token in a table of embeddings.
inline void look_up(const Embedding& embedding, int64_t id, int stride, float* x) {
  const float* scales = embedding.scales;
  with_type(embedding.rows, [&](const auto* table) {
    const auto* row = table + id * stride;
    for (int i = 0; i < stride; i += kLanes) {
      store(x + i, scales == nullptr ? load(row + i) : load(row + i) * load(scales + i));
    }
  });
}

// Adds a row of a table to x [stride].
inline void add_row(const Numbers& numbers, int64_t index, int stride, float* x) {
  with_type(numbers, [&](const auto* table) {
    const auto* row = table + index * stride;
    for (int i = 0; i < stride; i += kLanes) store(x + i, load(x + i) + load(row + i));
  });
}

// x [stride] = the embedding of a token at a position.
inline void embed(const Model& model, const Stack& stack, int64_t id, int64_t position, float* x) {
  look_up(stack.embedding, id, model.stride, x);
  const bool has_place = !(model.pads_have_no_position && id == model.pad_id);
  if (stack.positions.exist() && has_place) add_row(stack.positions, position, model.stride, x);
}

// What reads the residual stream after sub-layer `index`.
inline const Product& entry_after(const Stack& stack, size_t index) {
  return index + 1 < stack.sublayers.size() ? stack.sublayers[index + 1].entry : stack.last;
}

// The rows that the first sub-layer of a model with norms behind its sub-layers reads.
inline Rows begin(const Model& model, Lane& lane, const Stack& stack, float* x, int count) {
  if (stack.embedding_norm.exists()) {
    for (int64_t row = 0; row < count; ++row) {
      norm_row(model, stack.embedding_norm, x + row * model.stride, x + row * model.stride);
    }
  }
  if (model.pre_norm) return {};
  return as_input(x, count, model.stride, stack.sublayers.front().entry, lane.bytes);
}

inline Rows before(const Model& model, Lane& lane, const Sublayer& sublayer, float* x, int count,
                   const Rows& carried) {
  if (!model.pre_norm) return carried;
  return normed(model, lane, sublayer.norm, x, count, false, sublayer.entry);
}

inline Rows after(const Model& model, Lane& lane, const Stack& stack, size_t index, float* x,
                  int count) {
  const bool is_last = index + 1 == stack.sublayers.size();
  if (!model.pre_norm) {
    return normed(model, lane, stack.sublayers[index].norm, x, count, true, entry_after(stack, index));
  }
  return is_last ? normed(model, lane, stack.final_norm, x, count, false, stack.last) : Rows{};
}

inline Rows part_of(Rows rows, int64_t first, int count) {
  rows.count = count;
  if (rows.floats != nullptr) rows.floats += first * rows.stride;
  if (rows.bytes != nullptr) rows.bytes += first * rows.bytes_stride;
  return rows;
}

inline Sink into(float* floats, int stride) {
  Sink sink;
  sink.floats = floats;
  sink.stride = stride;
  return sink;
}

inline Sink added_to(float* x, int stride) {
  Sink sink = into(x, stride);
  sink.adds = true;
  return sink;
}

inline void feed_forward(const Model& model, Lane& lane, const Stack& stack,
                         const Sublayer& sublayer, const Rows& in, float* x) {
  const int hidden = stack.hidden, count = in.count;
  const Product& down = sublayer.exit;
  Rows middle;
  if (model.gated) {
    float* both = lane.wide.take(static_cast<int64_t>(count) * 2 * hidden);
    multiply(sublayer.entry, in, into(both, 2 * hidden));
    for (int64_t row = 0; row < count; ++row) {
      float* gate = both + row * 2 * hidden;
      for (int i = 0; i < hidden; i += kLanes) {
        store(gate + i, activated(model.activation, load(gate + i)) * load(gate + hidden + i));
      }
    }
    middle = {count, both, 2 * hidden, nullptr, 0};
    if (down.is_int8()) {
      const int size = down.in_bytes();
      uint8_t* bytes = lane.middle_bytes.take(static_cast<int64_t>(count) * size);
      for (int64_t row = 0; row < count; ++row) {
        round_row(both + row * 2 * hidden, down, hidden, bytes + row * size);
      }
      middle = {count, nullptr, 0, bytes, size};
    }
  } else if (down.is_int8()) {
    Sink sink;
    sink.activation = model.activation;
    sink.bytes_stride = down.in_bytes();
    sink.bytes = lane.middle_bytes.take(static_cast<int64_t>(count) * sink.bytes_stride);
    sink.inputs = down.inputs;
    for (int64_t row = 0; hidden < sink.bytes_stride && row < count; ++row) {
      std::memset(sink.bytes + row * sink.bytes_stride + hidden, 128, sink.bytes_stride - hidden);
    }
    multiply(sublayer.entry, in, sink);
    middle = {count, nullptr, 0, sink.bytes, sink.bytes_stride};
  } else {
    Sink sink = into(lane.wide.take(static_cast<int64_t>(count) * hidden), hidden);
    sink.activation = model.activation;
    multiply(sublayer.entry, in, sink);
    middle = {count, sink.floats, hidden, nullptr, 0};
  }
  multiply(down, middle, added_to(x, model.stride));
}

inline void leave(const Model& model, Lane& lane, const Stack& stack, const Sublayer& sublayer,
                  const float* context, int count, float* x) {
  const Rows in = as_input(context, count, stack.inner(), sublayer.exit, lane.middle_bytes);
  multiply(sublayer.exit, in, added_to(x, model.stride));
}

// Packs keys [positions][stride], and the values `stride / 2` behind them, of one head.
template <typename T>
inline void pack_text(const Text& text, const float* keys, int stride, int head, int64_t place) {
  pack_columns(keys, stride, text.length, head, text.keys.as<T>() + place);
  pack_rows(keys + stride / 2, stride, text.length, head, text.positions,
            text.values.as<T>() + place);
}

// How many sources are encoded together, those from the first on; `tokens` is how long they are.
inline int encoded_together(const int32_t* lengths, int count, int& tokens) {
  int some = 0;
  tokens = 0;
  do {
    tokens += lengths[some++];
  } while (some < count && tokens + lengths[some] <= kEncodedTogether);
  return some;
}

// Self-attention over sources whose tokens attend to windows; see `run_encoder`.
inline void attend_long(const Model& model, Lane& lane, const Sublayer& sublayer, const Rows& carried,
                        const int32_t* lengths, int count, int tokens, float* x) {
  const Stack& stack = model.encoder;
  const int inner = stack.inner();
  const Rows in = model.global_block == 0
                      ? before(model, lane, sublayer, x, tokens, carried)
                      : normed_with_sums(model, lane, sublayer, x, lengths, count, tokens);
  float* qkv = lane.wide.take(static_cast<int64_t>(in.count) * 3 * inner);
  float* context = lane.context.take(static_cast<int64_t>(tokens) * inner);
  multiply(sublayer.entry, in, into(qkv, 3 * inner));
  int64_t at = 0, sums = tokens;
  for (int i = 0; i < count; ++i) {
    attend_windows(model, lane, qkv + at * 3 * inner, qkv + sums * 3 * inner, lengths[i],
                   context + at * inner);
    at += lengths[i];
    sums += model.sums_of(lengths[i]);
  }
  leave(model, lane, stack, sublayer, context, tokens, x);
}

// Runs the layers of the encoder over sources that lie one behind the other, without padding, from
// their embeddings `x` [tokens][stride] on. Gives what the stack's last product reads, of all tokens
// or, with `first_only`, of the first of each source: behind the last attention no other is made.
inline Rows run_encoder(const Model& model, Lane& lane, const int32_t* lengths, int count,
                        int tokens, bool first_only, float* x) {
  const Stack& stack = model.encoder;
  const int inner = stack.inner();
  int rows = tokens;
  Rows in = begin(model, lane, stack, x, rows);
  for (size_t index = 0; index < stack.sublayers.size(); ++index) {
    const Sublayer& sublayer = stack.sublayers[index];
    if (model.local_radius > 0 && sublayer.kind == SublayerKind::attention) {
      attend_long(model, lane, sublayer, in, lengths, count, tokens, x);
      in = after(model, lane, stack, index, x, rows);
      continue;
    }
    in = before(model, lane, sublayer, x, rows, in);
    if (sublayer.kind == SublayerKind::feed_forward) {
      for (int first = 0; first < rows; first += kFedTogether) {
        const Rows some = part_of(in, first, std::min(kFedTogether, rows - first));
        feed_forward(model, lane, stack, sublayer, some, x + static_cast<int64_t>(first) * model.stride);
      }
    } else {
      const bool narrows = first_only && index + 2 == stack.sublayers.size();
      float* qkv = lane.wide.take(static_cast<int64_t>(tokens) * 3 * inner);
      float* context = lane.context.take(static_cast<int64_t>(tokens) * inner);
      multiply(sublayer.entry, in, into(qkv, 3 * inner));
      for (int64_t i = 0, at = 0; i < count; at += lengths[i], ++i) {
        attend_source(model, lane, qkv + at * 3 * inner, lengths[i], narrows ? 1 : lengths[i],
                      context + (narrows ? i : at) * inner);
        if (narrows) std::memmove(x + i * model.stride, x + at * model.stride, model.stride * sizeof(float));
      }
      if (narrows) rows = count;
      leave(model, lane, stack, sublayer, context, rows, x);
    }
    in = after(model, lane, stack, index, x, rows);
  }
  return in;
}

// Encodes sources for a decoder, which reads keys and values of them.
inline void encode_some(const Model& model, Lane& lane, const int32_t* ids, const int32_t* lengths,
                        int count, int tokens, Text* const* texts) {
  const Stack& stack = model.encoder;
  float* x = lane.x.take(static_cast<int64_t>(tokens) * model.stride);
  for (int i = 0, at = 0; i < count; ++i) {
    for (int p = 0; p < lengths[i]; ++p, ++at) {
      embed(model, stack, ids[at], p, x + static_cast<int64_t>(at) * model.stride);
    }
  }
  const Rows in = run_encoder(model, lane, lengths, count, tokens, false, x);
  const int heads = model.decoder.heads, head = model.decoder.head, wide = model.decoder.inner();
  for (int layer = 0; layer < model.decoder_layers; ++layer) {
    float* both = lane.wide.take(static_cast<int64_t>(tokens) * 2 * wide);
    const int groups = 2 * wide / kLanes;
    multiply(stack.last, in, into(both, 2 * wide), layer * groups, groups);
    for (int64_t i = 0, at = 0; i < count; at += lengths[i], ++i) {
      Text& text = *texts[i];
      const int64_t size = static_cast<int64_t>(text.positions) * head;
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t place = (static_cast<int64_t>(layer) * heads + h) * size;
        const float* keys = both + at * 2 * wide + h * head;
        if (model.half_caches) pack_text<Half>(text, keys, 2 * wide, head, place);
        else pack_text<float>(text, keys, 2 * wide, head, place);
      }
    }
  }
}

inline void encode(const Model& model, Lane& lane, const int32_t* ids, const int32_t* lengths,
                   int count, Text* const* texts) {
  lane.heads = {};
  for (int i = 0; i < count; ++i) {
    Text& text = *texts[i];
    text.length = lengths[i];
    text.positions = static_cast<int>(padded(lengths[i], kLanes));
    const int64_t size = static_cast<int64_t>(model.decoder_layers) * model.decoder.inner() * text.positions;
    text.keys.take(size * model.cached_bytes());
    text.values.take(size * model.cached_bytes());
  }
  for (int first = 0; first < count;) {
    int tokens;
    const int some = encoded_together(lengths + first, count - first, tokens);
    encode_some(model, lane, ids, lengths + first, some, tokens, texts + first);
    first += some;
    ids += tokens;
  }
}

// The embeddings `x` [tokens][stride] of texts that a model without a decoder reads.
inline void embed_texts(const Model& model, Lane& lane, const int32_t* ids, const int32_t* types,
                        const int32_t* lengths, int count, int tokens, float* x) {
  const Reader& reader = model.reader;
  const int64_t stride = reader.stride;
  float* row = reader.projects() ? lane.wide.take(tokens * stride) : x;
  const Rows rows{tokens, row, reader.stride, nullptr, 0};
  for (int i = 0; i < count; ++i) {
    for (int p = 0; p < lengths[i]; ++p, ++ids, row += stride) {
      look_up(model.encoder.embedding, *ids, reader.stride, row);
      add_row(model.encoder.positions, p, reader.stride, row);
      if (reader.types.exist()) {
        add_row(reader.types, types == nullptr ? 0 : *types++, reader.stride, row);
      }
      if (reader.norm.exists()) norm_row(model, reader.norm, row, row);
    }
  }
  if (!reader.projects()) return;
  const Product& wide = reader.projection;
  multiply(wide, as_input(rows.floats, tokens, reader.stride, wide, lane.bytes), into(x, model.stride));
}

inline void read_some(const Model& model, Lane& lane, const int32_t* ids, const int32_t* types,
                      const int32_t* lengths, int count, int tokens, float* logits) {
  const Reader& reader = model.reader;
  const Product& last = model.encoder.last;
  const Product& head = reader.spans ? last : reader.output;
  float* x = lane.x.take(static_cast<int64_t>(tokens) * model.stride);
  embed_texts(model, lane, ids, types, lengths, count, tokens, x);
  Rows in = run_encoder(model, lane, lengths, count, tokens, !reader.spans, x);
  if (!reader.spans) {
    Sink sink = into(lane.context.take(static_cast<int64_t>(count) * last.out), last.out);
    sink.activation = reader.activation;
    multiply(last, in, sink);
    in = as_input(sink.floats, count, last.out, head, lane.middle_bytes);
  }
  float* padded_logits = lane.logits.take(static_cast<int64_t>(in.count) * head.out);
  multiply(head, in, into(padded_logits, head.out));
  for (int64_t row = 0; row < in.count; ++row) {
    std::memcpy(logits + row * reader.labels, padded_logits + row * head.out, reader.labels * sizeof(float));
  }
}

inline void read(const Model& model, Lane& lane, const int32_t* ids, const int32_t* types,
                 const int32_t* lengths, int count, float* logits) {
  for (int first = 0; first < count;) {
    int tokens;
    const int some = encoded_together(lengths + first, count - first, tokens);
    read_some(model, lane, ids, types, lengths + first, some, tokens, logits);
    first += some;
    ids += tokens;
    if (types != nullptr) types += tokens;
    logits += static_cast<int64_t>(model.reader.spans ? tokens : some) * model.reader.labels;
  }
}

// Calls `attend(row, scores)` for the rows of a step, with room for the scores of the most positions.
template <typename Attend>
inline void for_rows(const Model& model, Lane& lane, int rows, int positions, Attend attend) {
  const int64_t size = padded(positions, kLanes);
  float* scores = lane.scores.take(rows * size);
  const double floats = 2.0 * rows * static_cast<double>(size) * model.decoder.inner();
  divide(rows, 1, floats / kFloatsPerMicrosecond, [&](int first, int count) {
    for (int64_t row = first; row < first + count; ++row) attend(row, scores + row * size);
  });
}

template <typename T>
inline void attend_own(const Model& model, Lane& lane, const Step& call, const Sublayer& sublayer,
                       const Rows& in, float* context) {
  const int inner = model.decoder.inner(), layer = sublayer.layer;
  float* qkv = lane.wide.take(static_cast<int64_t>(call.rows) * 3 * inner);
  multiply(sublayer.entry, in, into(qkv, 3 * inner));
  const int64_t last = *std::max_element(call.positions, call.positions + call.rows);
  for_rows(model, lane, call.rows, static_cast<int>(last) + 1, [&](int64_t row, float* scores) {
    Cache& cache = lane.caches[call.slots[row]];
    const int position = static_cast<int>(call.positions[row]);
    const float* query = qkv + row * 3 * inner;
    T* key = cache.at<T>(model, layer, false, position);
    T* value = cache.at<T>(model, layer, true, position);
    for (int i = 0; i < inner; i += kLanes) {
      store(key + i, load(query + inner + i));
      store(value + i, load(query + 2 * inner + i));
    }
    attend_cached(model, query, cache.at<T>(model, layer, false, 0),
                  cache.at<T>(model, layer, true, 0), position, scores, context + row * inner);
  });
}

// The simpler simple recurrent unit (engine/model/layers.py), added to x [rows][stride].
inline void recur(const Model& model, Lane& lane, const Step& call, const Sublayer& sublayer,
                  const Rows& in, float* x) {
  const int stride = model.stride;
  float* both = lane.wide.take(static_cast<int64_t>(call.rows) * 2 * stride);
  multiply(sublayer.entry, in, into(both, 2 * stride));
  for (int64_t row = 0; row < call.rows; ++row) {
    const Cache& cache = lane.caches[call.slots[row]];
    const int64_t position = call.positions[row];
    const float* before = cache.state(model, sublayer.layer, position + 1);
    float* state = cache.state(model, sublayer.layer, position);
    const float *input = both + row * 2 * stride, *forget = input + stride;
    float* to = x + row * stride;
    for (int i = 0; i < stride; i += kLanes) {
      const V16 past = position == 0 ? splat(0.0F) : load(before + i), made = load(input + i);
      const V16 now = made + logistic(load(forget + i)) * (past - made);
      store(state + i, now);
      store(to + i, load(to + i) + larger(now, splat(0.0F)));
    }
  }
}

template <typename T>
inline void attend_texts(const Model& model, Lane& lane, const Step& call,
                         const Sublayer& sublayer, const Rows& in, float* context) {
  const Stack& stack = model.decoder;
  const int inner = stack.inner();
  float* queries = lane.wide.take(static_cast<int64_t>(call.rows) * inner);
  multiply(sublayer.entry, in, into(queries, inner));
  float* weights = call.cross_weights == nullptr ? nullptr : call.cross_weights[sublayer.layer];
  int positions = 0;
  for (int row = 0; row < call.rows; ++row) positions = std::max(positions, call.texts[row]->positions);
  for_rows(model, lane, call.rows, positions, [&](int64_t row, float* scores) {
    float* of_row = weights == nullptr ? nullptr : weights + row * stack.heads * call.cross_width;
    attend_text<T>(model, queries + row * inner, *call.texts[row], sublayer.layer, scores,
                   context + row * inner, of_row, call.cross_width);
  });
}

template <typename T>
inline void attend(const Model& model, Lane& lane, const Step& call, const Sublayer& sublayer,
                   const Rows& in, float* context) {
  if (sublayer.kind == SublayerKind::attention) {
    attend_own<T>(model, lane, call, sublayer, in, context);
  } else {
    attend_texts<T>(model, lane, call, sublayer, in, context);
  }
}

// The best token of a row so far, and the sum of e^(logit - best).
struct Best {
  float logit = -INFINITY;
  int64_t id = 0;
  double total = 0.0;
};

// Takes `count` more logits, of tokens from `first` on; room behind them is overwritten.
inline void take(Best& best, float* logits, int64_t first, int count) {
  const int end = static_cast<int>(padded(count, kLanes)), last = end - kLanes;
  store(logits + last, first_of(load(logits + last), count - last, -INFINITY));
  V16 most = load(logits);
  for (int i = kLanes; i < end; i += kLanes) most = larger(most, load(logits + i));
  const float found = largest(most);
  if (found > best.logit) {
    int place = 0;
    while (logits[place] != found) ++place;
    best.total *= std::exp(static_cast<double>(best.logit) - found);
    best.logit = found;
    best.id = first + place;
  }
  if (best.logit == -INFINITY) return;
  const V16 top = splat(best.logit);
  V16 total = splat(0.0F);
  for (int i = 0; i < end; i += kLanes) total = total + fraction(load(logits + i) - top);
  best.total += sum(total);
}

// The best `wanted` tokens of a row so far, best first; of equal ones the first.
struct Candidates {
  int wanted = 0;
  int found = 0;
  int64_t* ids = nullptr;
  float* logits = nullptr;

  void insert(int64_t id, float logit) {
    int place = found < wanted ? found++ : wanted - 1;
    for (; place > 0 && logits[place - 1] < logit; --place) {
      logits[place] = logits[place - 1];
      ids[place] = ids[place - 1];
    }
    logits[place] = logit;
    ids[place] = id;
  }
};

inline float largest_of_block(const float* logits) {
  V16 most = load(logits);
  for (int i = kLanes; i < kBlock; i += kLanes) most = larger(most, load(logits + i));
  return largest(most);
}

// Takes `count` more logits, of tokens from `first` on.
inline void take(Candidates& best, const float* logits, int64_t first, int count) {
  for (int block = 0; block < count; block += kBlock) {
    const bool is_whole = block + kBlock <= count && best.found == best.wanted;
    if (is_whole && largest_of_block(logits + block) <= best.logits[best.wanted - 1]) continue;
    for (int i = block; i < block + kBlock && i < count; ++i) {
      if (best.found < best.wanted || logits[i] > best.logits[best.wanted - 1]) {
        best.insert(first + i, logits[i]);
      }
    }
  }
}

// Makes the logits of the rows that the head reads, or estimates of them; gives them, some hundred tokens of a row at a
// time, to `use(row, logits, first token, count)`, and what suppressed tokens would have to
// `see(row, index, logit)`.
template <typename See, typename Use>
inline void for_logits(const Model& model, const Product& head, Lane& lane, const Rows& in, See see,
                       Use use) {
  const std::vector<int>& suppressed = model.suppressed;
  const int groups = head.out / kLanes;
  const int together = kHeadGroups * (in.count < kHeadRows ? kHeadRows / in.count : 1);
  const int64_t stride = together * kLanes;
  float* logits = lane.logits.take(in.count * stride);
  const auto look = [&](int row, float* block, int64_t id) {
    const int64_t left = model.vocabulary - id;
    const int count = left < kHeadGroups * kLanes ? static_cast<int>(left) : kHeadGroups * kLanes;
    const auto first = std::lower_bound(suppressed.begin(), suppressed.end(), id);
    for (auto token = first; token != suppressed.end() && *token < id + count; ++token) {
      see(row, static_cast<int>(token - suppressed.begin()), block[*token - id]);
      block[*token - id] = -INFINITY;
    }
    use(row, block, id, count);
  };
  for (int first = 0; first < groups; first += together) {
    const int left = groups - first, some = left < together ? left : together;
    multiply(head, in, into(logits, static_cast<int>(stride)), first, some);
    const double tokens = static_cast<double>(in.count) * some * kLanes;
    divide(in.count, 1, tokens / kTokensPerMicrosecond, [&](int from, int rows) {
      for (int row = from; row < from + rows; ++row) {
        for (int group = 0; group < some; group += kHeadGroups) {
          look(row, logits + row * stride + group * kLanes, static_cast<int64_t>(first + group) * kLanes);
        }
      }
    });
  }
}

// The logits of the tokens that are likely for a row's text; [likely], with room up to a whole vector.
inline float* likely_logits(const Rows& in, int64_t row, const Text& text, float* logits) {
  multiply_part(text.head, part_of(in, row, 1), into(logits, text.head.out), 0, 0, text.head.out / kLanes);
  return logits;
}

// The logits of the whole vocabulary, of a row that has those of likely tokens.
inline void spread(const Model& model, const Text& text, const float* likely, float* logits) {
  std::fill_n(logits, model.vocabulary, -INFINITY);
  for (size_t i = 0; i < text.likely.size(); ++i) logits[text.likely[i]] = likely[i];
}

// As `for_logits`, of rows whose texts have a shortlist: `use` is called once a row, and tokens are
// numbered within its list.
template <typename Use>
inline void for_likely(Lane& lane, const Rows& in, const Text* const* texts, Use use) {
  int most = 0;
  double weights = 0;
  for (int row = 0; row < in.count; ++row) {
    most = std::max(most, texts[row]->head.out);
    weights += microseconds_of(texts[row]->head, 1, texts[row]->head.out / kLanes);
  }
  float* logits = lane.logits.take(static_cast<int64_t>(in.count) * most);
  divide(in.count, 1, weights, [&](int first, int count) {
    for (int64_t row = first; row < first + count; ++row) {
      use(row, likely_logits(in, row, *texts[row], logits + row * most));
    }
  });
}

constexpr size_t kMostScreened = 512;  // tokens; of more the whole head is computed

// What a row's estimates are off by, as `Screen` has it.
struct Doubt {
  float rest = 0.0F;
  float rounding = 0.0F;
};

// The tokens of a row that may be the best one, as its estimates say.
struct Screened {
  struct Token {
    int64_t id;
    float estimate;
    float bound;
  };
  Best best;                // of the estimates
  float least = -INFINITY;  // a logit that one token has
  std::vector<Token> tokens;
};

// A logit of a screened head, to the bit what `multiply` makes.
inline float logit_of(const Model& model, const uint8_t* state, int64_t id) {
  const Product& head = model.decoder.last;
  const int size = head.in_bytes();
  const int8_t* column = model.screen.columns + id * size;
  int32_t total = 0;
  for (int i = 0; i < size; ++i) total += state[i] * column[i];
  return std::fma(static_cast<float>(total - head.sums[id]), head.scales[id], head.bias[id]);
}

// Takes `count` more estimates, of tokens from `first` on; room behind them is overwritten.
inline void take(Screened& found, const Model& model, const uint8_t* state, const Doubt& doubt,
                 float* estimates, int64_t first, int count) {
  alignas(64) float bounds[kHeadGroups * kLanes];
  const float highest = found.best.logit;
  take(found.best, estimates, first, count);
  if (found.best.logit > highest) {
    found.least = std::max(found.least, logit_of(model, state, found.best.id));
  }
  const V16 rest = splat(doubt.rest), rounding = splat(doubt.rounding);
  V16 most = splat(-INFINITY);
  for (int i = 0; i < count; i += kLanes) {
    const V16 off = fma(rest, load(model.screen.of_rest + first + i),
                        rounding * load(model.screen.of_rounding + first + i));
    const V16 bound = load(estimates + i) + off;
    store(bounds + i, bound);
    most = larger(most, bound);
  }
  if (!(largest(most) >= found.least)) return;
  for (int i = 0; i < count; ++i) {
    if (bounds[i] >= found.least) found.tokens.push_back({first + i, estimates[i], bounds[i]});
  }
}

// The states of rows as what estimates are made of, and what these are off by.
inline Rows as_coordinates(const Model& model, Lane& lane, const Rows& in, Doubt* doubts) {
  const Screen& screen = model.screen;
  const int stride = model.stride, depth = screen.estimate.in;
  float* states = lane.context.take(static_cast<int64_t>(in.count) * stride);
  float* turned = lane.wide.take(static_cast<int64_t>(in.count) * stride);
  uint8_t* bytes = lane.middle_bytes.take(static_cast<int64_t>(in.count) * depth);
  for (int64_t row = 0; row < in.count; ++row) {
    for (int i = 0; i < stride; ++i) {
      states[row * stride + i] = static_cast<float>(in.bytes[row * in.bytes_stride + i] - 128);
    }
  }
  multiply(screen.rotation, {in.count, states, stride, nullptr, 0}, into(turned, stride));
  const float step = 1.0F / screen.estimate.inputs[0];
  for (int64_t row = 0; row < in.count; ++row) {
    const float* x = turned + row * stride;
    uint8_t* rounded = bytes + row * depth;
    round_row(x, screen.estimate, depth, rounded);
    float first = 0.0F, taken = 0.0F, rest = 0.0F;
    for (int i = 0; i < depth; ++i) {
      const float off = x[i] - static_cast<float>(rounded[i] - 128) * step;
      first += x[i] * x[i];
      taken += off * off;
    }
    for (int i = depth; i < stride; ++i) rest += x[i] * x[i];
    // A margin for what FP32 rounds: each is off by less than a ten-thousandth of all of the state.
    const float slack = 1e-8F * (first + rest);
    doubts[row].rest = std::sqrt(rest + slack);
    doubts[row].rounding = std::sqrt(first) * screen.error + std::sqrt(taken + slack) * screen.norm;
  }
  return {in.count, nullptr, 0, bytes, depth};
}

// The most probable token of each row and its log-probability, to which tokens that can't be the best
// add what is estimated of them.
inline std::vector<Best> choose_screened(const Model& model, Lane& lane, const Rows& in) {
  const int rows = in.count;
  std::vector<Best> best(rows);
  std::vector<Doubt> doubts(rows);
  std::vector<Screened> screened(rows);
  const Rows coordinates = as_coordinates(model, lane, in, doubts.data());
  const auto see = [](int64_t, int, float) {};
  for_logits(model, model.screen.estimate, lane, coordinates, see,
             [&](int64_t row, float* estimates, int64_t id, int count) {
    const uint8_t* state = in.bytes + row * in.bytes_stride;
    take(screened[row], model, state, doubts[row], estimates, id, count);
  });
  for (int64_t row = 0; row < rows; ++row) {
    Screened& found = screened[row];
    const auto behind = std::remove_if(found.tokens.begin(), found.tokens.end(), [&](const auto& token) {
      return token.bound < found.least;
    });
    found.tokens.erase(behind, found.tokens.end());
    if (found.tokens.empty() || found.tokens.size() > kMostScreened) {
      for_logits(model, model.decoder.last, lane, part_of(in, row, 1), see,
                 [&](int64_t, float* logits, int64_t id, int count) { take(best[row], logits, id, count); });
      continue;
    }
    best[row].total = found.best.total;
    for (const Screened::Token& token : found.tokens) {
      const float logit = logit_of(model, in.bytes + row * in.bytes_stride, token.id);
      const double top = found.best.logit;
      best[row].total += std::exp(logit - top) - std::exp(token.estimate - top);
      if (logit > best[row].logit) {
        best[row].logit = logit;
        best[row].id = token.id;
      }
    }
    best[row].total *= std::exp(static_cast<double>(found.best.logit) - best[row].logit);
  }
  return best;
}

inline void choose(const Model& model, Lane& lane, const Step& call, const Rows& in) {
  const int rows = call.rows;
  const bool is_screened = model.screen.exists();
  const auto greedy = std::count(call.wanted, call.wanted + rows, 0);
  const int64_t suppressed = static_cast<int64_t>(model.suppressed.size());
  std::vector<Best> best(rows);
  std::vector<Candidates> candidates(rows);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t place = row * call.most_candidates;
    candidates[row] = {call.wanted[row], 0, call.candidate_ids + place, call.candidate_logits + place};
    std::fill_n(candidates[row].ids, call.wanted[row], -1);
    std::fill_n(candidates[row].logits, call.wanted[row], -INFINITY);
  }
  const auto take_some = [&](int64_t row, float* logits, int64_t id, int count) {
    take(best[row], logits, id, count);
    if (candidates[row].wanted > 0) take(candidates[row], logits, id, count);
  };
  if (model.shortlist.exists()) {
    for_likely(lane, in, call.texts, [&](int64_t row, float* logits) {
      const Text& text = *call.texts[row];
      take_some(row, logits, 0, static_cast<int>(text.likely.size()));
      best[row].id = text.likely[best[row].id];
      for (int i = 0; i < candidates[row].found; ++i) {
        candidates[row].ids[i] = text.likely[candidates[row].ids[i]];
      }
      if (call.suppressed_logits != nullptr) {
        std::fill_n(call.suppressed_logits + row * suppressed, suppressed, -INFINITY);
      }
      if (call.logits != nullptr) spread(model, text, logits, call.logits + row * model.vocabulary);
    });
  } else if (!is_screened || greedy < rows || call.logits != nullptr ||
             call.suppressed_logits != nullptr) {
    const auto see = [&](int64_t row, int index, float logit) {
      if (call.suppressed_logits != nullptr) call.suppressed_logits[row * suppressed + index] = logit;
    };
    for_logits(model, model.decoder.last, lane, in, see,
               [&](int64_t row, float* logits, int64_t id, int count) {
      take_some(row, logits, id, count);
      if (call.logits != nullptr) {
        std::memcpy(call.logits + row * model.vocabulary + id, logits, count * sizeof(float));
      }
    });
  }
  if (is_screened && greedy > 0) {
    // Whatever the others ask for, a row has the log-probability that it has alone.
    const std::vector<Best> screened = choose_screened(model, lane, in);
    for (int row = 0; row < rows; ++row) {
      if (call.wanted[row] == 0) best[row] = screened[row];
    }
  }
  lane.heads = in;
  lane.head_texts.assign(call.texts, call.texts + rows);
  for (int row = 0; row < rows; ++row) {
    call.next_ids[row] = best[row].id;
    call.log_probs[row] = static_cast<float>(-std::log(best[row].total));
  }
}

inline void logits_of(const Model& model, Lane& lane, int row, float* logits) {
  if (model.shortlist.exists()) {
    const Text& text = *lane.head_texts[row];
    spread(model, text, likely_logits(lane.heads, row, text, lane.logits.take(text.head.out)), logits);
    return;
  }
  const auto see = [](int64_t, int, float) {};
  for_logits(model, model.decoder.last, lane, part_of(lane.heads, row, 1), see,
             [&](int64_t, const float* made, int64_t id, int count) {
    std::memcpy(logits + id, made, count * sizeof(float));
  });
}

inline void step(const Model& model, Lane& lane, const Step& call) {
  const Stack& stack = model.decoder;
  const int rows = call.rows, stride = model.stride;
  float* x = lane.x.take(static_cast<int64_t>(rows) * stride);
  float* context = lane.context.take(static_cast<int64_t>(rows) * stack.inner());
  for (int64_t row = 0; row < rows; ++row) {
    lane.caches[call.slots[row]].grow(model, static_cast<int>(call.positions[row]) + 1);
    embed(model, stack, call.ids[row], call.positions[row], x + row * stride);
  }
  Rows in = begin(model, lane, stack, x, rows);
  for (size_t index = 0; index < stack.sublayers.size(); ++index) {
    const Sublayer& sublayer = stack.sublayers[index];
    in = before(model, lane, sublayer, x, rows, in);
    if (sublayer.kind == SublayerKind::feed_forward) {
      feed_forward(model, lane, stack, sublayer, in, x);
    } else if (sublayer.kind == SublayerKind::recurrence) {
      recur(model, lane, call, sublayer, in, x);
    } else {
      if (model.half_caches) attend<Half>(model, lane, call, sublayer, in, context);
      else attend<float>(model, lane, call, sublayer, in, context);
      leave(model, lane, stack, sublayer, context, rows, x);
    }
    in = after(model, lane, stack, index, x, rows);
  }
  choose(model, lane, call, in);
}

inline void multiply_rows(const Product& product, Lane& lane, const float* x, int rows,
                          Activation activation, float* y) {
  Sink sink = into(y, product.out);
  sink.activation = activation;
  multiply(product, as_input(x, rows, static_cast<int>(padded(product.in, kLanes)), product, lane.bytes), sink);
}
