// Attention. Included once for each instruction set. Scores are scaled already: the weights of
// queries have the scale in them.

// Packs x [positions][stride], of one head of `head` floats, as the columns of a product: a group
// is 16 positions, [positions/16][head][16].
template <typename T>
inline void pack_columns(const float* x, int stride, int positions, int head, T* to) {
  for (int first = 0; first < positions; first += kLanes) {
    const int some = positions - first < kLanes ? positions - first : kLanes;
    for (int k = 0; k < head; k += kLanes, to += kLanes * kLanes) {
      V16 block[kLanes];
      for (int p = 0; p < kLanes; ++p) {
        block[p] = p < some ? load(x + static_cast<int64_t>(first + p) * stride + k) : splat(0.0F);
      }
      transpose(block);
      for (int i = 0; i < kLanes; ++i) store(to + i * kLanes, block[i]);
    }
  }
}

// Packs x [positions][stride], of one head, as the rows of a product: [head/16][depth][16].
template <typename T>
inline void pack_rows(const float* x, int stride, int positions, int head, int depth, T* to) {
  for (int g = 0; g < head / kLanes; ++g) {
    T* group = to + static_cast<int64_t>(g) * depth * kLanes;
    for (int p = 0; p < positions; ++p) {
      store(group + p * kLanes, load(x + static_cast<int64_t>(p) * stride + g * kLanes));
    }
  }
}

// Adds the bias of relative positions to the scores of the one at `position`: `bias` is that of a
// head, [2 furthest + 1].
inline void add_relative(const float* bias, int furthest, int position, int count, float* scores) {
  for (int p = 0; p < count; ++p) {
    int distance = p - position;
    distance = distance < -furthest ? -furthest : distance > furthest ? furthest : distance;
    scores[p] += bias[furthest + distance];
  }
}

constexpr double kFloatsPerMicrosecond = 20e3;  // that a core multiplies and adds in attention
constexpr int64_t kMostScores = 1 << 20;        // of the heads that are computed at once

// Self-attention of one head of a source, see `attend_source`; the rest is room for it.
inline void attend_source_head(const Model& model, int h, const float* qkv, int length, int queries,
                               float* keys, float* values, float* scores, float* context) {
  const Stack& stack = model.encoder;
  const int inner = stack.inner(), head = stack.head, stride = 3 * inner;
  const int end = static_cast<int>(padded(length, kLanes));
  const float* of_head = qkv + h * head;
  pack_columns(of_head + inner, stride, length, head, keys);
  pack_rows(of_head + 2 * inner, stride, length, head, end, values);
  multiply_packed(of_head, stride, queries, keys, end / kLanes, head * kLanes, head, scores, end);
  for (int i = 0; i < queries; ++i) {
    float* row = scores + static_cast<int64_t>(i) * end;
    if (stack.relative != nullptr) {
      const float* bias = stack.relative + static_cast<int64_t>(h) * (2 * model.furthest + 1);
      add_relative(bias, model.furthest, i, length, row);
    }
    softmax(row, length);
  }
  multiply_packed(scores, end, queries, values, head / kLanes, static_cast<int64_t>(end) * kLanes,
                  length, context + h * head, inner);
}

// Self-attention of the first `queries` tokens of a source of `length`: `qkv` [length][3 inner] to
// `context` [queries][inner].
inline void attend_source(const Model& model, Lane& lane, const float* qkv, int length, int queries,
                          float* context) {
  const Stack& stack = model.encoder;
  const int64_t end = padded(length, kLanes), packed = end * stack.head, scored = queries * end;
  const int fitting = static_cast<int>(kMostScores / scored);
  const int together = fitting < 1 ? 1 : fitting < stack.heads ? fitting : stack.heads;
  float* keys = lane.packed_keys.take(together * packed);
  float* values = lane.packed_values.take(together * packed);
  float* scores = lane.scores.take(together * scored);
  for (int first = 0; first < stack.heads; first += together) {
    const int left = stack.heads - first, some = left < together ? left : together;
    const double floats = 2.0 * some * stack.head * (scored + end);
    divide(some, 1, floats / kFloatsPerMicrosecond, [&](int from, int count) {
      for (int i = from; i < from + count; ++i) {
        attend_source_head(model, first + i, qkv, length, queries, keys + i * packed,
                           values + i * packed, scores + i * scored, context);
      }
    });
  }
}

constexpr int kQueriesTogether = 64;  // that have their windows in common; fixed, as a source's sums are

// Room for one head of a source whose tokens attend to windows: sums come first, padded to a whole
// vector, then the keys of a window.
struct WindowRoom {
  int sums = 0;
  int before = 0;  // sums, padded
  int depth = 0;   // and the longest window
  float* keys = nullptr;
  float* values = nullptr;  // [head/16][depth][16]
  float* scores = nullptr;  // [kQueriesTogether][depth]
};

// Hides with `hidden` all but the sums and the keys from `first` to `end` of a window of `width`.
inline void hide(const WindowRoom& room, int first, int end, int width, float hidden, float* row) {
  std::fill(row + room.sums, row + room.before + first, hidden);
  std::fill(row + room.before + end, row + room.before + width, hidden);
}

// The weights of what a token at `position` attends to, of its scores `row`; its window is that of
// `width` keys from `low` on.
inline void weigh_window(const Model& model, int h, const WindowRoom& room, int position, int low,
                         int width, float* row) {
  const int64_t bias = static_cast<int64_t>(h) * (2 * model.furthest + 1);
  const int radius = model.local_radius, here = position - low;
  const int first = here < radius ? 0 : here - radius;
  const int end = width - here <= radius ? width : here + radius + 1;
  hide(room, first, end, width, -INFINITY, row);
  add_relative(model.encoder.relative + bias, model.furthest, here - first, end - first,
               row + room.before + first);
  if (room.sums > 0) {
    const int block = position / model.global_block;
    const int own = block < room.sums ? block : room.sums - 1;
    add_relative(model.encoder.global_relative + bias, model.furthest, own, room.sums, row);
  }
  softmax(row, room.before + width);
  // What is hidden is as good as 0 now, but slow to compute with.
  hide(room, first, end, width, 0.0F, row);
}

// Self-attention of one head of a source, see `attend_windows`.
inline void attend_windows_head(const Model& model, int h, const float* qkv, const float* of_sums,
                                int length, const WindowRoom& room, float* context) {
  const Stack& stack = model.encoder;
  const int inner = stack.inner(), head = stack.head, stride = 3 * inner, radius = model.local_radius;
  const int64_t group = static_cast<int64_t>(room.depth) * kLanes;
  const float* of_head = qkv + h * head;
  if (room.sums > 0) {
    pack_columns(of_sums + h * head + inner, stride, room.sums, head, room.keys);
    pack_rows(of_sums + h * head + 2 * inner, stride, room.sums, head, room.depth, room.values);
    for (int g = 0; g < head / kLanes; ++g) {
      float* values = room.values + g * group;
      std::fill(values + room.sums * kLanes, values + room.before * kLanes, 0.0F);
    }
  }
  for (int first = 0; first < length; first += kQueriesTogether) {
    const int left = length - first, queries = left < kQueriesTogether ? left : kQueriesTogether;
    const int low = first < radius ? 0 : first - radius;
    const int high = left - queries < radius ? length : first + queries + radius;
    const int width = high - low, end = room.before + static_cast<int>(padded(width, kLanes));
    const float* window = of_head + static_cast<int64_t>(low) * stride;
    pack_columns(window + inner, stride, width, head, room.keys + room.before * head);
    pack_rows(window + 2 * inner, stride, width, head, room.depth, room.values + room.before * kLanes);
    multiply_packed(of_head + static_cast<int64_t>(first) * stride, stride, queries, room.keys,
                    end / kLanes, head * kLanes, head, room.scores, end);
    for (int i = 0; i < queries; ++i) {
      weigh_window(model, h, room, first + i, low, width, room.scores + static_cast<int64_t>(i) * end);
    }
    multiply_packed(room.scores, end, queries, room.values, head / kLanes, group, room.before + width,
                    context + static_cast<int64_t>(first) * inner + h * head, inner);
  }
}

// Self-attention of a source of `length` whose tokens attend to windows, and to the sums of its blocks,
// which `of_sums` are queries, keys and values of; see `attend_source`.
inline void attend_windows(const Model& model, Lane& lane, const float* qkv, const float* of_sums,
                           int length, float* context) {
  const Stack& stack = model.encoder;
  const int64_t reach = kQueriesTogether + 2LL * model.local_radius;
  const int widest = static_cast<int>(padded(reach < length ? reach : length, kLanes));
  WindowRoom room;
  room.sums = model.sums_of(length);
  room.before = static_cast<int>(padded(room.sums, kLanes));
  room.depth = room.before + widest;
  const int64_t packed = static_cast<int64_t>(room.depth) * stack.head;
  const int64_t scored = static_cast<int64_t>(room.depth) * kQueriesTogether;
  float* keys = lane.packed_keys.take(stack.heads * packed);
  float* values = lane.packed_values.take(stack.heads * packed);
  float* scores = lane.scores.take(stack.heads * scored);
  const double floats = 2.0 * stack.inner() * static_cast<double>(room.depth) * length;
  divide(stack.heads, 1, floats / kFloatsPerMicrosecond, [&](int from, int count) {
    for (int h = from; h < from + count; ++h) {
      WindowRoom own = room;
      own.keys = keys + h * packed;
      own.values = values + h * packed;
      own.scores = scores + h * scored;
      attend_windows_head(model, h, qkv, of_sums, length, own, context);
    }
  });
}

// Scores of a query against the rows of a cache, of one head.
template <typename T>
inline void score_cached(const float* query, const T* keys, int stride, int count, int head,
                         float* scores) {
  V16 products[kLanes];
  for (int first = 0; first < count; first += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      V16 total = splat(0.0F);
      if (first + j < count) {
        const T* key = keys + static_cast<int64_t>(first + j) * stride;
        for (int k = 0; k < head; k += kLanes) total = fma(load(query + k), load(key + k), total);
      }
      products[j] = total;
    }
    store(scores + first, sums(products));
  }
}

// The mean of a cache's values, of one head, by weight.
template <typename T>
inline void weigh_cached(const float* weights, const T* values, int stride, int count, int head,
                         float* context) {
  for (int k = 0; k < head; k += 4 * kLanes) {
    const int parts = head - k < 4 * kLanes ? (head - k) / kLanes : 4;
    V16 total[4] = {splat(0.0F), splat(0.0F), splat(0.0F), splat(0.0F)};
    for (int p = 0; p < count; ++p) {
      const T* value = values + static_cast<int64_t>(p) * stride + k;
      const V16 weight = splat(weights[p]);
      for (int i = 0; i < parts; ++i) total[i] = fma(weight, load(value + i * kLanes), total[i]);
    }
    for (int i = 0; i < parts; ++i) store(context + k + i * kLanes, total[i]);
  }
}

// Self-attention of a token at `position` over its cache, which holds its own key and value;
// `scores` [padded(position + 1)] is room for it.
template <typename T>
inline void attend_cached(const Model& model, const float* query, const T* keys, const T* values,
                          int position, float* scores, float* context) {
  const Stack& stack = model.decoder;
  const int inner = stack.inner(), head = stack.head, count = position + 1;
  for (int h = 0; h < stack.heads; ++h) {
    const int at = h * head;
    score_cached(query + at, keys + at, inner, count, head, scores);
    if (stack.relative != nullptr) {
      const float* bias = stack.relative + static_cast<int64_t>(h) * (2 * model.furthest + 1);
      add_relative(bias, model.furthest, position, count, scores);
    }
    softmax(scores, count);
    weigh_cached(scores, values + at, inner, count, head, context + at);
  }
}

// Scores of a query against the packed keys of one head. Sums over the depth are taken four at a
// time: one alone would wait for each addition.
template <typename T>
inline void score_text(const float* query, const T* keys, int positions, int head, float* scores) {
  for (int p = 0; p < positions; p += kLanes, keys += head * kLanes) {
    V16 total[4] = {splat(0.0F), splat(0.0F), splat(0.0F), splat(0.0F)};
    for (int k = 0; k < head; k += 4) {
      for (int i = 0; i < 4; ++i) {
        total[i] = fma(splat(query[k + i]), load(keys + (k + i) * kLanes), total[i]);
      }
    }
    store(scores + p, (total[0] + total[1]) + (total[2] + total[3]));
  }
}

// Cross-attention of a token over a source, whose `positions` `scores` has room for; `weights`
// [heads][width] is where they are wanted, with zeros behind the source.
template <typename T>
inline void attend_text(const Model& model, const float* query, const Text& text, int layer,
                        float* scores, float* context, float* weights, int width) {
  const Stack& stack = model.decoder;
  const int head = stack.head, end = text.positions;
  const int64_t size = static_cast<int64_t>(end) * head;
  for (int h = 0; h < stack.heads; ++h) {
    const int64_t at = (static_cast<int64_t>(layer) * stack.heads + h) * size;
    score_text(query + h * head, text.keys.as<T>() + at, end, head, scores);
    softmax(scores, text.length);
    multiply_packed(scores, 0, 1, text.values.as<T>() + at, head / kLanes,
                    static_cast<int64_t>(end) * kLanes, text.length, context + h * head, head);
    if (weights != nullptr) {
      float* of_head = weights + static_cast<int64_t>(h) * width;
      std::memcpy(of_head, scores, text.length * sizeof(float));
      std::memset(of_head + text.length, 0, (width - text.length) * sizeof(float));
    }
  }
}
